"""Claims as they are written: what they mean, what is refused, and that all of it comes back."""

from __future__ import annotations

import json
import math
import re

import pytest

from winnow.errors import UserError
from winnow.experiment.recipe.claims import claims_in
from winnow.experiment.recipe.load import check_recipe, load_recipe, recipe_text
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.strict_yaml import parse_yaml

ONE = "{id: a, says: x, of: final_test_accuracy, compare: [ticket, dense], at: {density: 21}"


def recipe(*claims: str) -> Recipe:
    text = "".join(f"  - {claim}\n" for claim in claims)
    written = parse_yaml(f"{recipe_text('lth/digits')}\nclaims:\n{text}", "recipe")
    return check_recipe(written, "recipe")


def test_a_claim_in_short() -> None:
    (claim,) = recipe(f"{ONE}, expect: [0, inf]}}").claims
    (part,) = claim.parts()
    assert part.kind == "difference"
    assert part.expect == (0.0, math.inf)
    assert [(side.arm, side.line) for side in part.compare or ()] == [
        ("ticket", None), ("dense", None)]  # fmt: skip
    assert (claim.decidable, claim.status, claim.number) == ("here", None, None)


@pytest.mark.parametrize("word", ["inf", ".inf"])
def test_infinity_is_the_word_of_yaml_or_a_plain_one(word) -> None:
    assert recipe(f"{ONE}, expect: [0, {word}]}}").claims[0].expect == (0, math.inf)
    assert recipe(f"{ONE}, expect: [-{word}, 0]}}").claims[0].expect == (-math.inf, 0)


def test_one_side_is_a_value() -> None:
    text = "{id: a, says: x, of: weights_kept, compare: [dense], expect: [1, 2]}"
    assert recipe(text).claims[0].parts()[0].kind == "value"


def test_parts_take_over_what_they_leave_out() -> None:
    text = (
        "{id: a, says: x, of: stop_iteration, compare: [ticket, dense], line: low, any: ["
        "{at: {density: 21}, expect: [-inf, 0]},"
        "{at: {down_to: 5}, of: final_test_accuracy, unit: points, same: 0.5, line: high}]}"
    )
    first, second = recipe(text).claims[0].parts()
    assert (first.of, first.line, first.kind) == ("stop_iteration", "low", "difference")
    assert (second.of, second.line, second.same) == ("final_test_accuracy", "high", 0.5)
    assert second.compare == first.compare


def test_a_side_may_have_its_own_column_and_density() -> None:
    text = (
        "{id: a, says: x, of: q.kept, line: low, at: {density: 21}, expect: [0, inf], "
        "compare: [ticket, {arm: ticket, of: q.removed, line: high, at: {density: 3, step: 5}}]}"
    )
    first, second = recipe(text).claims[0].parts()[0].sides()
    assert (first.of, first.line, first.at.density) == ("q.kept", "low", 21)
    assert (second.of, second.line) == ("q.removed", "high")
    assert (second.at.density, second.at.step) == (3, 5)
    assert [str(first), str(second)] == ["ticket (low)", "ticket (high)"]


WHOLE = (
    f"{ONE}, expect: [0.1, inf], unit: points, number: {{mean: 0.3, spread: [0.1, 0.4], "
    "kind: range, n: 5}, place: figure 4, decidable: gpu}",
    "{id: b, says: x, of: stop_iteration, compare: [{arm: ticket, line: low}, reinit], as: ratio, "
    "at: {between: [67.5, 17.6], of: prunable}, expect: [0, 1]}",
    "{id: c, says: x, status: paper inconsistent, reason: two numbers}",
    "{id: d, says: x, of: accuracy_at, compare: [ticket, dense], as: crossing, "
    "at: {density: 3.6, step: 500}}",
    "{id: f, says: x, compare: [{arm: ticket, of: q.a}, {arm: ticket, of: q.b, at: {density: 9}}], "
    "at: {density: 21}, expect: [0, inf]}",
    "{id: e, says: x, of: norm.squared, compare: [ticket], all: [{expect: [0, 1]}], paper: GraSP}",
)


def test_what_is_dumped_loads_to_the_same_and_is_plain_json() -> None:
    written = recipe(*WHOLE)
    plain = written.dump()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert check_recipe(plain, "again") == written
    assert claims_in(plain) == written.claims
    assert plain["claims"][0]["expect"] == [0.1, "inf"]
    assert "line" not in plain["claims"][0]


def test_a_recipe_without_claims_is_dumped_as_before() -> None:
    assert "claims" not in load_recipe("lth/digits").dump()
    assert claims_in(load_recipe("lth/digits").dump()) == ()


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("", "write either expect: [0, inf] or same: 0.005"),
        ("expect: [0, 1], same: 0.1", "write either expect"),
        ("expect: [1, 0]", "write the smaller end first"),
        ("expect: [.nan, 0]", "write the smaller end first"),
        ("expect: [-inf, inf]", "which nothing can contradict"),
        ("expect: [0, many]", "claims.0.expect.1 is 'many'"),
        ("same: 0", "claims.0.same is 0"),
        ("as: value, expect: [0, 1]", "value takes one side, and compare has two sides"),
        ("as: ratio, expect: [-1, 1]", "a ratio is never below 0"),
        ("as: ratio, expect: [1, 2], unit: points", "not with ratio"),
        ("as: crossing, expect: [1, 2]", "expect goes with no crossing"),
        ("expect: [0, 1], wat: 1", "unknown key 'claims.0.wat'"),
        ("expect: [0, 1], status: paper inconsistent", "goes with its reason"),
        ("expect: [0, 1], reason: x", "goes with its reason"),
        ("expect: [0, 1], number: {mean: 1}", "claims.0.number.n is missing"),
        ("expect: [0, 1], number: {mean: 1, n: 3, spread: 1}", "spread and kind go together"),
        ("expect: [0, 1], all: [{same: 1}]", "expect and same stand in the parts"),
        ("all: [{same: 1}], any: [{same: 1}]", "write one of them"),
        ("all: [{same: 1}], number: {mean: 1, n: 3}", "number goes with one comparison"),
        ("as: crossing, number: {mean: 1, n: 3}", "number goes with one comparison"),
        ("as: ratio, same: 1, number: {mean: 0, n: 3}", "a ratio is above 0"),
        ("expect: [0, 1], decidable: maybe", "claims.0.decidable is 'maybe'"),
    ],
)
def test_what_cannot_be_judged_is_refused(rest, told) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        recipe(f"{ONE}, {rest}}}" if rest else f"{ONE}}}")


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("compare: [ticket, dense], at: {density: 3}, same: 1", "of is missing"),
        ("of: x, at: {density: 3}, same: 1", "compare is missing"),
        ("of: x, compare: [ticket, dense], same: 1", "at is missing"),
        ("of: x, compare: [dense], at: {density: 3}, expect: [0, 1]", "both sides are dense"),
        ("of: x, compare: [ticket], at: {density: 3}, same: 1", "same compares two sides"),
        ("of: x, compare: [ticket, dense], at: {density: 3}, same: 1, unit: points", "of is x"),
        ("of: x, compare: [a, b], as: crossing, at: {down_to: 3}", "takes the stated density"),
        ("of: x, compare: [a, b, c], at: {density: 3}, same: 1", "claims.0.compare"),
        ("of: x, compare: [a], at: {density: 3, down_to: 2}, same: 1", "stand together"),
        ("of: x, compare: [a], at: {between: [2, 3]}, same: 1", "write the larger density first"),
        ("of: x, compare: [a], at: {density: 101}, same: 1", "claims.0.at.density is 101"),
        ("of: x, compare: [a], at: {of: total}, same: 1", "nothing is said"),
        ("of: x, compare: [{arm: a, lin: b}], at: {density: 1}", "claims.0.compare.0.lin"),
        ("compare: [a, {arm: b, of: x}], at: {density: 1}, same: 1", "of is missing"),
        ("of: x, compare: [a, a], at: {density: 1}, same: 1", "both sides are x of a: give one"),
        (
            "of: x, compare: [a, {arm: a, line: low}], line: low, at: {density: 1}, same: 1",
            "both sides are x of a (low)",
        ),
        (
            "of: stop_iteration, compare: [a, {arm: b, of: final_test_loss}], at: {density: 1}",
            "stop_iteration and final_test_loss are numbers of two kinds",
        ),
        ("of: x.y, compare: [a, {arm: b, of: cost}], at: {density: 1}, same: 1", "of two kinds"),
        (
            "of: stop_test_accuracy, compare: [a, {arm: a, of: iterations_to_97.5}], same: 1",
            "numbers of two kinds",
        ),
        ("of: iterations_to_97.5, compare: [a, b], same: 1", "at is missing"),
        (
            "of: x, compare: [{arm: a, at: {down_to: 2}}, b], at: {density: 1}, same: 1",
            "a side's own at is one density",
        ),
        (
            "of: x, compare: [{arm: a, at: {density: 2}}, {arm: dense, at: {density: 3}}], same: 1",
            "dense has every weight",
        ),
        (
            "of: x, compare: [{arm: a, at: {density: 2}}, b], as: crossing, at: {density: 1}",
            "crossing looks at every density",
        ),
        (
            "of: x, compare: [{arm: a, at: {density: 2}}, dense], at: {density: 1}, same: 1",
            "every side has an at of its own",
        ),
        ("of: x.y, compare: [{arm: a, at: {density: 2}}, b], same: 1", "say it for both"),
        ("of: x, compare: [{arm: a, at: {density: 2}}, b], same: 1", "at is missing"),
        (
            "of: stop_test_accuracy, compare: [a, {arm: b, of: final_test_accuracy}], "
            "at: {density: 1}, unit: points, as: ratio, same: 1",
            "not with ratio",
        ),
    ],
)
def test_sides_columns_and_places(claim, told) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        recipe(f"{{id: a, says: x, {claim}}}")


def test_names_are_unique_and_plain() -> None:
    one = f"{ONE}, same: 1}}"
    with pytest.raises(UserError, match="the claim 'a' stands twice"):
        recipe(one, one)
    with pytest.raises(UserError, match=r"claims.0.id is 'A b'"):
        recipe(one.replace("id: a", "id: A b"))


def test_no_id_stands_in_two_shipped_recipes() -> None:
    ids = [claim.id for name in shipped() for claim in load_recipe(name).claims]
    assert len(set(ids)) == len(ids)
