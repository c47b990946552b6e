"""Zeros in the loops that people write: several optimizers, wrappers, scalers, compiled steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

import winnow as wn
from winnow.errors import UserError
from winnow.mask import Mask

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 4


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 4)
        )


def mask_of(model: nn.Module, density: float = 0.3) -> Mask:
    return wn.prune(wn.score(model, "magnitude"), density=density)


def is_zero(model: nn.Module, mask: Mask) -> bool:
    """Removed weights are +0.0 in every bit, and each layer has weights that are not zero."""
    named = dict(model.named_parameters())
    removed = [named[name].detach()[~mask[name]] for name in mask]
    alive = [named[name].detach()[mask[name]] for name in mask]
    return (
        all(bool((r == 0).all()) and not bool(r.signbit().any()) for r in removed)
        and sum(int(r.numel()) for r in removed) > 0
        and all(bool((a != 0).any()) for a in alive)
    )


def loss_of(model: nn.Module) -> Tensor:
    return F.cross_entropy(model(X), Y)


def train(model: nn.Module, optimizers: list[Any], steps: int = 4) -> None:
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(model).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()


def muon_and_adamw(model: nn.Module) -> list[Any]:
    """As Muon is meant to be used: it takes matrices, and AdamW the rest, which no mask is over."""
    muon: Any = getattr(torch.optim, "Muon", None)
    if muon is None:
        pytest.skip("torch.optim.Muon came with torch 2.9")
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    return [muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=0.01)]


@pytest.mark.parametrize("order", [1, -1])
def test_one_of_the_optimizers_holds_no_masked_weight(order: int) -> None:
    model = network()
    optimizers = muon_and_adamw(model)[::order]
    train(model, optimizers, 2)  # so that there are momenta
    mask = mask_of(model)
    bias, weight = model[0].bias.detach().clone(), model[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer=optimizers):
        for _ in range(4):
            train(model, optimizers, 1)
            assert is_zero(model, mask)
    assert not torch.equal(bias, model[0].bias)
    assert not torch.equal(weight * mask["0.weight"], model[0].weight)
    train(model, optimizers, 1)
    assert not is_zero(model, mask)  # without the mask Muon moves every weight


def test_together_they_must_hold_all_and_be_of_this_model() -> None:
    model, other = network(), network()
    muon, adamw = muon_and_adamw(model)
    mask = mask_of(model)
    with pytest.raises(UserError, match=r"does not hold the masked '0\.weight', '3\.weight'"):
        wn.sparsify(model, mask, [adamw])
    with pytest.raises(UserError, match="parameters of this very model"):
        wn.sparsify(model, mask, muon_and_adamw(other))
    with wn.sparsify(model, mask) as held:
        held.attach(adamw)
        held.attach(muon)
        with pytest.raises(UserError, match="parameters of this very model"):
            held.attach(muon_and_adamw(other)[1])
        train(model, [muon, adamw])
        assert is_zero(model, mask)
    assert not muon._optimizer_step_post_hooks
    assert not adamw._optimizer_step_post_hooks


class Skipping(torch.optim.Optimizer):
    """As accelerate's wrapper: no hooks of its own, and steps only when it should."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.calls = 0

    @property
    def param_groups(self) -> Any:  # type: ignore[override]
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        return self.optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.calls += 1
        if self.calls % 2 == 0:
            self.optimizer.step(closure)


class Lookahead(torch.optim.Optimizer):
    """Moves weights after the step of what it wraps: to slow ones, which remember dense weights."""

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer.param_groups, {})
        self.optimizer = optimizer
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["slow"] = p.detach().clone()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.optimizer.step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                slow = self.state[p]["slow"]
                p.copy_(slow.lerp_(p, 0.5))


@pytest.mark.parametrize("wrapper", [Skipping, Lookahead])
def test_wrapped_optimizers(wrapper: Callable[[Optimizer], Any]) -> None:
    model = network()
    inner = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, [inner], 2)
    optimizer = wrapper(inner)
    mask = mask_of(model)
    weight = model[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer):
        for _ in range(6):
            train(model, [optimizer], 1)
            assert is_zero(model, mask)
    assert not torch.equal(weight * mask["0.weight"], model[0].weight)
    assert not inner._optimizer_step_post_hooks


@pytest.mark.parametrize("fused", [False, True])
def test_gradient_scaler(fused: bool) -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    train(model, [optimizer], 2)
    mask = mask_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with wn.sparsify(model, mask, optimizer):
        for step in range(6):
            optimizer.zero_grad()
            scaled: Any = scaler.scale(loss_of(model) * (torch.inf if step == 2 else 1.0))
            scaled.backward()
            before = model[0].weight.detach().clone()
            scaler.step(optimizer)
            scaler.update()
            assert is_zero(model, mask)
            assert torch.equal(before, model[0].weight) == (step == 2)
    assert scaler.get_scale() == 512


@pytest.mark.parametrize("kind", ["bfloat16 autocast", "bfloat16 weights"])
def test_bfloat16(kind: str) -> None:
    model = network()
    mask = mask_of(model)
    cast = torch.bfloat16 if kind == "bfloat16 weights" else torch.float32
    model = model.to(cast)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    weight = model[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=cast == torch.float32):
                loss = F.cross_entropy(model(X.to(cast)).float(), Y)
            loss.backward()  # type: ignore[no-untyped-call]
            assert model[0].weight.grad is not None
            assert not model[0].weight.grad[~mask["0.weight"]].any()
            optimizer.step()
            assert is_zero(model, mask)
    assert not torch.equal(weight * mask["0.weight"], model[0].weight)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_equals_training_without(reentrant: bool) -> None:
    models = [network(), network()]
    mask = mask_of(models[0])
    for model, checkpointed in zip(models, (False, True), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with wn.sparsify(model, mask, optimizer):
            for _ in range(3):
                optimizer.zero_grad()
                hidden = model[:3](X)
                if checkpointed:
                    hidden = checkpoint(model[3], hidden, use_reentrant=reentrant)
                else:
                    hidden = model[3](hidden)
                F.cross_entropy(model[4](hidden), Y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                assert is_zero(model, mask)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_gradient_accumulation_equals_the_whole_batch() -> None:
    models = [network().eval(), network().eval()]
    mask = mask_of(models[0])
    for model, parts in zip(models, (1, 4), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with wn.sparsify(model, mask, optimizer):
            for _ in range(3):
                optimizer.zero_grad()
                for x, y in zip(X.chunk(parts), Y.chunk(parts), strict=True):
                    loss: Any = F.cross_entropy(model(x), y) / parts
                    loss.backward()
                optimizer.step()
            assert is_zero(model, mask)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dynamo's own imports
def test_a_compiled_optimizer_step(whole: bool) -> None:
    """``torch.compile`` of the step alone, and of a function that calls it."""
    torch._dynamo.reset()
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, [optimizer], 2)
    mask = mask_of(model)
    step: Any = torch.compile(
        (lambda: optimizer.step()) if whole else optimizer.step, backend="aot_eager"
    )
    weight = model[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()  # type: ignore[no-untyped-call]
            step()
            assert is_zero(model, mask)
    assert not torch.equal(weight * mask["0.weight"], model[0].weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="capturable optimizers are CUDA's")
def test_a_capturable_optimizer() -> None:
    model = network().cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=torch.tensor(0.01).cuda(), capturable=True)
    mask = mask_of(model)
    with wn.sparsify(model, mask, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(X.cuda()), Y.cuda()).backward()
            optimizer.step()
        assert is_zero(model, mask)
