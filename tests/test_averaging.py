"""Averages under a mask that changes: what is removed is 0 in them, what is grown starts at 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

import winnow as wn
from winnow.averaging import averages_listed, averages_of
from winnow.errors import UserError
from winnow.mask import Mask

X = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 4
NAMES = ["0.weight", "3.weight"]


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))


def averaged(model: nn.Module, kind: str) -> AveragedModel:
    if kind == "swa":
        return AveragedModel(model)
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)


def zeros_of(average: nn.Module, mask: Mask) -> bool:
    own = averages_of(average, list(mask))
    return all(not own[name].detach()[~mask[name]].any() for name in mask)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_rigl_with_an_average(kind: str) -> None:
    """Against a slow average of the weights' own history that knows of the mask."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    ema = averaged(model, kind)
    sparse = wn.dynamic(
        model, "rigl", density=0.3, optimizer=optimizer, steps="40it", every="3it", averaged=ema
    )
    naive = {n: p.detach().clone().double() for n, p in model.named_parameters()}
    dropped = regrown = 0
    for step in range(40):
        before = sparse.mask
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        sparse.step()
        mask = sparse.mask
        assert zeros_of(ema, mask)
        for name in mask:
            dropped += int((before[name] & ~mask[name]).sum())
            regrown += int((~before[name] & mask[name]).sum())
            naive[name] *= mask[name] & before[name]
        ema.update_parameters(model)
        share = 1.0 if step == 0 else 0.1 if kind == "ema" else 1 / (step + 1)
        for name, weight in model.named_parameters():
            naive[name] += share * (weight.detach().double() - naive[name])
        assert zeros_of(ema, mask)
    assert dropped == regrown > 20
    for name, average in ema.module.named_parameters():
        torch.testing.assert_close(average.double(), naive[name], rtol=1e-4, atol=1e-6)
    update_bn([X[:20], X[20:]], ema)
    kept = sum(
        int(p.detach().count_nonzero()) for n, p in ema.module.named_parameters() if n in mask
    )
    assert kept <= mask.kept
    assert kept > 0.9 * mask.kept
    assert zeros_of(ema, mask)
    assert bool(ema.module[1].running_mean.any())
    assert zeros_of(copy.deepcopy(ema), mask)


def test_without_it_an_average_keeps_what_was_removed() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ema = averaged(model, "ema")
    sparse = wn.dynamic(model, "set", density=0.3, optimizer=optimizer, steps="9it", every="3it",
                        per_epoch=3, ignore=[])  # fmt: skip
    for _ in range(9):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        sparse.step()
        ema.update_parameters(model)
    assert not zeros_of(ema, sparse.mask)
    sparse.attach_average(ema)
    assert zeros_of(ema, sparse.mask)


def test_a_fixed_mask_and_an_average_of_before() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ema, swa = averaged(model, "ema"), averaged(model, "swa")
    mask = wn.prune(wn.score(model, "magnitude"), density=0.3)
    dense = ema.module[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer, averaged=[ema, swa]) as held:
        assert zeros_of(ema, mask)
        assert zeros_of(swa, mask)
        assert torch.equal(ema.module[0].weight, dense * mask["0.weight"])
        ema.load_state_dict(averaged(network(), "ema").state_dict())
        assert not zeros_of(ema, mask)
        held.enforce()
        assert zeros_of(ema, mask)
        late = averaged(network(), "swa")
        held.attach_average(late)
        assert zeros_of(late, mask)


def test_an_average_that_starts_anew_and_one_that_is_kept() -> None:
    model = network()
    ema = averaged(model, "ema")
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    held = wn.sparsify(model, mask, averaged=ema)
    before = ema.module[0].weight.detach().clone()
    new = torch.zeros(16, 8, dtype=torch.bool)
    new[:4] = True
    held.remask(Mask({**mask, "0.weight": mask["0.weight"] | new}), {"0.weight": new})
    assert torch.equal(ema.module[0].weight, torch.where(new, 0.0, before))


class Holder(nn.Module):
    """An average as other libraries have it: a copy in ``.module``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_whose_average_it_is() -> None:
    model = network()
    assert averages_of(model, NAMES)["0.weight"] is model[0].weight
    nested: Any = Holder(Holder(model))
    assert averages_of(nested, NAMES)["3.weight"] is model[3].weight
    assert averages_listed(None) == []
    assert averages_listed(model) == [model]
    assert averages_listed((model, nested)) == [model, nested]
    with pytest.raises(UserError, match=r"averaged Linear has no '0\.weight', neither itself nor"):
        averages_of(nn.Linear(2, 2), NAMES)
    other = nn.Sequential(nn.Linear(9, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    mask = wn.prune(wn.score(model, "magnitude"), density=0.3)
    kept: Tensor = model[0].weight.detach().clone()
    with pytest.raises(UserError, match=r"'0\.weight' is \[16, 8\] in the mask and is \[16, 9\]"):
        wn.sparsify(model, mask, averaged=AveragedModel(other))
    assert torch.equal(model[0].weight, kept)
