"""Every verdict from made-up rows, and what changes it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import synthetic_report as made
from made_claims import claim, rows, three_rounds, verdict

from winnow.errors import UserError
from winnow.experiment.arms import TICKET
from winnow.report.claims.evidence import CENSORED
from winnow.report.claims.judge import (
    Conditions,
    check_claims,
    conditions_of,
    judge,
    judge_all,
    unjudged,
)
from winnow.report.claims.words import ours_in_words
from winnow.report.results import Finding

DENSE = [0.900, 0.902, 0.901, 0.903, 0.899]
BETTER = [one + gain for one, gain in zip(DENSE, [0.004, 0.005, 0.006, 0.005, 0.005], strict=True)]
WORSE = [2 * one - other for one, other in zip(DENSE, BETTER, strict=True)]
NEAR = [one + gain for one, gain in zip(DENSE, [0.004, -0.005, 0.006, 0.0, 0.002], strict=True)]
SMALL = Conditions("small")


@pytest.mark.parametrize(
    ("ticket", "said"), [(BETTER, "confirmed"), (WORSE, "contradicted"), (NEAR, "undecided")]
)
def test_a_changed_result_changes_the_verdict(ticket, said) -> None:
    found = verdict(three_rounds(DENSE, ticket))
    assert (found.verdict, found.n) == (said, 5)
    assert (found.needed is None) == (said != "undecided")
    assert found.recipe == "lth/made-up"


def test_pairing_finds_what_the_spread_between_replicates_would_hide() -> None:
    dense = [0.80, 0.85, 0.90, 0.95, 0.99]
    found = verdict(three_rounds(dense, [one + 0.002 + 1e-4 * k for k, one in enumerate(dense)]))
    assert found.verdict == "confirmed"


def test_planted_effects_are_confirmed_and_their_opposite_is_refuted() -> None:
    random = np.random.default_rng(1)
    answers = []
    for sign in (1, -1):
        for _ in range(50):
            dense = random.normal(0.9, 0.01, 5)
            ticket = dense + random.normal(sign * 0.01, 0.002, 5)
            answers.append(verdict(three_rounds(list(dense), list(ticket))).verdict)
    assert answers[:50].count("confirmed") == 50
    assert answers[50:].count("contradicted") == 50


def test_few_replicates_are_undecided_and_three_may_decide() -> None:
    two = verdict(three_rounds(DENSE[:2], BETTER[:2]))
    assert (two.verdict, two.reason, two.needed) == ("undecided", "3 replicates are the least", 3)
    assert verdict(three_rounds(DENSE[:3], BETTER[:3])).verdict == "confirmed"
    one = verdict(three_rounds(DENSE[:1], BETTER[:1]))
    assert (one.verdict, one.needed) == ("undecided", None)


def test_undecided_says_why() -> None:
    far = verdict(three_rounds([0.5, 0.5, 0.5], [0.4, 0.5, 0.6001]))
    assert far.reason == "more than 50 replicates would be needed"
    stop = rows({"dense": [[100, 110, 120]], "ticket": [[90, 90, 91]]}, "stop_iteration",
                stop_censored=True)  # fmt: skip
    said = verdict(made.results(stop), of="stop_iteration", at={"density": 80})
    assert (said.verdict, said.reason) == ("undecided", CENSORED)
    equal = three_rounds([0.5] * 3, [0.5] * 3)
    unknown = dataclasses.replace(equal, recipe={"data": {"name": "my-own"}})
    assert "agree exactly" in verdict(unknown).reason
    assert verdict(equal, same=0.001).verdict == "confirmed"  # one of 10,000 images


def test_not_run_and_no_data() -> None:
    nothing = made.results([])
    said = verdict(nothing)
    assert (said.verdict, said.reason) == ("not run", "no run of ticket is finished")
    assert "It needs a GPU" in verdict(nothing, decidable="gpu").reason
    assert verdict(nothing, decidable="no-data").verdict == "no data"
    assert verdict(three_rounds(DENSE, BETTER), decidable="no-data").verdict == "confirmed"
    part = verdict(three_rounds(DENSE, BETTER), any=[
        {"of": "final_test_accuracy", "compare": ["ticket", "dense"], "at": {"density": d},
         "expect": [1, "inf"]} for d in (51.2, 5)])  # fmt: skip
    assert part.verdict == "not run"
    assert "(1 of 2 comparisons)" in part.reason


def test_a_misprint_is_not_judged() -> None:
    said = verdict(three_rounds(DENSE, BETTER), status="paper inconsistent", reason="two numbers")
    assert (said.verdict, said.reason, said.tree) == ("paper inconsistent", "two numbers", None)


def test_all_rounds_must_hold() -> None:
    losing = {"dense": [DENSE], "ticket": [BETTER, WORSE, BETTER]}
    winning = {"dense": [DENSE], "ticket": [BETTER, BETTER, BETTER]}
    at = {"down_to": 51.2}
    assert verdict(made.results(rows(losing)), at=at).verdict == "contradicted"
    assert verdict(made.results(rows(winning)), at=at).verdict == "confirmed"


def test_all_and_any_join_parts_that_take_over_what_they_leave_out() -> None:
    results = made.results(rows({"dense": [DENSE], "ticket": [BETTER, WORSE]}))
    parts = [{"at": {"density": d}, "expect": [0, "inf"]} for d in (80, 64)]
    shared = {"of": "final_test_accuracy", "compare": ["ticket", "dense"]}
    assert verdict(results, all=parts, **shared).verdict == "contradicted"
    assert verdict(results, any=parts, **shared).verdict == "confirmed"


def test_sooner_where_only_the_later_side_is_censored() -> None:
    ticket = rows({"ticket": [[100, 120, 110]]}, "stop_iteration")
    dense = rows({"dense": [[1000, 1000, 900]]}, "stop_iteration", stop_censored=True)
    fields = {"of": "stop_iteration", "at": {"density": 80}}
    listed = made.results([*ticket, *dense])
    assert verdict(listed, expect=["-inf", 0], **fields).verdict == "confirmed"
    assert verdict(listed, expect=[0, "inf"], **fields).verdict == "contradicted"
    half = {"as": "ratio", "expect": [0.05, 0.5]}
    assert verdict(listed, **half, **fields).verdict == "undecided"
    assert verdict(listed, **{**half, "expect": [0, 0.5]}, **fields).verdict == "confirmed"


def test_a_crossing_within_one_round_of_what_is_stated() -> None:
    tickets = [[0.91, 0.92, 0.91], [0.905, 0.904, 0.906], [0.893, 0.895, 0.894]]
    results = made.results(rows({"dense": [[0.9] * 3], "ticket": tickets}))
    kind = {"as": "crossing"}
    assert verdict(results, at={"density": 58}, **kind).verdict == "confirmed"
    assert verdict(results, at={"density": 30}, **kind).verdict == "contradicted"
    never = made.results(rows({"dense": [[0.8] * 3], "ticket": tickets}))
    said = verdict(never, at={"density": 58}, **kind)
    assert (said.verdict, said.reason) == ("undecided", "3 of 3 replicates never cross")


def test_the_number_of_the_paper() -> None:
    results = three_rounds(DENSE, BETTER)
    points = {"unit": "points", "number": {"mean": 0.5, "n": 5}}
    near, far = (verdict(results, **{**points, "number": {"mean": m, "n": 5}}) for m in (0.5, 2.5))
    assert near.number is not None
    assert far.number is not None
    assert near.number.answer == "reproduced"
    assert (far.number.answer, far.number.by) == ("differs", pytest.approx(-2.0))
    assert verdict(results).number is None
    for conditions, why in ((SMALL, "small"), (Conditions(reencoded=True), "re-encoded")):
        said = verdict(results, conditions, **points).number
        assert said is not None
        assert said.answer == "not given"
        assert why in said.reason
    gone = verdict(made.results([]), **points).number
    assert gone is not None
    assert gone.reason == "not run"


def test_a_small_scale_shows_signs_and_no_verdict() -> None:
    for ticket, said in ((BETTER, "seen"), (NEAR, "not seen"), (WORSE, "not seen")):
        found = verdict(three_rounds(DENSE, ticket), SMALL)
        assert (found.verdict, found.n, found.needed) == (said, 5, None)
    one = verdict(three_rounds(DENSE[:1], BETTER[:1]), SMALL)
    assert (one.verdict, one.n) == ("seen", 1)
    assert verdict(made.results([]), SMALL).verdict == "not run"
    assert verdict(three_rounds(DENSE, BETTER), Conditions("smoke")).verdict == "not run"


def test_a_small_scale_is_asked_only_for_the_lines_and_arms_that_it_has() -> None:
    rows = three_rounds(DENSE, BETTER)
    shared = {"of": "final_test_accuracy", "at": {"density": 51.2}, "expect": [0, math.inf]}
    here = {**shared, "compare": ["ticket", "dense"]}
    gone = {**shared, "compare": ["not-of-this-scale", "dense"]}
    found = verdict(rows, SMALL, all=[here, gone])
    assert (found.verdict, found.reason) == ("seen", "of 2 comparisons this scale has 1")
    assert "1 not run" in ours_in_words(found), "each comparison is still told of"
    assert verdict(rows, SMALL, all=[gone]).verdict == "not run"
    assert verdict(rows, all=[here, gone]).verdict == "not run", "at full scale"


def test_a_printed_value_has_no_sign() -> None:
    fields = {
        "compare": ["ticket"],
        "as": "value",
        "expect": [0, 1],
        "number": {"mean": 0.5, "n": 3},
    }
    found = verdict(three_rounds(DENSE, BETTER), SMALL, **fields)
    assert (found.verdict, "no sign" in found.reason) == ("undecided", True)


def test_the_scale_is_that_of_the_recipe() -> None:
    assert conditions_of(made.results([])) == Conditions("full")
    assert conditions_of(made.results([], recipe={"scale": "small"})) == Conditions("small")
    assert conditions_of(made.results([], reencoded=True)) == Conditions("full", reencoded=True)


def test_the_claims_of_a_recipe_as_dumped_or_others() -> None:
    recipe = {**made.RECIPE, "claims": [claim().dump(), claim(id="other").dump()]}
    results = dataclasses.replace(three_rounds(DENSE, BETTER), recipe=recipe)
    said = judge_all(results)
    assert [(one.claim.id, one.verdict) for one in said] == [
        ("made-up", "confirmed"), ("other", "confirmed")]  # fmt: skip
    assert [one.claim.id for one in judge_all(results, claims=[claim(id="third")])] == ["third"]
    assert judge_all(made.results([])) == ()
    (strange,) = judge_all(results, claims=[claim(of="wat")])
    assert strange.verdict == "not run"
    assert strange.reason.startswith("unknown column 'wat'")
    broken = dataclasses.replace(results, recipe={"claims": [{"id": "a", "wat": 1}]})
    with pytest.raises(UserError, match=r"lth/made-up as it was run are not valid:(.|\n)*'wat'"):
        judge_all(broken)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"compare": ["tickt", "dense"]},
            r"'tickt'. Did you mean 'ticket'\? .* compare dense, ticket",
        ),
        ({"of": "final_acuracy"}, "unknown column 'final_acuracy'"),
        ({"line": "low"}, "unknown line 'low'.* made-up has no lines"),
        ({"compare": ["ticket", {"arm": "ticket", "line": "low"}]}, "unknown line 'low'"),
    ],
)
def test_what_a_recipe_does_not_have_is_refused_with_what_it_has(fields, told) -> None:
    with pytest.raises(UserError, match=told):
        check_claims([claim(**fields)], made.results([]))


def test_lines_that_a_recipe_has_must_be_named_rightly() -> None:
    results = made.results([], recipe={"lines": {"low": {}, "warm-up": {}}})
    with pytest.raises(UserError, match=r"'warm'. Did you mean 'warm-up'.* lines low, warm-up"):
        check_claims([claim(line="warm")], results)
    with pytest.raises(UserError, match=r"made-up names no line, .* write line: low"):
        check_claims([claim()], results)
    check_claims([claim(line="low"), claim(status="paper inconsistent", reason="x")], results)


def test_an_analysis_that_a_recipe_does_not_make_is_refused() -> None:
    written = [{"name": "stability", "label": "to-order"}, {"name": "overlap"}]
    results = made.results([], recipe={"analyses": written})
    sides = ["ticket", {"arm": "ticket", "of": "overlap.jaccard"}]
    check_claims([claim(of="to-order.angle", compare=sides, at={"density": 21})], results)
    with pytest.raises(UserError, match=r"analysis 'to-oder'. Did you mean 'to-order'.*overlap"):
        check_claims([claim(of="to-oder.angle", compare=["ticket"], at=None)], results)
    with pytest.raises(UserError, match="analyses: none"):
        check_claims([claim(of="overlap.jaccard", compare=["ticket"], at=None)], made.results([]))


def test_two_fields_that_replicates_agree_on_are_confirmed() -> None:
    def finding(replicate: int, gap: float) -> Finding:
        found = ({"kept": 2.0 + gap, "removed": 2.0},)
        return Finding("moved", "ticket", None, replicate, 0, 1, 0.8, 0.8, 9, found)

    sides = [{"arm": "ticket", "of": f"moved.{side}"} for side in ("kept", "removed")]
    wanted = claim(of=None, compare=sides, at={"density": 80})
    for sign, said in ((1, "confirmed"), (-1, "contradicted")):
        findings = tuple(finding(r, sign * (0.5 + 0.01 * r)) for r in range(4))
        assert judge(wanted, made.results([], findings=findings)).verdict == said


def test_an_unknown_arm_of_a_changed_recipe_is_not_run() -> None:
    results = made.results([], arms=(TICKET,))
    said = judge(claim(compare=["ticket", "reinit"]), results)
    assert said.verdict == "not run"
    assert said.reason == "there is no arm 'reinit' here: there are dense, ticket"
    with pytest.raises(UserError, match="unknown column"):
        judge(claim(of="wat"), results)


def test_what_was_not_looked_at() -> None:
    said = unjudged(claim(), "x", "no data", "not here")
    assert (said.verdict, said.reason, said.n) == ("no data", "not here", None)
    assert math.isinf(said.claim.parts()[0].expect[1])
