"""Masks that change in place on the sparse engine: against opening anew, and what it allocates."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from conformance import OPTIMIZERS, lenet, make_job, start, training_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Mixed, PreActivation, Residual
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.graph.product import Product
from winnow.engine.sparse_cpu.kernels.update import RULES
from winnow.engine.sparse_cpu.places import Places, move, places
from winnow.mask import Mask
from winnow.models import build
from winnow.state import State, fresh_state, remasked

SPARSE = SparseEngine()
MOMENTUM, ADAM = OPTIMIZERS[1], OPTIMIZERS[3]
DENSITIES = st.sampled_from([0.0, 0.05, 0.3, 1.0])
SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def same(one: State, other: State) -> None:
    assert (one.step, one.updates, one.mask) == (other.step, other.updates, other.mask)
    assert one.slots.keys() == other.slots.keys()
    groups = [(one.weights, other.weights), (one.buffers, other.buffers)]
    for mine, theirs in groups + [(one.slots[s], other.slots[s]) for s in one.slots]:
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def as_arrays(keep: np.ndarray) -> Places:
    """Places of a mask without the short cuts for what is whole."""
    index = np.flatnonzero(keep)
    return Places(len(index), index, np.arange(len(index)))


@settings(max_examples=60, **SLOW)
@given(st.integers(0, 999), DENSITIES, DENSITIES, st.booleans(), st.booleans())
def test_values_move_as_in_a_dense_array(seed, before, after, shuffled, restarting):
    draw = np.random.default_rng(seed)
    was, keep = (draw.random((5, 7)) < density for density in (before, after))
    anew = keep & (draw.random((5, 7)) < 0.4) if restarting else None
    ends = []
    for bits in (was, keep):
        order = draw.permutation(bits.sum()) if shuffled else slice(None)
        ends.append(dataclasses.replace(places(bits), order=order))
    dense = np.where(was, draw.standard_normal((5, 7)), 0).astype(np.float32)
    first = draw.standard_normal(0 if anew is None else anew.sum()).astype(np.float32)
    expected = np.where(keep, dense, 0)
    if anew is not None:
        expected[anew] = first
    moved = move(*ends, was, keep, anew)
    found = moved.values(ends[0].of(dense.reshape(-1)), first)
    assert np.array_equal(found, expected.reshape(-1)[ends[1].flat])
    for bits, found in zip((was, keep), ends, strict=True):
        plain = as_arrays(bits)
        assert np.array_equal(np.sort(found.flat), plain.flat)
        assert np.array_equal(found.ascending(found.of(dense.reshape(-1))), dense[bits])


def drawn_mask(draw: st.DataObject, model: torch.nn.Module, before: Mask | None) -> Mask:
    """A mask over some parameters of any shape; layers dense, empty, or as they were before."""
    generator = torch.Generator().manual_seed(draw.draw(st.integers(0, 2**31)))
    bits = {}
    for name, p in model.named_parameters():
        if before is not None and draw.draw(st.booleans()):
            bits[name] = before[name]
        else:
            bits[name] = torch.rand(p.shape, generator=generator) < draw.draw(DENSITIES)
    return Mask(bits)


CHAIN = make_job(lenet(), training_data((1, 4, 4)))
IMAGES = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")


def check(job, draw) -> None:
    """A few changes one after the other, each against opening the changed state."""
    torch.manual_seed(draw.draw(st.integers(0, 99)))
    model = job.build()
    mask = drawn_mask(draw, model, None)
    session = SPARSE.open(job, fresh_state(model, mask))
    for step in (2, 5, 7):
        session.advance(step)
        state = session.state()
        after = drawn_mask(draw, model, mask)
        given: tuple[dict[str, torch.Tensor], ...] = ()
        if draw.draw(st.booleans()):
            grown = {n: after[n] & (torch.rand(after[n].shape) < 0.5) for n in list(after)[::2]}
            given = ({n: torch.randn(int(g.sum())) for n, g in grown.items()}, grown)
        session.remask(after, *given)
        mask, expected = after, remasked(state, after, *given)
        same(session.state(), expected)
        kept = session.kept()
        assert kept.keys() == set(after)
        assert all(torch.equal(kept[n], expected.weights[n][after[n]]) for n in after)
        other = SPARSE.open(job, expected)
        assert session.evaluate("test") == other.evaluate("test")
        session.advance(step + 2)
        other.advance(step + 2)
        same(session.state(), other.state())


@settings(max_examples=25, **SLOW)
@given(st.sampled_from([o for o in OPTIMIZERS if o["name"] in RULES]), st.data())
def test_a_chain_trains_on_as_if_opened_anew(optimizer, data):
    check(dataclasses.replace(CHAIN, optimizer=optimizer), data)


@pytest.mark.parametrize("network", [Residual, Mixed, PreActivation], ids=lambda n: n.__name__)
def test_other_networks_train_on_as_if_opened_anew(network):
    @settings(max_examples=4, **SLOW)
    @given(st.sampled_from([MOMENTUM, ADAM]), st.data())
    def checked(optimizer, data):
        check(make_job(network, IMAGES, optimizer=optimizer), data)

    checked()


@pytest.mark.parametrize("in_torch", [(), ("features.0.weight", "hidden.1.weight")])
def test_layers_that_torch_runs_change_too(in_torch):
    job = make_job(lambda: build("conv-2", inputs=(3, 8, 8), classes=10), IMAGES, optimizer=ADAM)
    names = [n for n, p in job.build().named_parameters() if p.ndim > 1]
    in_torch = tuple(n for n in names if n in (names[0], names[-1])) if in_torch else ()
    engine, state = SparseEngine(in_torch), start(job, 0.3)
    session = engine.open(job, state)
    for step, density in enumerate((0.5, 1.0, 1.0, 0.2), start=1):
        session.advance(step)
        state = session.state()
        mask = Mask({n: torch.rand(state.weights[n].shape) < density for n in names})
        session.remask(mask)
        other = engine.open(job, remasked(state, mask))
        session.perturb(lambda _, values: values * 1.01)
        other.perturb(lambda _, values: values * 1.01)
        session.advance(step + 1)
        other.advance(step + 1)
        same(session.state(), other.state())


def test_layers_with_the_same_mask_are_left_alone():
    job = make_job(Residual, IMAGES)
    session = SPARSE.open(job, start(job, 0.5))
    session.advance(2)
    products = {o.names[0]: o for o in session.graph.operations if isinstance(o, Product)}
    lists = {name: product.forward_list for name, product in products.items()}
    weight = session.graph.parameters.weight
    mask = session.mask
    other = {name: mask[name] for name in mask}
    other["second.weight"] = mask["second.weight"].flip(0)  # as many, elsewhere
    session.remask(Mask(other))
    assert {n for n in lists if products[n].forward_list is not lists[n]} == {"second.weight"}
    assert session.graph.parameters.weight is weight
    other["second.weight"] = torch.ones_like(mask["second.weight"])  # more of them
    session.remask(Mask(other))
    assert session.graph.parameters.weight is not weight
    assert {n for n in lists if products[n].forward_list is not lists[n]} == {"second.weight"}


# ---- what it may allocate


class Floats(TorchDispatchMode):
    """The most numbers of any float tensor that torch makes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor) and one.is_floating_point():
                self.largest = max(self.largest, one.numel())
        return result


def allocated(work) -> tuple[int, int]:
    """The peak of numpy's and Python's memory, in bytes, and `Floats.largest`."""
    with Floats():  # torch imports what this needs when it is first used
        torch.zeros(2).add(1)
    floats = Floats()
    tracemalloc.start()
    try:
        with floats:
            work()
        return tracemalloc.get_traced_memory()[1], floats.largest
    finally:
        tracemalloc.stop()


def wide():
    return build("lenet-300-100", inputs=(1, 4, 4), classes=10, hidden=[1200, 1000])


def deep():
    return nn.Sequential(
        nn.Conv2d(3, 320, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(320, 384, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(384, 10),
    )


LARGE = [(wide, (1, 4, 4), "hidden.1.weight"), (deep, (3, 4, 4), "2.weight")]


@pytest.mark.parametrize(("network", "shape", "name"), LARGE, ids=["chain", "graph"])
def test_a_change_makes_no_dense_floats(network, shape, name):
    job = make_job(network, training_data(shape), optimizer=ADAM)
    state = start(job, 0.005)
    size = state.mask[name].numel()
    assert size > 10**6
    session = SPARSE.open(job, state)
    session.advance(2)
    mask = Mask({n: keep.flip(0) for n, keep in state.mask.items()})
    fewer = Mask({n: keep & (torch.rand(keep.shape) < 0.8) for n, keep in mask.items()})
    for changed in (mask, fewer):
        peak, largest = allocated(lambda changed=changed: session.remask(changed))
        assert peak < 4 * size  # of one dense copy; masks are a quarter of that
        assert largest < size // 20
    peak, largest = allocated(lambda: session.perturb(lambda _, values: values + 0.1))
    assert peak < 4 * size // 10
    assert largest < size // 20
    peak, _ = allocated(session.state)
    _, largest = allocated(lambda: session.gradient())
    assert peak > 4 * size  # the measures see what is dense
    assert largest >= size


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("set", {"every": "1it"}),
        ("deep-r", {"temperature": 1e-3}),
        ("dsr", {"every": "1it", "threshold": 0.05}),
        ("gradual", {"every": "1it", "initial": 0.006}),
    ],
)
def test_no_update_of_a_method_makes_dense_floats(method, options):
    job = make_job(wide, training_data((1, 4, 4)), optimizer=ADAM)
    dynamic = make_dynamic(method, 0.005, **options)
    names = ["hidden.0.weight", "hidden.1.weight"]
    state = start_dynamic(dynamic, start(job, None), names, seed=3)
    session = Driven(SPARSE, dynamic, 3).open(job, state)
    session.advance(2)
    before = session.state().mask
    peak, largest = allocated(lambda: session.advance(6))
    assert session.state().mask != before
    size = before["hidden.1.weight"].numel()
    assert peak < 4 * size
    assert largest < size // 20
