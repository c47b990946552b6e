"""Zeros stay exactly zero, whatever trains; and the model stays an ordinary module."""

from __future__ import annotations

import copy
import io
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

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
    """Removed weights are +0.0 in every bit, and some kept weight is not zero."""
    named = dict(model.named_parameters())
    removed = [named[name].detach()[~mask[name]] for name in mask]
    alive = [named[name].detach()[mask[name]] for name in mask]
    return (
        all(bool((r == 0).all()) and not bool(r.signbit().any()) for r in removed)
        and sum(int(r.numel()) for r in removed) > 0
        and all(bool((a != 0).any()) for a in alive)
    )


def train(
    model: nn.Module, optimizer: Optimizer, steps: int = 4, clip: float | None = None
) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_zeros_are_exact_after_every_step(make: Callable[..., Optimizer]) -> None:
    model = network()
    optimizer = make(model.parameters())
    train(model, optimizer, 3)  # dense: the slots are full of momenta that would revive weights
    mask = mask_of(model)
    start = model[0].weight.detach().clone()
    with wn.sparsify(model, mask, optimizer):
        for _ in range(6):
            train(model, optimizer, 1, clip=0.5)
            assert is_zero(model, mask)
    for name, weight in model.named_parameters():
        for slot in optimizer.state[weight].values():
            if name in mask and isinstance(slot, Tensor) and slot.shape == weight.shape:
                assert not slot[~mask[name]].any()
    assert not torch.equal(start * mask["0.weight"], model[0].weight)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_without_the_mask_they_would_move(make: Callable[..., Optimizer]) -> None:
    model = network()
    optimizer = make(model.parameters())
    train(model, optimizer, 3)
    mask = mask_of(model)
    with wn.sparsify(model, mask, optimizer):
        pass
    assert is_zero(model, mask)
    train(model, optimizer, 1)
    assert not is_zero(model, mask)


def test_a_dense_mask_changes_no_bit() -> None:
    plain, masked = network(), network()
    for model, mask in ((plain, None), (masked, Mask.dense(dict(masked.named_parameters())))):
        optimizer = OPTIMIZERS["adam"](model.parameters())
        if mask is not None:
            wn.sparsify(model, mask, optimizer)
        train(model, optimizer, 5)
    for one, other in zip(plain.parameters(), masked.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_equals_training_with_an_explicit_product() -> None:
    """Against the independent way: weights w·m in the forward pass, autograd does the rest."""
    model, reference = network().double(), network().double()
    mask = mask_of(model)
    weights = {n: p.detach().clone().requires_grad_() for n, p in reference.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(weights.values(), lr=0.1, momentum=0.9)
    with wn.sparsify(model, mask, optimizer):
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(model(X.double()), Y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            theirs.zero_grad()
            product = {n: w * mask[n] if n in mask else w for n, w in weights.items()}
            out = torch.func.functional_call(reference, product, X.double())
            F.cross_entropy(out, Y).backward()  # type: ignore[no-untyped-call]
            theirs.step()
    for name, weight in model.named_parameters():
        expected = weights[name].detach() * mask.get(name, torch.ones(()))
        torch.testing.assert_close(weight.detach(), expected)


def test_gradients_are_masked_before_clipping_and_autograd_grad_stays_dense() -> None:
    model = network()
    mask = mask_of(model)
    with wn.sparsify(model, mask):
        weight = model[0].weight
        dense = torch.autograd.grad(F.cross_entropy(model(X), Y), weight)[0]
        F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
        assert dense[~mask["0.weight"]].any()
        assert weight.grad is not None
        assert torch.equal(weight.grad, dense * mask["0.weight"])
        F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(weight.grad, 2 * dense * mask["0.weight"])


def test_what_is_there_on_entry_is_masked() -> None:
    model = network()
    train(model, OPTIMIZERS["sgd"](model.parameters()), 1)
    mask = mask_of(model)
    with torch.no_grad():
        model[0].weight[~mask["0.weight"]] = torch.inf
    kept = model[0].weight.detach()[mask["0.weight"]].clone()
    with wn.sparsify(model, mask):
        assert is_zero(model, mask)
        assert torch.equal(model[0].weight.detach()[mask["0.weight"]], kept)
        assert model[0].weight.grad is not None
        assert not model[0].weight.grad[~mask["0.weight"]].any()


def test_enforce_after_weights_were_loaded() -> None:
    model = network()
    mask = mask_of(model)
    with wn.sparsify(model, mask) as held:
        model.load_state_dict(network().state_dict())
        assert not is_zero(model, mask)
        held.enforce()
        assert is_zero(model, mask)


def test_hooks_are_gone_on_exit_and_after_an_error() -> None:
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with pytest.raises(RuntimeError, match="mine"), wn.sparsify(model, mask_of(model), optimizer):
        raise RuntimeError("mine")
    F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
    assert model[0].weight.grad is not None
    assert model[0].weight.grad.all()
    assert not optimizer._optimizer_step_post_hooks
    held = wn.sparsify(model, mask_of(model), optimizer)
    held.close()
    held.close()
    assert not optimizer._optimizer_step_post_hooks


def test_several_optimizers() -> None:
    model = network()
    optimizers = [
        torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9),
        torch.optim.Adam([*model[3].parameters(), *model[4].parameters()], lr=0.1),
    ]
    mask = mask_of(model)
    with wn.sparsify(model, mask, optimizers):
        for _ in range(3):
            for optimizer in optimizers:
                train(model, optimizer, 1)
        assert is_zero(model, mask)
    with pytest.raises(UserError, match=r"does not hold the masked '3\.weight', '4\.weight'"):
        wn.sparsify(model, mask, optimizers[0])
    with wn.sparsify(model, mask) as held:
        held.attach(optimizers[0])
        train(model, optimizers[0])
        assert is_zero(model, mask)


def test_an_optimizer_of_another_model() -> None:
    model = network()
    other = OPTIMIZERS["adam"](network().parameters())
    weights = model[0].weight.detach().clone()
    with pytest.raises(UserError, match="parameters of this very model"):
        wn.sparsify(model, mask_of(model), other)
    with wn.sparsify(network(), mask_of(model)) as held, pytest.raises(UserError, match="not hold"):
        held.attach(other)
    assert torch.equal(model[0].weight, weights)
    assert model[0].weight._post_accumulate_grad_hooks is None


def test_a_mask_for_another_network() -> None:
    for other, said in (
        (
            {"fc.weight": torch.ones(2).bool()},
            r"'fc\.weight' is \[2\] in the mask and is not there",
        ),
        ({"0.weight": torch.ones(8, 16).bool()}, r"\[8, 16\] in the mask and is \[16, 8\] there"),
    ):
        with pytest.raises(UserError, match=said):
            wn.sparsify(network(), Mask(other))


def test_frozen_weights_are_masked_and_need_no_optimizer() -> None:
    model = network()
    mask = mask_of(model)
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with wn.sparsify(model, mask, optimizer):
        train(model, optimizer)
        assert is_zero(model, mask)


def test_tied_weights() -> None:
    model = network()
    model.add_module("twin", nn.Linear(16, 16))
    model.twin.weight = model[3].weight
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    keep = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    with wn.sparsify(model, Mask({"twin.weight": keep}), optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            hidden = model[:3](X)
            F.cross_entropy(model[4](model.twin(model[3](hidden))), Y).backward()
            optimizer.step()
        assert not model[3].weight[~keep].any()
        assert model[3].weight[keep].all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_even_when_changed_inside(dtype: torch.dtype) -> None:
    for before in (True, False):
        model = network()
        mask = mask_of(model)
        model = model.to(dtype) if before else model
        optimizer = OPTIMIZERS["momentum"](model.parameters())
        with wn.sparsify(model, mask, optimizer):
            model = model.to(dtype)
            for _ in range(3):
                optimizer.zero_grad()
                F.cross_entropy(model(X.to(dtype)).float(), Y).backward()
                optimizer.step()
            assert is_zero(model, mask)


def test_closures() -> None:
    model = network()
    mask = mask_of(model)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), Y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with wn.sparsify(model, mask, optimizer):
        before = closure().item()
        for _ in range(3):
            optimizer.step(closure)
            assert is_zero(model, mask)
        assert closure().item() < before


def test_gradient_accumulation_and_scaler_style_skips() -> None:
    model = network()
    mask = mask_of(model)
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    with wn.sparsify(model, mask, optimizer):
        for step in range(6):
            (F.cross_entropy(model(X), Y) / 2).backward()  # type: ignore[no-untyped-call]
            if step % 2:
                optimizer.step()
                optimizer.zero_grad()
        assert is_zero(model, mask)


def test_nested_masks_hold_together_and_end_apart() -> None:
    model = network()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    outer, inner = mask_of(model, 0.6), mask_of(model, 0.3)
    assert inner.is_subset(outer)
    with wn.sparsify(model, outer, optimizer):
        with wn.sparsify(model, inner, optimizer):
            train(model, optimizer)
            assert is_zero(model, inner)
        train(model, optimizer)
        assert is_zero(model, outer)
        assert not is_zero(model, inner)


def test_divergence_is_not_hidden() -> None:
    model = network()
    mask = mask_of(model)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with wn.sparsify(model, mask, optimizer):
        optimizer.zero_grad()
        (F.cross_entropy(model(X), Y) * torch.nan).backward()
        assert model[0].weight.grad is not None
        assert model[0].weight.grad.isnan().all()


# ---- the model stays an ordinary module


def momenta(optimizer: Optimizer, weight: nn.Parameter) -> dict[str, Tensor]:
    """Copies of the optimizer's slots of a weight."""
    held = optimizer.state[weight].items()
    return {slot: t.clone() for slot, t in held if t.shape == weight.shape}


@pytest.mark.parametrize("name", ["momentum", "adam", "rmsprop"])
def test_another_mask_resets_what_starts_anew_and_nothing_else(name: str) -> None:
    """``grown`` may hold weights that were kept: they go and return at once, without a past."""
    model = network()
    mask, weight = mask_of(model), model[0].weight
    optimizer = OPTIMIZERS[name](model.parameters())
    held = wn.sparsify(model, mask, optimizer)
    train(model, optimizer)
    before, slots = weight.detach().clone(), momenta(optimizer, weight)
    kept = mask["0.weight"]
    rows = torch.arange(16)[:, None] < 5  # of each part, the first rows
    dropped, new = kept & (torch.arange(16)[:, None] > 12), rows & (kept | (before == 0))
    after = (kept | new) & ~dropped
    assert bool((new & kept).any())
    assert bool((new & ~kept).any())
    held.remask(Mask({**mask, "0.weight": after}), {"0.weight": new})
    stays = after & ~new
    assert held.mask["0.weight"].equal(after)
    assert torch.equal(weight.detach(), torch.where(stays, before, 0.0))
    for slot, values in momenta(optimizer, weight).items():
        assert bool(slots[slot][new & kept].any()), slot  # there was something to forget
        assert torch.equal(values, torch.where(stays, slots[slot], 0.0)), slot
    train(model, optimizer, steps=1)
    assert bool((weight.detach()[new] != 0).any())
    assert is_zero(model, held.mask)


def test_dense_slots_live_on_under_another_mask() -> None:
    model = network()
    mask, weight = mask_of(model), model[0].weight
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    held = wn.sparsify(model, mask, optimizer)
    held.dense_slots = held.dense_gradients = True
    train(model, optimizer)
    slots = momenta(optimizer, weight)["momentum_buffer"]
    kept = mask["0.weight"]
    assert bool((slots[~kept] != 0).any())
    assert is_zero(model, mask)
    held.remask(Mask({**mask, "0.weight": ~kept}), {"0.weight": ~kept})
    assert torch.equal(momenta(optimizer, weight)["momentum_buffer"], slots)
    assert not bool(weight.detach().any())


def test_another_mask_is_over_the_same_weights() -> None:
    model = network()
    mask = mask_of(model)
    held = wn.sparsify(model, mask)
    with pytest.raises(UserError, match=r"the new mask lacks '0\.weight', '3\.weight'"):
        held.remask(Mask({"4.weight": mask["4.weight"]}))
    assert held.mask == mask


def test_state_dict_and_copies_inside() -> None:
    model = network()
    keys = list(model.state_dict())
    mask = mask_of(model)
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    with wn.sparsify(model, mask, optimizer):
        train(model, optimizer)
        assert list(model.state_dict()) == keys
        twin = copy.deepcopy(model)
        buffer = io.BytesIO()
        torch.save(model, buffer)
        whole = torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
        states = io.BytesIO()
        torch.save(model.state_dict(), states)
        fresh = network()
        fresh.load_state_dict(torch.load(io.BytesIO(states.getvalue()), weights_only=True))
        for other in (twin, whole, fresh):
            assert is_zero(other, mask)
            assert torch.equal(other.eval()(X), model.eval()(X))
        model.train()
        # A copy is free of the mask, and a mask attached to it leaves the original alone.
        own = OPTIMIZERS["momentum"](twin.parameters())
        train(twin.train(), own, 1)
        assert not is_zero(twin, mask)
        with wn.sparsify(twin, mask, own):
            train(twin, own)
            assert is_zero(twin, mask)
        train(model, optimizer)
        assert is_zero(model, mask)


def test_export_inside() -> None:
    model = network().eval()
    mask = mask_of(model)
    with wn.sparsify(model, mask, OPTIMIZERS["sgd"](model.parameters())):
        exported = torch.export.export(model, (X,))
        assert torch.allclose(exported.module()(X), model(X))
        assert torch.equal(exported.state_dict["0.weight"], model[0].weight)


@pytest.mark.parametrize("given", ["model", "compiled"])
def test_training_through_a_compiled_model(given: str) -> None:
    torch._dynamo.reset()
    model, plain = network(), network()
    mask = mask_of(model)
    compiled: Any = torch.compile(model, backend="aot_eager")
    for network_, module, target in (
        (compiled, model, compiled if given == "compiled" else model),
        (plain, plain, plain),
    ):
        optimizer = OPTIMIZERS["adam"](module.parameters())
        with wn.sparsify(target, mask, optimizer):
            train(network_, optimizer)
            assert is_zero(module, mask)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own imports
def test_training_with_inductor() -> None:
    torch._dynamo.reset()
    model = network()
    mask = mask_of(model)
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    with wn.sparsify(model, mask, optimizer):
        train(torch.compile(model, backend="inductor"), optimizer)
        assert is_zero(model, mask)


def test_compiling_inside_the_context() -> None:
    torch._dynamo.reset()
    model = network()
    mask = mask_of(model)
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    with wn.sparsify(model, mask, optimizer):
        train(torch.compile(model, backend="aot_eager"), optimizer)
        assert is_zero(model, mask)
