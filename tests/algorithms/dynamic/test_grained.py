"""RigL, SET and gradual pruning with rows, N:M and blocks, which hold exactly after each update."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from dynamic_jobs import (
    NAMES,
    dense_state,
    flat_set,
    job,
    moment,
    short,
    smallest,
    tensors,
    train_dynamic,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import winnow as wn
from winnow.algorithms.dynamic import make_dynamic
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.experiment.run_parts import RunDynamic
from winnow.experiment.runs import LEGACY, identity

SHAPES = {"a": (6, 8), "b": (4, 4, 2, 2), "c": (4, 12)}
METHODS = ["set", "rigl", "gradual"]
ROW = {"set": {"distribution": "row"}, "rigl": {"distribution": "row"}, "gradual": {"scope": "row"}}


def holds(mask, pattern=None, rows=None, block=None):
    """Whether each tensor keeps N of M, so many in a row, or whole blocks of this share."""
    for name, keep in mask.items():
        matrix = keep.reshape(len(keep), -1)
        if pattern is not None:
            n, m = pattern
            assert (matrix.reshape(-1, m).sum(1) == n).all(), name
        if rows is not None:
            assert (matrix.sum(1) == round(rows * matrix.shape[1])).all(), name
        if block is not None:
            (r, c), share = block
            parts = matrix.reshape(len(matrix) // r, r, -1, c)
            whole = parts.all(3).all(1)
            assert torch.equal(whole, parts.any(3).any(1)), name
            if share is not None:
                assert int(whole.sum()) == round(share * whole.numel()), name


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 90), st.sampled_from([(1, 4), (2, 4), (3, 4), (1, 2)]))
def test_rigl_gives_back_to_each_group_what_it_lost(seed, step, pattern):
    """By sets of indices: the layer drops its smallest, each group grows its largest gradients."""
    n, m = pattern
    method = make_dynamic("rigl", n / m, pattern=f"{n}:{m}")
    weights, gradient = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = dict(method.start(weights, seed))
    holds(mask, pattern)
    change = method.update(moment(weights, mask, step=step, gradient=lambda: gradient))
    holds(change.mask, pattern)
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 100))
    for name, keep in mask.items():
        count = int(fraction * int(keep.sum()) + 1e-6)
        kept = flat_set(keep) - smallest(weights[name], keep, count)
        size = gradient[name].abs().reshape(-1).tolist()
        for first in range(0, keep.numel(), m):
            group = set(range(first, first + m))
            free = sorted(group - kept, key=lambda i: (-size[i], i))
            kept |= set(free[: n - len(group & kept)])
        assert flat_set(change.mask[name]) == kept


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["set", "rigl"]), st.floats(0.15, 0.9))
def test_every_output_keeps_as_many_inputs(seed, name, density):
    method = make_dynamic(name, density, distribution="row", drop=0.5)
    weights, gradient = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = dict(method.start(weights, seed))
    for step in (10, 20):
        holds(mask, rows=density)
        change = method.update(moment(weights, mask, step=step, gradient=lambda: gradient))
        for layer, keep in mask.items():  # what stays of it are all but the smallest
            gone = keep & ~change.mask[layer]
            dropped = smallest(weights[layer], keep, int(0.5 * int(keep.sum()) + 1e-6))
            assert flat_set(gone) <= dropped
        mask = change.mask
    assert method.keeps(SHAPES) == sum(int(keep.sum()) for keep in mask.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["uniform", "erk"]), st.floats(0.2, 0.8))
def test_blocks_are_dropped_and_grown_by_their_sums(seed, distribution, density):
    method = make_dynamic(
        "rigl", density, distribution=distribution, block=(2, 2), decay="constant"
    )
    weights, gradient = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = dict(method.start(weights, seed))
    holds(mask, block=((2, 2), None))
    kept = sum(int(keep.sum()) for keep in mask.values())
    assert kept == method.keeps(SHAPES) == 4 * round(density * (48 + 64 + 48) / 4)

    def sums(values, keep):
        dense = (values.abs() * keep).reshape(len(keep) // 2, 2, -1, 2)
        return dense.double().sum((1, 3))

    change = method.update(moment(weights, mask, gradient=lambda: gradient))
    holds(change.mask, block=((2, 2), None))
    for name, keep in mask.items():
        before = keep.reshape(len(keep) // 2, 2, -1, 2)[:, 0, :, 0]
        left = sums(weights[name], keep)
        count = int(0.3 * int(before.sum()) + 1e-6)
        stay = flat_set(before) - smallest(left, before, count)
        size = sums(gradient[name], torch.ones_like(keep)).reshape(-1).tolist()
        free = sorted(set(range(before.numel())) - stay, key=lambda i: (-size[i], i))
        after = change.mask[name].reshape(len(keep) // 2, 2, -1, 2)[:, 0, :, 0]
        assert flat_set(after) == stay | set(free[:count])


def test_set_grows_at_random_where_it_lost():
    weights = tensors(0, SHAPES)
    masks = []
    for seed in (1, 1, 2):
        method = make_dynamic("set", 0.5, pattern="2:4", drop=0.5)
        mask = dict(method.start(weights, 0))
        masks.append(method.update(moment(weights, mask, seed=seed)).mask)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in SHAPES)
    assert any(not torch.equal(masks[0][name], masks[2][name]) for name in SHAPES)
    holds(masks[2], (2, 4))


def test_gradual_passes_by_patterns_that_keep_more():
    shapes = {name: SHAPES[name] for name in "ab"}
    weights = tensors(5, shapes)
    method = make_dynamic("gradual", 0.25, pattern="2:8", begin="0it", end="100it")
    mask = dict(method.start(weights, 0))
    seen = []
    for step in range(0, 101, 10):
        found = method.update(moment(weights, mask, step=step)).mask
        assert all(bool((found[name] <= mask[name]).all()) for name in shapes), "nothing returns"
        mask = dict(found)
        kept = {int(n) for keep in mask.values() for n in keep.reshape(-1, 8).sum(1)}
        assert len(kept) == 1
        seen.append(kept.pop())
        if seen[-1] < 8:
            density = 0.25 + 0.75 * (1 - step / 100) ** 3
            assert seen[-1] == max(round(8 * density), 2)
    assert (seen[0], seen[-1]) == (8, 2)
    assert seen == sorted(seen, reverse=True)
    best = {
        n: w.abs().reshape(-1, 8).argsort(dim=1, descending=True, stable=True)
        for n, w in weights.items()
    }
    for name in shapes:
        chosen = mask[name].reshape(-1, 8).gather(1, best[name][:, :2])
        assert chosen.all(), "the largest of all, as the weights did not move"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("how", ["pattern", "row", "block"])
def test_they_hold_through_a_training(name, how):
    """On an engine: 40 iterations, an update every 4; the last density is exact."""
    one = job()
    options = {
        "pattern": {"pattern": "2:4"},
        "row": ROW[name],
        "block": {"block": (2, 4), **({} if name == "gradual" else {"distribution": "uniform"})},
    }[how]
    method = short(name, 0.5, **options)
    first = method.start({n: w for n, w in dense_state(one).weights.items() if n in NAMES[:2]}, 3)
    state = train_dynamic(
        DenseEngine("cpu"), one, dense_state(one), method, seed=3, names=NAMES[:2]
    )
    expected = {"pattern": ((2, 4),), "row": (None, 0.5), "block": (None, None, ((2, 4), 0.5))}
    holds(state.mask, *expected[how])
    assert state.mask.kept == method.keeps({n: state.weights[n].shape for n in NAMES[:2]})
    assert state.mask != first, "it did move"
    assert not any(state.weights[name][~state.mask[name]].any() for name in NAMES[:2])


class Turned(nn.Module):
    """A layer whose weight is (inputs, outputs, taps)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.ConvTranspose1d(4, 6, 2)
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        return self.linear(torch.tanh(self.conv(x)).mean(2))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("how", ["pattern", "row"])
def test_in_a_loop_they_are_along_the_inputs_of_each_layer(name, how):
    torch.manual_seed(0)
    model = Turned()
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = {"pattern": "1:2"} if how == "pattern" else {"density": 0.5, **ROW[name]}
    x, y = torch.randn(20, 4, 5), torch.randint(4, (20,))
    usual = {"every": "4it", "ignore": [], "steps": "40it"}
    sparse = wn.dynamic(model, name, optimizer=opt, **usual, **options)
    first = sparse.mask
    for _ in range(40):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        sparse.step()
    units = sparse.mask["conv.weight"].transpose(0, 1).reshape(6, 8)
    for mask in (units, sparse.mask["linear.weight"]):
        groups = mask.reshape(-1, 2) if how == "pattern" else mask
        assert (groups.sum(1) == groups.shape[1] // 2).all()
    assert sparse.mask != first
    assert not model.conv.weight[~sparse.mask["conv.weight"]].any()


def test_a_turned_update_is_that_of_the_turned_layer():
    """RigL on ConvTranspose1d with one tap, and on Linear with the same weights."""
    torch.manual_seed(0)
    straight = nn.Linear(8, 6, bias=False)
    turned = nn.ConvTranspose1d(8, 6, 1, bias=False)
    turned.weight.data = straight.weight.data.T[:, :, None].clone()
    x, y = torch.randn(50, 8), torch.randn(50, 6)
    masks = []
    for model, shape in ((straight, (50, 8)), (turned, (50, 8, 1))):
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        first = wn.Mask({"weight": masks_of_first(model)})
        sparse = wn.dynamic(
            model, "rigl", pattern="2:4", optimizer=opt, steps="20it", every="3it", ignore=[],
            mask=first,
        )  # fmt: skip
        for _ in range(20):
            opt.zero_grad()
            F.mse_loss(model(x.reshape(shape)).reshape(50, 6), y).backward()
            sparse.step()
        masks.append(sparse.mask["weight"])
    assert torch.equal(masks[0], masks[1][:, :, 0].T)
    assert not torch.equal(masks[0], masks_of_first(straight))


def masks_of_first(model):
    keep = torch.arange(48).reshape(6, 8) % 4 < 2
    return keep if isinstance(model, nn.Linear) else keep.T[:, :, None].clone()


def test_bad_arguments():
    model = nn.Sequential(nn.Linear(8, 4))
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    usual = {"optimizer": opt, "steps": "10it", "ignore": [], "per_epoch": 5}
    for name in ("deep-r", "dsr", "snfs"):
        with pytest.raises(UserError, match=f"unknown option of {name}: 'pattern'"):
            wn.dynamic(model, name, pattern="2:4", **usual)
        with pytest.raises(UserError, match=f"{name} does not keep rows"):
            wn.dynamic(model, name, density=0.5, distribution="row", **usual)
    with pytest.raises(UserError, match="rigl needs a density"):
        wn.dynamic(model, "rigl", **usual)
    with pytest.raises(UserError, match=r"density is 0\.3, and pattern 2:4 keeps 0\.5"):
        wn.dynamic(model, "gradual", density=0.3, pattern="2:4", **usual)
    with pytest.raises(UserError, match="no multiple of 3"):
        wn.dynamic(model, "set", pattern="1:3", **usual)
    with pytest.raises(UserError, match=r"density 0\.01 keeps none of 32 weights"):
        wn.dynamic(model, "set", density=0.01, distribution="row", **usual)
    wrong = wn.Mask({"0.weight": torch.arange(32).reshape(4, 8) < 16})
    with pytest.raises(UserError, match="does not keep what 2:4 asks for in '0\\.weight'"):
        wn.dynamic(model, "rigl", pattern="2:4", mask=wrong, **usual)
    grouped = nn.Sequential(nn.ConvTranspose1d(4, 4, 1, groups=2))
    other = {**usual, "optimizer": torch.optim.SGD(grouped.parameters(), lr=0.1)}
    with pytest.raises(UserError, match="grouped transposed convolution"):
        wn.dynamic(grouped, "rigl", pattern="1:2", **other)


def test_runs_of_before_are_found():
    """Options that did not exist are not part of what names a run."""
    method = make_dynamic("rigl", 0.1)
    options = {f: getattr(method, f) for f in type(method).__dataclass_fields__}
    old = {name: value for name, value in options.items() if name not in ("pattern", "block")}
    assert len(old) == len(options) - 2

    def named(chosen):
        return identity({"dynamic": vars(RunDynamic("rigl", chosen, ("a",), 5, 1))}, LEGACY)

    assert named(options) == named(old)
    assert named({**options, "pattern": "2:4"}) != named(old)
