"""Networks of timm: coverage, ties of zero-initialised batch norms, whole units.

timm imports torchvision, which has no build for some machines: there these tests are skipped.
"""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow import TiedScores
from winnow.coverage import coverage
from winnow.errors import UserError
from winnow.structure import prune_units, structure_of

try:
    import timm
except (ImportError, RuntimeError) as error:  # torchvision without its operators
    pytest.skip(f"needs timm and a torchvision that loads: {error}", allow_module_level=True)

NETWORKS = ("resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto")


def made(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4, **({"img_size": 32} if "vit" in name else {}))
    return model, torch.randn(8, 3, 32, 32), torch.randint(0, 4, (8,))


@pytest.mark.parametrize("name", NETWORKS)
def test_nearly_all_weights_compete(name: str) -> None:
    found = coverage(made(name)[0])
    assert found.share > 0.95
    assert all("parameter of" in one.why for one in found.left_out)  # tokens and positions


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("criterion", ["magnitude", "snip", "grasp"])
def test_criteria_score_them(name: str, criterion: str) -> None:
    model, x, y = made(name)
    scores = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy)
    assert all(tensor.isfinite().all() for tensor in scores.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert wn.prune(scores, density=0.5).kept == round(0.5 * scores.coverage.competing)


def test_batch_norms_that_start_at_0_are_told() -> None:
    model, x, y = made("resnet10t")
    if not any(
        not norm.weight.any() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)
    ):
        model.init_weights(zero_init_last=True)
    given = {"batch": (x, y), "loss_fn": F.cross_entropy, "least": 1}
    with pytest.warns(TiedScores, match="batch norm whose weight starts at 0"):
        wn.prune_at_init(model, "snip", density=0.9, **given)


def test_whole_channels_of_residual_networks() -> None:
    model, x, _ = made("resnet10t")
    try:
        structure = structure_of(model.eval(), x, "channel")
    except UserError as error:
        pytest.fail(str(error))
    mask = prune_units(wn.score(model, "magnitude"), structure, 0.5)
    assert 0 < mask.density < 0.6
