"""`wn.deploy`: from a model and a mask to a module that gives the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import winnow as wn
from winnow.deployment.deploying import PlainModule, module_of, prepared
from winnow.deployment.runtime.module import SparseModule


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 2 * 2, 12), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(12, 5),
    )  # fmt: skip


@pytest.fixture
def model() -> nn.Sequential:
    made = network()
    made[1].running_mean.normal_()
    made[1].running_var.uniform_(0.5, 2)
    return made.train()


@pytest.fixture
def mask(model: nn.Module) -> wn.Mask:
    generator = torch.Generator().manual_seed(1)
    drawn = {
        name: torch.rand(p.shape, generator=generator) < 0.3
        for name, p in model.named_parameters()
        if p.dim() > 1
    }
    drawn["4.weight"][3] = False  # a channel that its bias alone decides
    drawn["7.weight"][:, :8] = False  # two channels that nothing reads
    return wn.Mask(drawn)


def masked(model: nn.Module, mask: wn.Mask) -> nn.Module:
    made = copy.deepcopy(model).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name in mask:
                parameter.mul_(mask[name])
    return made


IMAGES = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize("kind", ["sparse", "torch"])
def test_the_module_gives_what_the_masked_model_gives(model, mask, kind, shrink):
    before = copy.deepcopy(model.state_dict())
    made = wn.deploy(model, mask, IMAGES[:2], format=kind, shrink=shrink, run="kernels")
    assert isinstance(made, SparseModule if kind == "sparse" else PlainModule)
    wanted = masked(model, mask)
    for count in (1, 2, 9):
        with torch.no_grad():
            assert close(made(IMAGES[:count]), wanted(IMAGES[:count]))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not made.training


def test_dead_units_go_and_are_told(model, mask):
    made = prepared(model, mask, IMAGES[:1])
    before, after = made.went.units
    assert after <= before - 3
    assert made.difference < 1e-6
    assert made.mask.kept == mask.kept
    whole = prepared(model, mask, IMAGES[:1], shrink=False)
    assert whole.went is None


def test_a_ticket_gives_its_trained_weights(model, mask):
    final = {name: value + 1 for name, value in model.state_dict().items()}
    ticket = wn.Ticket(mask, model.state_dict(), final, {"run": "abc"})
    made = prepared(model, ticket, IMAGES[:1])
    assert made.provenance == {"run": "abc"}
    wanted = copy.deepcopy(model).eval()
    ticket.apply(wanted, weights="final")
    with torch.no_grad():
        assert close(module_of(made, run="kernels")(IMAGES), wanted(IMAGES))


def test_a_ticket_without_trained_weights_is_refused(model, mask):
    ticket = wn.Ticket(mask, model.state_dict())
    with pytest.raises(wn.UserError, match="no trained weights"):
        wn.deploy(model, ticket, IMAGES[:1])


def test_what_does_not_fit_is_refused_by_name(model, mask):
    with pytest.raises(wn.UserError, match=r"'0\.weight'"):
        wn.deploy(model, {"0.weight": torch.ones(3, 3, dtype=torch.bool)}, IMAGES[:1])
    with pytest.raises(wn.UserError, match=r"sparce.*sparse"):
        wn.deploy(model, mask, IMAGES[:1], format="sparce")
    with pytest.raises(wn.UserError, match="to=FOLDER"):
        wn.deploy(model, mask, IMAGES[:1], format="onnx")
    with pytest.raises(wn.UserError, match="run"):
        wn.deploy(model, mask, IMAGES[:1], run="fast")


def test_a_runtime_that_is_wrong_is_noticed_before_anything_is_written(
    model, mask, tmp_path, monkeypatch
):
    right = SparseModule.forward
    monkeypatch.setattr(SparseModule, "forward", lambda self, *x: right(self, *x) + 0.01)
    with pytest.raises(wn.UserError, match="SparseModule"):
        wn.deploy(model, mask, IMAGES[:2], run="kernels", to=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_one_byte_are_close(model, mask):
    made = prepared(model, mask, IMAGES)
    exact = module_of(made, run="kernels")(IMAGES)
    small = module_of(made, run="kernels", int8=True)
    assert all(w.values.dtype.name == "int8" for w in small.sparse.nonzeros.values())
    error = float((small(IMAGES) - exact).abs().max() / exact.abs().max())
    assert 0 < error < 0.03
