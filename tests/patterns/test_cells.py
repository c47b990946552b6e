"""Rows and N:M patterns through ``wn.prune``, against loops over single weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError
from winnow.layers import axes_of
from winnow.patterns.axes import as_units, as_weight

VALUES = st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 0.5, 1.0, 3.0])  # with many ties


@st.composite
def matrices(draw: Any, multiple: int = 1) -> Tensor:
    rows, groups = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    size = rows * groups * multiple
    values = draw(st.lists(VALUES, min_size=size, max_size=size))
    return torch.tensor(values).reshape(rows, groups * multiple)


def slowly(cell: list[float], count: int, alive: list[bool]) -> list[bool]:
    """The largest of those alive; of equal ones the first. By Python's stable sort."""
    order = sorted((i for i, a in enumerate(alive) if a), key=lambda i: -cell[i])
    return [i in order[:count] for i in range(len(cell))]


@pytest.mark.filterwarnings("ignore::winnow.pruning.LayerCollapse")
@settings(deadline=None)
@given(matrices(), st.floats(0, 1))
def test_every_row_keeps_its_share(scores: Tensor, density: float) -> None:
    mask = wn.prune({"w": scores}, density=density, scope="row")["w"]
    count = round(density * scores.shape[1])
    for row, kept in zip(scores.tolist(), mask.tolist(), strict=True):
        assert kept == slowly(row, count, [True] * len(row))


@pytest.mark.filterwarnings("ignore::winnow.pruning.LayerCollapse")
@settings(deadline=None)
@given(matrices(), st.floats(0, 0.9), st.data())
def test_rates_take_of_what_a_row_has_left(
    scores: Tensor, rate: float, data: st.DataObject
) -> None:
    """From a mask that has another number left in each row."""
    flags = data.draw(
        st.lists(st.booleans(), min_size=scores.numel(), max_size=scores.numel()), "mask"
    )
    before = torch.tensor(flags).reshape(scores.shape)
    spoiled = scores.masked_fill(~before, float("nan"))  # what is removed is not looked at
    mask = wn.prune({"w": spoiled}, rates=rate, scope="row", mask=wn.Mask({"w": before}))["w"]
    for row, alive, kept in zip(scores.tolist(), before.tolist(), mask.tolist(), strict=True):
        assert kept == slowly(row, sum(alive) - round(rate * sum(alive)), alive)


@settings(deadline=None)
@given(st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 3), (4, 8)]), st.data())
def test_of_each_m_neighbours_n_stay(shape: tuple[int, int], data: st.DataObject) -> None:
    n, m = shape
    scores = data.draw(matrices(multiple=m))
    mask = wn.prune({"w": scores}, pattern=f"{n}:{m}")["w"]
    cells = zip(scores.reshape(-1, m).tolist(), mask.reshape(-1, m).tolist(), strict=True)
    for cell, kept in cells:
        assert kept == slowly(cell, n, [True] * m)
    # and again from a mask that has more left
    looser = wn.prune({"w": -scores}, pattern=f"{min(n + 1, m)}:{m}")
    again = wn.prune({"w": scores}, pattern=f"{n}:{m}", mask=looser)["w"]
    for cell, alive, kept in zip(
        scores.reshape(-1, m).tolist(),
        looser["w"].reshape(-1, m).tolist(),
        again.reshape(-1, m).tolist(),
        strict=True,
    ):
        assert kept == slowly(cell, n, alive)


def test_halves_go_to_the_even_neighbour_and_several_tensors_and_types_go_together() -> None:
    scores = {"a": torch.arange(10).reshape(2, 5), "b": torch.ones(3, 3).bfloat16()}
    mask = wn.prune(scores, density=0.5, scope="row")
    assert mask["a"].tolist() == [[False, False, False, True, True]] * 2  # 2.5 → 2
    assert mask["b"].tolist() == [[True, True, False]] * 3  # 1.5 → 2; equal scores: the first
    other = wn.prune(scores, density={"b": 1 / 3}, scope="row")
    assert other.kept_per_layer == {"a": 10, "b": 3}


def test_the_inputs_of_a_convolution_are_channels_times_taps() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 2, groups=2), nn.Flatten(), nn.Linear(6, 4))
    mask = wn.prune(wn.score(model, "magnitude"), pattern="1:4", ignore="2.weight")
    weight = model[0].weight  # (6, 2, 2, 2): 8 inputs in each unit, two groups of 4
    largest = weight.detach().abs().reshape(6, 2, 4).argmax(2)
    assert torch.equal(mask["0.weight"].reshape(6, 2, 4).int().argmax(2), largest)
    assert mask.kept_per_layer == {"0.weight": 12}


def test_transposed_weights_are_pruned_along_their_own_axes() -> None:
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    turned = wn.prune({"w": scores.T.contiguous()}, density=0.5, scope="row")["w"].T
    assert torch.equal(
        wn.prune({"w": scores}, density=0.5, scope="row", inputs={"w": 0})["w"], turned
    )
    assert turned.sum(0).tolist() == [3] * 4


@pytest.mark.parametrize("groups", [1, 2])
def test_units_of_a_transposed_convolution(groups: int) -> None:
    """Row i of the matrix is all that output i is made of: the gradient of that output says."""
    layer = nn.ConvTranspose2d(4, 6, (2, 3), groups=groups, bias=False)
    axes = axes_of(layer)[id(layer.weight)]
    matrix = as_units(layer.weight, axes)
    assert torch.equal(as_weight(matrix, layer.weight.shape, axes), layer.weight)
    x = torch.rand(1, 4, 5, 5) + 1
    for unit in range(6):
        (slope,) = torch.autograd.grad(layer(x)[0, unit].sum(), layer.weight)
        used = as_units(slope, axes) != 0
        assert bool(used[unit].all())
        assert int(used.count_nonzero()) == matrix.shape[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pattern": "2:4"}, r"'w' \[2, 6\] has 6 inputs in each unit, no multiple of 4"),
        ({"pattern": "5:4"}, "pattern is '5:4'"),
        ({"pattern": "2:3", "density": 0.5}, "leave density out"),
        ({"pattern": "2:3", "rates": 0.5}, "leave rates out"),
        ({"pattern": "2:3", "block": (1, 2)}, "give one of them"),
        ({"pattern": "2:3", "scope": "erk"}, "leave one of them out"),
        ({"density": 0.1, "scope": "row", "least": 3}, "below least=3"),
        ({"density": 0.5, "scope": "row", "inputs": {"w": 2}}, "give the axis of the inputs"),
        ({"scope": "row"}, "got neither"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        wn.prune({"w": torch.rand(2, 6)}, **arguments)


def test_what_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'b' has the shape"):
        wn.prune({"b": torch.rand(4)}, pattern="2:4")
    before = wn.Mask({"w": torch.tensor([[True, True], [True, False]])})
    with pytest.raises(UserError, match=r"of unit 1 of 'w' \[2, 2\]: it has 1 left"):
        wn.prune({"w": torch.rand(2, 2)}, density=1, scope="row", mask=before)
    with pytest.raises(UserError, match="of group of 2 1 of 'w'"):
        wn.prune({"w": torch.rand(2, 2)}, pattern="2:2", mask=before)
    scores = torch.rand(2, 2)
    scores[1, 0] = float("inf")
    with pytest.raises(UserError, match=r"the first at \[1, 0\]"):
        wn.prune({"w": scores}, pattern="1:2")


def test_rounds_before_training_end_at_the_pattern() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    seen = []
    mask = wn.prune_at_init(
        model,
        "synflow",
        pattern="2:8",
        rounds=3,
        batch=(torch.rand(1, 8), torch.zeros(1)),
        on_round=lambda _, mask: seen.append(mask),
    )
    each = [round(8 * 0.25 ** (k / 3)) for k in (1, 2, 3)]
    assert [m["0.weight"].sum(1).tolist() for m in seen] == [[n] * 8 for n in each]
    assert all((seen[k] & seen[k + 1]) == seen[k + 1] for k in range(2))
    assert mask["2.weight"].sum(1).tolist() == [2] * 4
    inverted = wn.prune_at_init(model, "magnitude", pattern="1:2", invert=True)
    assert inverted == wn.prune_at_init(model, "magnitude", pattern="1:2").inverted()
    with pytest.raises(UserError, match="the pattern says how many stay"):
        wn.prune_at_init(model, "magnitude", pattern="1:2", density=0.5)
