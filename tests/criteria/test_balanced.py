"""Class-balanced scoring batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scored_networks import perceptron

import winnow as wn
from winnow.criteria.balanced import collect, draw_balanced
from winnow.errors import UserError

LABELS = torch.tensor([2, 0, 1, 1, 0, 2, 2, 1, 0, 0, 1, 2])
INPUTS = torch.arange(12.0)[:, None]


def loader(size: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(INPUTS.split(size), LABELS.split(size), strict=True))


def test_the_first_of_each_class_sorted_by_class() -> None:
    ((x, y),) = collect(loader(), 2, classes=3)
    assert y.tolist() == [0, 0, 1, 1, 2, 2]
    assert x.flatten().tolist() == [1, 4, 2, 3, 0, 5]


def test_several_batches_share_no_example() -> None:
    (x, y), (x2, y2) = collect(loader(), 2, classes=3, batches=2)
    assert y.tolist() == y2.tolist() == [0, 0, 1, 1, 2, 2]
    assert x.flatten().tolist() == [1, 4, 2, 3, 0, 5]
    assert x2.flatten().tolist() == [8, 9, 7, 10, 6, 11]


def test_reading_stops_when_there_is_enough() -> None:
    read = []

    def endless() -> Any:
        while True:
            read.append(1)
            yield INPUTS, LABELS

    collect(endless(), 6, classes=3)
    assert len(read) == 2


def test_without_a_number_of_classes_all_data_says() -> None:
    ((_, y),) = collect([*loader(), (torch.ones(3, 1), torch.full((3,), 3))], 3)
    assert y.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 3), st.integers(0, 9))
def test_draws_are_of_the_class_and_without_replacement(
    labels: list[int], per_class: int, seed: int
) -> None:
    y = torch.tensor(labels)
    enough = all(labels.count(c) >= per_class for c in range(max(labels) + 1))
    generator = torch.Generator().manual_seed(seed)
    if not enough:
        with pytest.raises(UserError, match=f"needs {per_class} examples of each"):
            draw_balanced(y, per_class, generator)
        return
    chosen = draw_balanced(y, per_class, generator)
    assert len(set(chosen.tolist())) == len(chosen) == per_class * (max(labels) + 1)
    assert y[chosen].tolist() == sorted(y[chosen].tolist())


def test_draws_are_uniform_and_named_by_the_generator() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(12)
    for _ in range(600):
        counts[draw_balanced(LABELS, 2, generator)] += 1
    assert (counts - 300).abs().max() < 5 * (600 * 0.25) ** 0.5
    again = [draw_balanced(LABELS, 2, torch.Generator().manual_seed(4)).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (loader(), {"per_class": 5, "classes": 3}, "class 0 has 4, class 1 has 4, class 2 has 4"),
        (
            loader(),
            {"per_class": 1, "classes": 4},
            "1 examples of each of 4 classes.*class 3 has 0",
        ),
        (loader(), {"per_class": 1, "classes": 2}, "label 2 is not one of the classes 0 to 1"),
        ([(INPUTS, LABELS * 2)], {"per_class": 1}, "class 1 has 0, class 3 has 0"),
        ([(INPUTS, LABELS - 1)], {"per_class": 1}, "label -1 is negative"),
        ([(INPUTS, INPUTS)], {"per_class": 1}, r"integer labels of shape \(B,\), got \[12, 1\]"),
        ([("text", LABELS)], {"per_class": 1}, "need tensors, got a str"),
        ([], {"per_class": 1}, "the data is empty"),
        (loader(), {"per_class": 0}, "per_class is 0"),
        (loader(), {"per_class": 1, "batches": 0}, "batches is 0"),
    ],
)
def test_bad_input(data: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        collect(data, **options)


@pytest.mark.parametrize("criterion", ["snip", "grasp"])
def test_criteria_take_balanced_batches(criterion: str) -> None:
    model = perceptron(1).float()
    given = {"loss_fn": F.cross_entropy}
    mine = wn.score(model, criterion, loader=loader(), per_class=2, classes=3, **given)  # type: ignore[arg-type]
    (batch,) = collect(loader(), 2)
    theirs = wn.score(model, criterion, batch=batch, **given)  # type: ignore[arg-type]
    assert all(torch.equal(mine[n], theirs[n]) for n in theirs)
    with pytest.raises(UserError, match="class 2 has 0"):
        wn.score(model, criterion, loader=[(INPUTS, LABELS % 2)], per_class=2,
                 classes=3, **given)  # type: ignore[arg-type]  # fmt: skip
    with pytest.raises(UserError, match="pass per_class= too"):
        wn.score(model, criterion, batch=batch, classes=3, **given)  # type: ignore[arg-type]
