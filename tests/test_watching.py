"""What others write to sparsified weights, or put in their place, is noticed before it is used."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError

X, Y = torch.randn(12, 8), torch.arange(12) % 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def live(model: nn.Module, mask: wn.Mask) -> int:
    named = dict(model.named_parameters())
    return sum(int((named[n] != 0)[~mask[n]].sum()) for n in mask)


def in_forward(model: nn.Module, mask: wn.Mask, x: Tensor = X) -> int:
    """Removed weights that the next forward pass uses."""
    found: list[int] = []
    hook = model.register_forward_hook(lambda *_: found.append(live(model, mask)))
    model(x.to(next(model.parameters()).dtype))
    hook.remove()
    return found[0]


@contextmanager
def conversions(swap: bool, overwrite: bool) -> Iterator[None]:
    torch.__future__.set_swap_module_params_on_conversion(swap)
    torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def loaded(model: nn.Module) -> None:
    model.load_state_dict(network().state_dict())


def assigned(model: nn.Module) -> None:
    model.load_state_dict(network().state_dict(), assign=True)


def swapped_load(model: nn.Module) -> None:
    with conversions(swap=True, overwrite=False):
        model.load_state_dict(network().state_dict())


def part_loaded(model: nn.Module) -> None:
    model[0].load_state_dict(network()[0].state_dict())  # type: ignore[operator,index]


def part_assigned(model: nn.Module) -> None:
    model[0].load_state_dict(network()[0].state_dict(), assign=True)  # type: ignore[operator,index]


def doubled(model: nn.Module) -> None:
    model.double()


def halved(model: nn.Module) -> None:
    model.to(torch.bfloat16)


def swapped(model: nn.Module) -> None:
    with conversions(swap=True, overwrite=False):
        model.double()


def overwritten(model: nn.Module) -> None:
    with conversions(swap=False, overwrite=True):
        model.double()


def new_parameter(model: nn.Module) -> None:
    model[0].weight = nn.Parameter(torch.randn(16, 8))  # type: ignore[index]


def drawn(model: nn.Module) -> None:
    nn.init.normal_(model[0].weight)  # type: ignore[index]


def new_data(model: nn.Module) -> None:
    model[0].weight.data = torch.randn(16, 8)  # type: ignore[index]


def as_vector(model: nn.Module) -> None:
    vector = nn.utils.parameters_to_vector(network().parameters())
    nn.utils.vector_to_parameters(vector, model.parameters())


def tensors_swapped(model: nn.Module) -> None:
    torch.utils.swap_tensors(model[0].weight, nn.Parameter(torch.randn(16, 8)))  # type: ignore[index]


WAYS: dict[str, Callable[[nn.Module], None]] = {
    f.__name__: f
    for f in (
        *(loaded, assigned, swapped_load, part_loaded, part_assigned, doubled, halved, swapped),
        *(overwritten, new_parameter, drawn, new_data, as_vector, tensors_swapped),
    )
}
REPLACING = ("assigned", "part_assigned", "overwritten", "new_parameter")


def made() -> tuple[nn.Module, wn.Mask]:
    model = network()
    return model, wn.prune(wn.score(model, "magnitude"), density=0.3)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(X.to(next(model.parameters()).dtype)).float(), Y).backward()
        optimizer.step()


@pytest.mark.parametrize("with_optimizer", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_no_removed_weight_is_used(way: str, with_optimizer: bool) -> None:
    model, mask = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with wn.sparsify(model, mask, optimizer if with_optimizer else None) as held:
        train(model, optimizer, 2)
        WAYS[way](model)
        assert in_forward(model, mask) == 0
        if with_optimizer and way in REPLACING:
            F.cross_entropy(model(X.to(model[0].weight.dtype)).float(), Y).backward()  # type: ignore[index,arg-type]
            with pytest.raises(UserError, match=r"'0.weight'.*have been replaced.*SGD.*anew"):
                optimizer.step()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        if with_optimizer:
            held.attach(optimizer)
        for _ in range(3):
            train(model, optimizer)
            assert live(model, mask) == 0  # gradients are masked again as well
            weight = model[0].weight  # type: ignore[index]
            assert not weight.grad[~mask["0.weight"]].any()  # type: ignore[union-attr,index]
    assert not model._forward_pre_hooks
    assert not any(m._load_state_dict_post_hooks for m in model.modules())
    train(model, optimizer, 2)
    assert live(model, mask) > 0


@pytest.mark.parametrize("way", WAYS)
def test_at_the_next_step_without_a_forward_pass(way: str) -> None:
    model, mask = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with wn.sparsify(model, mask, optimizer):
        train(model, optimizer)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        WAYS[way](model)
        if way in REPLACING:
            with pytest.raises(UserError, match="have been replaced"):
                optimizer.step()
        else:
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        assert live(model, mask) == 0


@pytest.mark.parametrize("way", ["loaded", "drawn", "swapped_load", "assigned", "new_parameter"])
def test_dynamic_methods(way: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with wn.dynamic(
        model, "rigl", optimizer=optimizer, density=0.3, steps="40it", every="3it",
        ignore="2.weight",
    ) as training:  # fmt: skip
        for step in range(12):
            optimizer.zero_grad()
            F.cross_entropy(model(X), Y).backward()
            if step == 5:
                WAYS[way](model)
                assert in_forward(model, training.mask) == 0
                if way in REPLACING:
                    with pytest.raises(UserError, match="have been replaced"):
                        training.step()
                    return
                optimizer.zero_grad()
                F.cross_entropy(model(X), Y).backward()
            training.step()
            assert live(model, training.mask) == 0


def test_a_dynamic_run_is_restored_in_its_usual_order() -> None:
    """Model first, mask afterwards: the weights of the stored mask are not touched in between."""

    def run() -> tuple[nn.Module, torch.optim.Optimizer, wn.Dynamic]:
        torch.manual_seed(0)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return model, optimizer, wn.dynamic(
            model, "set", optimizer=optimizer, density=0.3, steps="40it", every="3it"
        )  # fmt: skip

    model, optimizer, training = run()
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        training.step()
    again, other, restored = run()
    again.load_state_dict(model.state_dict())
    other.load_state_dict(optimizer.state_dict())
    restored.load_state_dict(training.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True)
    )
    training.close(), restored.close()


@pytest.mark.parametrize("first", [False, True], ids=["compiled after", "compiled before"])
def test_compiled(first: bool) -> None:
    model, mask = made()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with wn.sparsify(compiled if first else model, mask, optimizer):  # type: ignore[arg-type]
        train(compiled, optimizer, 2)  # type: ignore[arg-type]
        for way in (loaded, drawn):
            way(model)
            if first or way is loaded:
                compiled(X)
                assert live(model, mask) == 0
            train(compiled, optimizer)  # type: ignore[arg-type]
            assert live(model, mask) == 0


def test_data_parallel() -> None:
    model, mask = made()
    wrapped = nn.DataParallel(model)
    with wn.sparsify(wrapped, mask):
        wrapped.load_state_dict(nn.DataParallel(network()).state_dict())
        wrapped(X)
        assert live(model, mask) == 0


def test_copies_and_files_carry_no_watch() -> None:
    model, mask = made()
    with wn.sparsify(model, mask):
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
            nn.init.ones_(other[0].weight)
            other(X)
            assert (other[0].weight == 1).all()
            other.load_state_dict(network().state_dict())
        torch.export.export(model, (X,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(model, X)
        torch.fx.symbolic_trace(model)
        deep = {name: torch.ones_like(p) for name, p in model.named_parameters()}
        as_is = torch.func.functional_call(model, deep, (X,))
        other = network()
        for parameter in other.parameters():
            nn.init.ones_(parameter)
        same = torch.func.functional_call(model, dict(other.named_parameters()), (X,))
        torch.testing.assert_close(as_is, same)
        assert all((p == 1).all() for p in other.parameters())


def test_scoring_inside_sees_what_it_replaces() -> None:
    """A criterion that scores another draw is not masked meanwhile, and nothing stays changed."""
    model, mask = made()
    given = {"batch": (X, Y), "loss_fn": F.cross_entropy, "init": "glorot-normal", "init_seed": 1}
    plain = wn.score(model, "snip", **given)  # type: ignore[arg-type]
    with wn.sparsify(model, mask):
        before = copy.deepcopy(model.state_dict())
        again = wn.score(model, "snip", **given)  # type: ignore[arg-type]
        assert all(torch.equal(plain[n], again[n]) for n in plain)
        assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
        for hook in model._forward_pre_hooks.values():
            assert not hook.paused  # type: ignore[attr-defined]


def test_what_is_no_parameter_any_more_or_no_longer_tied_is_named() -> None:
    model, mask = made()
    with wn.sparsify(model, mask):
        nn.utils.parametrizations.weight_norm(model[0])
        with pytest.raises(UserError, match=r"'0\.weight' is no parameter of the model any more"):
            model(X)
    tied = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    tied[1].weight = tied[0].weight
    mask = wn.prune(wn.score(tied, "magnitude"), density=0.5)
    state = copy.deepcopy(tied.state_dict())
    with wn.sparsify(tied, mask):
        tied.load_state_dict({n: t.clone() for n, t in state.items()}, assign=True)
        with pytest.raises(UserError, match=r"one weight in 2 places \(tied\), and now"):
            tied(torch.randn(2, 6))


def test_frozen_and_inference_models() -> None:
    model, mask = made()
    model.requires_grad_(False)
    with wn.sparsify(model, mask):
        loaded(model)
        with torch.inference_mode():
            model(X)
        assert live(model, mask) == 0
