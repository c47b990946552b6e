"""The same words have the same region in every shipped recipe: the table in docs/claims.md."""

from __future__ import annotations

import math

import pytest

from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.recipe.names import shipped

CONVOLUTIONAL = ("conv-2", "conv-4", "conv-6")


def near(recipe) -> float:
    """δ: how far from equal is still as good, in points."""
    if recipe.data.name == "mnist":
        return 0.2
    return 1.0 if recipe.model.name in CONVOLUTIONAL else 0.5


def judged(name):
    """The parts of a recipe's claims about points of accuracy, with δ and what they say."""
    recipe = load_recipe(name)
    lines = recipe.by_line()
    for claim in recipe.claims:
        for part in claim.parts() if claim.status is None else ():
            if part.unit == "points":
                line = part.sides()[0].line or next(iter(lines))
                yield claim, part, near(lines[line])


def bounds(part) -> set[float]:
    """What lies δ from equal, where the region has such an end: ``same``, or one side alone."""
    low, high = part.expect or (-math.inf, math.inf)
    found = {part.same} if part.same is not None else set()
    found |= {-low} if high == math.inf and -math.inf < low < 0 else set()
    return found | ({high} if low == -math.inf and 0 < high < math.inf else set())


@pytest.mark.parametrize("name", shipped())
def test_as_good_is_equally_far_for_the_same_networks(name):
    """Unless a claim names the number itself."""
    for claim, part, delta in judged(name):
        for bound in bounds(part) if part.kind == "difference" else ():
            named = f"{bound:g}" in claim.says or (bound == 1 and "a point" in claim.says)
            assert bound == delta or named, claim.id


@pytest.mark.parametrize("name", shipped())
def test_a_printed_accuracy_is_met_within_delta_or_its_own_spread(name):
    for claim, part, delta in judged(name):
        if part.kind == "value" and claim.number is not None:
            wide = max(delta, claim.number.half_spread or 0.0)
            assert part.expect == pytest.approx(
                (claim.number.mean - wide, claim.number.mean + wide)
            ), claim.id


def test_the_bounds_that_are_looked_at():
    parts = [part for name in shipped() for _, part, _ in judged(name)]
    assert sum(bool(bounds(part)) for part in parts) > 30
