"""torchao's optimizers hold momenta in 8 and 4 bits: exact zeros in weights, and in momenta."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winnow as wn
from winnow.slots import is_low_bit, mask_slot, slot_values, weight_slots

pytest.importorskip("torchao", reason="pip install winnow[real-models]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
NAMES = ["AdamW8bit", "AdamW4bit", "AdamWFp8"]
X = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """They compile their steps, which takes a minute for each."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


def network() -> nn.Sequential:
    """Large enough (4,096 entries) for slots of few bits; the last layer is not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.Linear(64, 2))


def make(name: str, model: nn.Module) -> Any:
    import torchao.optim

    return getattr(torchao.optim, name)(model.parameters(), lr=1e-2, weight_decay=0.1)


def backward(model: nn.Module, optimizer: Any) -> Tensor:
    optimizer.zero_grad()
    loss: Tensor = (model(X) - X[:, :2]).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def train(model: nn.Module, optimizer: Any, steps: int) -> None:
    for _ in range(steps):
        backward(model, optimizer)
        optimizer.step()


def is_zero(model: nn.Module, mask: wn.Mask) -> bool:
    removed = [model.get_parameter(n).detach()[~keep] for n, keep in mask.items()]
    return all(not r.any() and not r.signbit().any() for r in removed)


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_first_moments_are_exactly_zero(name: str) -> None:
    model = network()
    optimizer = make(name, model)
    train(model, optimizer, 3)
    assert is_low_bit(optimizer.state[model[0].weight]["exp_avg"])
    assert not is_low_bit(optimizer.state[model[3].weight]["exp_avg"])
    mask = wn.prune(wn.score(model, "magnitude"), density=0.3)
    first = float(backward(model, optimizer).detach())
    with wn.sparsify(model, mask, optimizer):
        for _ in range(8):
            before = model[0].weight.detach().clone()
            train(model, optimizer, 1)
            assert is_zero(model, mask)
            for layer, keep in mask.items():
                slots = weight_slots(optimizer, model.get_parameter(layer))
                momenta = slot_values(slots["exp_avg"])
                assert not momenta[~keep].any()
                assert momenta[keep].any()
                squares = slot_values(slots["exp_avg_sq"])
                if name != "AdamW4bit" or layer == "3.weight":
                    assert not squares[~keep].any()
                assert bool(squares.isfinite().all())
            moved = model[0].weight.detach() - before
            assert bool(moved.isfinite().all())
            assert moved[mask["0.weight"]].any()
    assert float(backward(model, optimizer).detach()) < first


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_keeps_its_codes(name: str) -> None:
    """To quantise again would move them: a block whose largest is negative shrinks each time."""
    model = network()
    optimizer = make(name, model)
    train(model, optimizer, 3)
    keep = torch.rand(128, 64, generator=torch.Generator().manual_seed(1)) < 0.3
    for slot, value in weight_slots(optimizer, model[0].weight).items():
        before = slot_values(value).clone()
        mask_slot(value, keep.float())
        after = slot_values(value)
        assert torch.equal(after[keep], before[keep]), slot
        expected = torch.zeros(int((~keep).sum()))
        if (name, slot) == ("AdamW4bit", "exp_avg_sq"):  # a table without 0: its least, 1/16
            blocks = value.scale.repeat_interleave(value.block_size).view(128, 64) / 16
            expected = blocks[~keep]
        torch.testing.assert_close(after[~keep], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["rigl", "set", "snfs"])
def test_masks_that_change(name: str, method: str) -> None:
    model = network()
    optimizer = make(name, model)
    sparse = wn.dynamic(
        model, method, density=0.3, optimizer=optimizer, steps="60it", every="2it", per_epoch=3
    )
    kept, masks = sparse.mask.kept, {sparse.mask}
    first = float(backward(model, optimizer).detach())
    for step in range(10):
        backward(model, optimizer)
        before = sparse.mask
        sparse.step()
        assert sparse.made == step + 1
        assert sparse.mask.kept == kept
        assert is_zero(model, sparse.mask)
        masks.add(sparse.mask)
        for layer, keep in sparse.mask.items():
            slot = weight_slots(optimizer, model.get_parameter(layer)).get("exp_avg")
            if slot is not None and method != "snfs":
                assert not slot_values(slot)[~keep].any()
                assert not slot_values(slot)[keep & ~before[layer]].any()
        for parameter in model.parameters():
            assert bool(parameter.isfinite().all())
    assert len(masks) > 3
    assert float(backward(model, optimizer).detach()) < first
