"""When an iteration is one, whoever calls the optimizer, and where its gradients come from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

import winnow as wn
from winnow.algorithms.dynamic.iterations import Iterations
from winnow.algorithms.dynamic.loop import Dynamic
from winnow.errors import UserError

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 4

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True, weight_decay=0.5),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.01),
}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 4))


def rigl(model: nn.Module, optimizer: Any, every: str = "3it", **more: Any) -> Dynamic:
    return wn.dynamic(
        model, "rigl", density=0.3, optimizer=optimizer, steps="60it", every=every, **more
    )


def backward(model: nn.Module, optimizers: list[Any], scale: float = 1.0) -> Tensor:
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = F.cross_entropy(model(X), Y) * scale
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def values(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def is_zero(model: nn.Module, sparse: Dynamic) -> bool:
    named = dict(model.named_parameters())
    return all(not named[n].detach()[~keep].any() for n, keep in sparse.mask.items())


def everything(state: Any) -> Any:
    return copy.deepcopy({k: v for k, v in state.items() if v})


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_update_leaves_weights_and_slots_of_every_optimizer(
    make: Callable[..., Optimizer],
) -> None:
    """All but what the mask says: what was dropped is 0, and so is what was grown."""
    model = network()
    optimizer = make(model.parameters())
    sparse = rigl(model, optimizer)
    for step in range(12):
        backward(model, [optimizer])
        before, mask, slots = values(model), sparse.mask, everything(optimizer.state)
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        sparse.step()
        assert sparse.made == step + 1
        assert is_zero(model, sparse)
        if step % 3:
            assert not same(before, values(model))
            continue
        stays = {n: mask[n] & sparse.mask[n] for n in mask}
        for (name, weight), old in zip(model.named_parameters(), before, strict=True):
            expected = old * stays[name] if name in stays else old
            assert torch.equal(weight.detach(), expected)
            assert weight.grad is not None
            kept = sparse.mask[name] if name in stays else torch.ones_like(old).bool()
            assert torch.equal(weight.grad, gradients[name] * kept)
            for slot, value in slots.get(weight, {}).items():
                now = optimizer.state[weight][slot]
                if isinstance(value, Tensor):
                    inside = name in stays and value.shape == weight.shape
                    assert torch.equal(now, value * stays[name] if inside else value), slot


def test_it_grows_where_the_dense_gradient_is_largest() -> None:
    """Against autograd's own gradient, with a loop that calls the optimizer itself."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparse = rigl(model, optimizer)
    for step in range(12):
        before = sparse.mask
        dense = torch.autograd.grad(F.cross_entropy(model(X), Y), list(model.parameters()))
        gradients = dict(zip(dict(model.named_parameters()), dense, strict=True))
        backward(model, [optimizer])
        optimizer.step()  # no sparse.step(): as a trainer does
        assert sparse.made == step + 1
        if step % 3:
            assert sparse.mask == before
            continue
        for name, keep in sparse.mask.items():
            grown, size = keep & ~before[name], gradients[name].abs()
            if grown.any():
                assert float(size[grown].min()) >= float(size[~keep & ~before[name]].max())
    assert sparse.mask != before or step % 3


def test_trainers_and_step_make_the_same_training() -> None:
    ways: list[Callable[[Dynamic, Optimizer], object]] = [
        lambda sparse, _: sparse.step(),
        lambda _, optimizer: optimizer.step(),
        lambda sparse, optimizer: sparse.step(optimizer.step),
        lambda sparse, _: sparse.step(closure=lambda: None),
    ]
    ends = []
    for way in ways:
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        sparse = rigl(model, optimizer)
        for _ in range(20):
            backward(model, [optimizer])
            way(sparse, optimizer)
        ends.append((sparse.made, sparse.mask, values(model)))
    for made, mask, end in ends:
        assert made == 20
        assert mask == ends[0][1]
        assert same(end, ends[0][2])


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("name", ["rigl", "set", "deep-r", "snfs"])
def test_closures_give_the_training_that_loops_give(name: str, by_name: bool) -> None:
    """Gradients exist only inside of the closure: RigL must read them there."""
    ends = []
    for closed in (False, True):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        every = {"every": "3it"} if name != "deep-r" else {"temperature": 1e-3}
        sparse = wn.dynamic(
            model, name, density=0.3, optimizer=optimizer, steps="60it", per_epoch=5, **every
        )

        def closure() -> Tensor:
            return backward(model, [optimizer])  # noqa: B023

        for step in range(12):
            if not closed:
                closure()
                sparse.step()
                continue
            optimizer.zero_grad()
            if by_name:
                optimizer.step(closure=closure)  # type: ignore[arg-type]
            else:
                loss = sparse.step(closure=closure)
                assert float(loss.detach()) > 0
            assert sparse.made == step + 1
            assert is_zero(model, sparse)
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    assert same(ends[0][1], ends[1][1])


def test_lbfgs() -> None:
    """It calls its closure several times a step, but at an update once."""
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    sparse = rigl(model, optimizer)
    calls: list[int] = []

    def closure() -> Tensor:
        calls[-1] += 1
        return backward(model, [optimizer])

    losses, changed = [], 0
    for step in range(15):
        before, mask = values(model), sparse.mask
        calls.append(0)
        losses.append(float(sparse.step(closure=closure).detach()))
        assert sparse.made == step + 1
        assert is_zero(model, sparse)
        changed += mask != sparse.mask
        if step % 3:
            assert calls[-1] > 1
        else:
            assert calls[-1] == 1
            stays = {n: mask[n] & sparse.mask[n] for n in mask}
            for (name, weight), old in zip(model.named_parameters(), before, strict=True):
                assert torch.equal(weight, old * stays[name] if name in stays else old)
    assert changed == 5
    assert max(losses) < 1.4  # 5.9 with the curvature of the masks before


class Sam(torch.optim.Optimizer):
    """Calls its closure twice: at the weights, and where the loss is largest nearby."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def step(self, closure: Any = None) -> Any:
        loss = closure()
        with torch.no_grad():
            moved = [
                (p, p.grad.clone()) for p in self.param_groups[0]["params"] if p.grad is not None
            ]
            for p, g in moved:
                p.add_(g, alpha=0.05)
        closure()
        with torch.no_grad():
            for p, g in moved:
                p.sub_(g, alpha=0.05)
            for p in self.param_groups[0]["params"]:
                if p.grad is not None:
                    p.sub_(p.grad, alpha=0.1)
        return loss


def test_an_optimizer_that_calls_its_closure_twice_does_not_move_at_updates() -> None:
    model = network()
    optimizer = Sam(model.parameters())
    sparse = rigl(model, optimizer)
    for step in range(7):
        before, mask = values(model), sparse.mask
        sparse.step(closure=lambda: backward(model, [optimizer]))
        assert is_zero(model, sparse)
        if step % 3 == 0:
            stays = {n: mask[n] & sparse.mask[n] for n in mask}
            for (name, weight), old in zip(model.named_parameters(), before, strict=True):
                assert torch.equal(weight, old * stays[name] if name in stays else old)


# ---- steps that are not made


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["rigl", "set"])
def test_steps_that_a_gradient_scaler_leaves_out_are_no_iterations(name: str, fused: bool) -> None:
    """Infinite gradients at the update itself (iteration 3), and at a step (iteration 4)."""
    ends = []
    for infinite in ((), (3, 5)):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused)
        sparse = wn.dynamic(
            model, name, density=0.3, optimizer=optimizer, steps="60it", per_epoch=5, every="3it"
        )
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for call in range(10 + len(infinite)):
            optimizer.zero_grad()
            scaled: Any = scaler.scale(F.cross_entropy(model(X), Y))
            (scaled * (torch.inf if call in infinite else 1.0)).backward()
            made, mask = sparse.made, sparse.mask
            sparse.step(lambda: scaler.step(optimizer))  # noqa: B023
            scaler.update()
            assert sparse.made == made + (call not in infinite)
            assert call not in infinite or mask == sparse.mask
            assert is_zero(model, sparse)
        assert scaler.get_scale() == 1024 / 2 ** len(infinite)
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_accumulated_gradients() -> None:
    """RigL reads the sum over the parts: the training is that on the whole batch."""
    ends = []
    for parts in (1, 4):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        sparse = rigl(model, optimizer)
        for _ in range(8):
            optimizer.zero_grad()
            for x, y in zip(X.chunk(parts), Y.chunk(parts), strict=True):
                loss: Any = F.cross_entropy(model(x), y) / parts
                loss.backward()
            sparse.step()
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        torch.testing.assert_close(one, other)


# ---- several optimizers


def two(model: nn.Sequential) -> list[Any]:
    return [
        torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9),
        torch.optim.SGD([*model[2].parameters(), *model[3].parameters()], lr=0.1, momentum=0.9),
    ]


@pytest.mark.parametrize("name", ["rigl", "set", "deep-r", "dsr", "snfs", "gradual"])
def test_two_optimizers_make_the_training_of_one(name: str) -> None:
    options = {"temperature": 1e-3} if name == "deep-r" else {"every": "3it"}
    ends = []
    for several in (False, True):
        model = network()
        optimizers = two(model)
        if not several:
            optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)]
        sparse = wn.dynamic(
            model, name, density=0.3, optimizer=optimizers, steps="60it", per_epoch=5, **options
        )
        for step in range(12):
            backward(model, optimizers)
            sparse.step()
            assert sparse.made == step + 1
            assert is_zero(model, sparse)
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    assert same(ends[0][1], ends[1][1])


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")
@pytest.mark.parametrize("order", [1, -1])
def test_muon_and_adamw(order: int) -> None:
    """The second holds no masked weight, and does not move at updates either."""
    model = network()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    muon: Any = torch.optim.Muon(matrices, lr=0.02)
    optimizers = [muon, torch.optim.AdamW(others, lr=0.01)][::order]
    sparse = rigl(model, optimizers)
    first, changed = sparse.mask, 0
    for step in range(12):
        backward(model, optimizers)
        bias, mask = others[0].detach().clone(), sparse.mask
        for optimizer in optimizers:  # as a trainer does
            optimizer.step()
        assert sparse.made == step + 1
        assert sparse.mask.kept == first.kept
        assert is_zero(model, sparse)
        assert torch.equal(bias, others[0].detach()) == (step % 3 == 0)
        changed += mask != sparse.mask
    assert changed == 4


def test_an_iteration_that_one_optimizer_leaves_out() -> None:
    """It is over when the other makes its next step, and the next update is not missed."""
    model = network()
    optimizers = two(model)
    sparse = rigl(model, optimizers)
    for step in range(6):
        backward(model, optimizers)
        mask = sparse.mask
        optimizers[0].step()
        if step != 2:  # the step before an update
            optimizers[1].step()
        assert sparse.made == (step if step == 2 else step + 1)
        assert (mask != sparse.mask) == (step % 3 == 0)
        assert is_zero(model, sparse)
    optimizers[0].zero_grad()
    with pytest.raises(UserError, match="has no gradient for rigl at iteration 6"):
        optimizers[0].step()


def test_one_of_two_calls_is_an_iteration_when_step_says_so() -> None:
    model = network()
    optimizers = two(model)
    sparse = rigl(model, optimizers)
    for step in range(4):
        backward(model, optimizers)
        sparse.step(optimizers[0].step)
        assert sparse.made == step + 1


def test_snfs_needs_a_momentum_of_those_that_hold_weights() -> None:
    model = network()
    weights = [p for p in model.parameters() if p.dim() == 2]
    biases = [p for p in model.parameters() if p.dim() != 2]
    plain = torch.optim.SGD(biases, lr=0.1)
    wn.dynamic(
        model,
        "snfs",
        density=0.3,
        optimizer=[plain, torch.optim.SGD(weights, lr=0.1, momentum=0.9)],
        steps="60it",
        per_epoch=5,
    )
    with pytest.raises(UserError, match="snfs grows by momentum"):
        wn.dynamic(
            model,
            "snfs",
            density=0.3,
            optimizer=[torch.optim.SGD(biases, lr=0.1, momentum=0.9),
                       torch.optim.SGD(weights, lr=0.1)],
            steps="60it",
            per_epoch=5,
        )  # fmt: skip


# ---- the rest


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dynamo's own imports
def test_compiled_models_and_compiled_steps() -> None:
    torch._dynamo.reset()
    ends = []
    for compiled in (False, True):
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        run: Any = torch.compile(model, backend="aot_eager") if compiled else model
        step: Any = torch.compile(optimizer.step, backend="aot_eager") if compiled else None
        sparse = rigl(run, optimizer)
        for _ in range(7):
            backward(run, [optimizer])
            sparse.step(step)
            assert is_zero(model, sparse)
        assert sparse.made == 7
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_bfloat16_under_autocast_and_as_weights() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = network().to(dtype)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        sparse = rigl(model, optimizer)
        first = sparse.mask
        for _ in range(7):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
                loss = F.cross_entropy(model(X.to(dtype)).float(), Y)
            loss.backward()  # type: ignore[no-untyped-call]
            sparse.step()
            assert is_zero(model, sparse)
            assert sparse.mask.kept == first.kept
        assert sparse.mask != first


def test_both_ways_to_give_a_closure() -> None:
    model = network()
    sparse = rigl(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(UserError, match=r"got optimizer_step and closure="):
        sparse.step(lambda: None, closure=lambda: None)


class Averaging(torch.optim.SGD):
    """Draws all weights to where they began, whether they have gradients or not."""

    def step(self, closure: Any = None) -> Any:
        found = super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                start = self.state[p].setdefault("start", p.detach().clone())
                p.lerp_(start, 0.1)
        return found


def test_an_optimizer_that_moves_without_gradients_is_told() -> None:
    """It cannot be made to stand still at RigL's updates; after steps masks may change."""
    model = network()
    optimizer = Averaging(model.parameters(), lr=0.1)
    sparse = rigl(model, optimizer)
    for _ in range(3):
        backward(model, [optimizer])
        sparse.step()
    backward(model, [optimizer])
    with pytest.raises(UserError, match="Averaging moves parameters that have no gradient"):
        sparse.step()
    other = network()
    optimizer = Averaging(other.parameters(), lr=0.1)
    sparse = wn.dynamic(
        other, "set", density=0.3, optimizer=optimizer, steps="60it", every="3it", per_epoch=5
    )
    for _ in range(7):
        backward(other, [optimizer])
        sparse.step()
        assert is_zero(other, sparse)


def test_after_a_step_that_failed_training_goes_on() -> None:
    """At an update, whose gradients come back, and in a step after it."""
    for failing in (3, 4):
        model = network()
        optimizer = Failing(model.parameters(), lr=0.1)
        sparse = rigl(model, optimizer)
        for step in range(8):
            backward(model, [optimizer])
            optimizer.fails = step == failing
            new = [p.grad for p in model.parameters()]
            if optimizer.fails:
                with pytest.raises(RuntimeError, match="out of memory"):
                    sparse.step()
                continue
            sparse.step()
            assert is_zero(model, sparse)
            for p, gradient in zip(model.parameters(), new, strict=True):
                assert p.grad is gradient
        assert sparse.made == 8


class Failing(torch.optim.SGD):
    """Runs out of memory when told to."""

    fails = False

    def step(self, closure: Any = None) -> Any:
        if self.fails:
            raise RuntimeError("out of memory")
        return super().step(closure)


class Nested(torch.optim.SGD):
    """Its step is hooked, and so is the one that it calls."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.parametrize("closed", [False, True])
def test_a_step_that_calls_that_of_its_base_class_is_one_iteration(closed: bool) -> None:
    ends = []
    for kind in (torch.optim.SGD, Nested):
        model = network()
        optimizer = kind(model.parameters(), lr=0.1, momentum=0.9)
        sparse = rigl(model, optimizer)
        for step in range(8):
            if closed:
                sparse.step(closure=lambda: backward(model, [optimizer]))  # noqa: B023
            else:
                backward(model, [optimizer])
                sparse.step()
            assert sparse.made == step + 1
        ends.append((sparse.mask, values(model)))
    assert ends[0][0] == ends[1][0]
    assert same(ends[0][1], ends[1][1])


def test_no_hooks_are_left() -> None:
    model = network()
    optimizers = two(model)
    rigl(model, optimizers).close()
    for optimizer in optimizers:
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks


def test_a_step_in_a_cuda_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay would run no hook."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparse = rigl(model, optimizer)
    backward(model, [optimizer])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(UserError, match="captured in a CUDA graph"):
        sparse.step()


def test_begin_and_end_once_an_iteration() -> None:
    """With optimizers that step in turn, in another order each time."""
    calls: list[str] = []
    optimizers: list[Any] = two(network())

    def begin() -> bool:
        calls.append("begin")
        return False

    watched = Iterations(optimizers, begin, lambda: calls.append("end"))
    for order in ((0, 1), (1, 0), (0, 1)):
        for which in order:
            optimizers[which].step()
    assert calls == ["begin", "end"] * 3
    optimizers[1].step()
    optimizers[1].step()
    assert calls[6:] == ["begin", "end", "begin"]
    watched.finish()
    watched.finish()
    assert calls[6:] == ["begin", "end", "begin", "end"]
    watched.close()
    optimizers[0].step()
    assert len(calls) == 10
