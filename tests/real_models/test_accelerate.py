"""accelerate's optimizer runs no step hooks, and while it accumulates, its steps are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import winnow as wn
from winnow.algorithms.attach import Attach

accelerate = pytest.importorskip("accelerate", reason="pip install winnow[real-models]")

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(48) % 4


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Its settings are global."""
    yield
    accelerate.state.AcceleratorState._reset_state(True)
    accelerate.state.GradientState._reset_state()


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def prepared(parts: int = 2) -> tuple[Any, Any, Any, Any]:
    """Accelerator, model, optimizer and loader (six batches of eight)."""
    one = accelerate.Accelerator(gradient_accumulation_steps=parts, cpu=True)
    model = network()
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    return one, *one.prepare(model, sgd(model), loader)


def is_zero(model: nn.Module, mask: wn.Mask) -> bool:
    named = dict(model.named_parameters())
    return all(not named[n].detach()[~keep].any() for n, keep in mask.items())


def values(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_sparsify_holds_an_accelerated_optimizer() -> None:
    one, model, optimizer, loader = prepared()
    assert "_optimizer_step_post_hooks" not in vars(optimizer)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.3)
    moved = 0
    with wn.sparsify(model, mask, optimizer):
        for x, y in loader:
            before = values(model)
            with one.accumulate(model):
                one.backward(F.cross_entropy(model(x), y))
                optimizer.step()
                optimizer.zero_grad()
            moved += not torch.equal(before[0], values(model)[0])
            assert is_zero(model, mask)
    assert moved == 3
    slots = optimizer.state[model[0].weight]["momentum_buffer"]
    assert not slots[~mask["0.weight"]].any()


@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("name", ["rigl", "set", "snfs"])
def test_only_real_steps_are_iterations(name: str, by_itself: bool) -> None:
    """The training is that of a plain loop which adds up the gradients of two batches."""
    options = {"density": 0.3, "steps": "60it", "every": "2it", "per_epoch": 3}
    one, model, optimizer, loader = prepared()
    sparse = wn.dynamic(model, name, optimizer=optimizer, **options)
    calls, masks = 0, {sparse.mask}
    for _ in range(3):
        for x, y in loader:
            with one.accumulate(model):
                one.backward(F.cross_entropy(model(x), y))
                (optimizer if by_itself else sparse).step()
                optimizer.zero_grad()
            calls += 1
            assert sparse.made == calls // 2
            assert is_zero(model, sparse.mask)
            masks.add(sparse.mask)
    plain = network()
    own = sgd(plain)
    other = wn.dynamic(plain, name, optimizer=own, **options)
    for _ in range(3):
        for pair in range(3):
            own.zero_grad()
            for x, y in zip(X.chunk(6)[2 * pair :][:2], Y.chunk(6)[2 * pair :][:2], strict=True):
                (F.cross_entropy(plain(x), y) / 2).backward()  # type: ignore[no-untyped-call]
            other.step()
    assert sparse.made == other.made == 9
    assert sparse.mask == other.mask
    assert len(masks) > 3
    for here, there in zip(values(model), values(plain), strict=True):
        assert torch.equal(here, there)


def test_infinite_gradients_under_its_scaler() -> None:
    accelerate.Accelerator(cpu=True)
    model = network()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    optimizer = accelerate.optimizer.AcceleratedOptimizer(sgd(model), scaler=scaler)
    sparse = wn.dynamic(model, "rigl", density=0.3, optimizer=optimizer, steps="60it", every="2it")
    for call in range(6):
        optimizer.zero_grad()
        loss: Any = scaler.scale(F.cross_entropy(model(X), Y) * (torch.inf if call == 2 else 1.0))
        loss.backward()
        made, mask = sparse.made, sparse.mask
        sparse.step()
        assert sparse.made == made + (call != 2)
        if call not in (0, 3, 5):  # iterations 0, 2 and 4
            assert sparse.mask == mask
        elif call < 5:
            assert sparse.mask != mask
        assert is_zero(model, sparse.mask)
    assert scaler.get_scale() == 4


def test_rounds_of_imp() -> None:
    counts = []

    def train(model: nn.Module, attach: Attach) -> None:
        one = accelerate.Accelerator(gradient_accumulation_steps=2, cpu=True)
        loader = DataLoader(TensorDataset(X, Y), batch_size=8)
        model, optimizer, loader = one.prepare(model, sgd(model), loader)
        assert attach(optimizer) is optimizer
        for x, y in loader:
            with one.accumulate(model):
                one.backward(F.cross_entropy(model(x), y))
                optimizer.step()
                optimizer.zero_grad()
        counts.append(attach.steps)

    ticket = wn.imp(network, train, rounds=2, rate=0.5, rewind="2it")
    assert counts == [3, 3, 3]
    assert ticket.final is not None
    assert all(not ticket.final[n][~keep].any() for n, keep in ticket.mask.items())
