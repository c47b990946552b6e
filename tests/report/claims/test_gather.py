"""From rows to evidence: which runs stand for which side."""

from __future__ import annotations

import math

import pytest
import synthetic_report as made
from made_claims import FACTOR, claim, rows

from winnow.report.claims.evidence import Evidence, Gap
from winnow.report.claims.gather import gather, known_lines, leading_line
from winnow.report.results import Curve, Finding


def found(listed, recipe=None, **fields):
    results = made.results(listed, recipe=recipe or made.RECIPE)
    return gather(results, claim(**fields).parts()[0])


def only(*arguments, **fields):
    (one,) = found(*arguments, **fields)
    return one


def gap(*arguments, **fields) -> str:
    one = only(*arguments, **fields)
    assert isinstance(one, Gap), one
    return one.reason


ARMS = {
    "dense": [[0.90, 0.91]],
    "ticket": [[0.92, 0.94], [0.95, 0.98], [0.80, 0.80]],
    "reinit": [[0.89, 0.89], [0.88, 0.87], [0.70, 0.70]],
}


def test_the_round_of_a_density_against_the_dense_one() -> None:
    one = only(rows(ARMS), at={"density": 64})
    assert one.values == pytest.approx({0: 0.05, 1: 0.07})
    assert (one.density, one.resolution, one.n) == (pytest.approx(0.64), 1e-4, 2)


def test_every_round_down_to_a_density() -> None:
    many = found(rows(ARMS), at={"down_to": 51.3})
    assert [one.density for one in many] == pytest.approx([0.8, 0.64, 0.512])
    assert [one.values[0] for one in many] == pytest.approx([0.02, 0.05, -0.1])


def test_dense_may_come_first_and_stand_alone() -> None:
    assert only(rows(ARMS), compare=["dense", "ticket"], at={"density": 64}).values == (
        pytest.approx({0: -0.05, 1: -0.07})
    )
    alone = only(rows(ARMS), compare=["dense"], at=None)
    assert (alone.values, alone.density) == ({0: 0.90, 1: 0.91}, None)


def test_draws_are_averaged_before_they_are_paired() -> None:
    second = rows({"reinit": [[0.79, 0.79], [0.80, 0.81]]}, draw=1)
    one = only([*rows(ARMS), *second], compare=["ticket", "reinit"], at={"density": 64})
    assert one.values == pytest.approx({0: 0.95 - 0.84, 1: 0.98 - 0.84})


def test_each_side_has_its_own_nearest_round() -> None:
    shots = [
        made.row(arm="one-shot", round=place, density=density, final_test_accuracy=density)
        for place, density in ((1, 0.7), (2, 0.55), (3, 0.2))
    ]
    tickets = rows({"ticket": [[0, 0.1], [0, 0.2], [0, 0.3]]})
    compare = ["ticket", "one-shot"]
    one = only([*tickets, *shots], compare=compare, at={"density": 51.3})
    assert one.values == pytest.approx({1: 0.3 - 0.55})
    far = [shot for shot in shots if shot.round == 3]
    said = gap([*tickets, *far], compare=compare, at={"density": 51.3})
    assert said == "one-shot has no finished round near 51.2 %"


def test_densities_of_all_weights_or_of_the_prunable_ones() -> None:
    listed = [
        made.row(round=n, density=0.5**n, density_total=0.5**n + 0.2, final_test_accuracy=n)
        for n in (1, 2)
    ]
    recipe = {"prune": {"rate": 0.5}}
    for of, value in (("total", 2), ("prunable", 1)):
        where = {"density": 47, "of": of}
        one = only(listed, recipe, compare=["ticket"], at=where, expect=[0, 1])
        assert one.values == {1: value}


def test_lines_are_kept_apart_and_can_be_compared() -> None:
    low = rows({"dense": [[0.5, 0.5]], "ticket": [[0.6, 0.7]]}, line="low")
    high = rows({"dense": [[0.1, 0.1]], "ticket": [[0.3, 0.2]]}, line="high")
    at = {"density": 80}
    assert only([*low, *high], line="low", at=at).values == pytest.approx({0: 0.1, 1: 0.2})
    sides = ["ticket", {"arm": "ticket", "line": "high"}]
    one = only([*low, *high], line="low", at=at, compare=sides)
    assert one.values == pytest.approx({0: 0.3, 1: 0.5})
    assert gap([*low, *high], at=at) == "it names no line: there are low, high"
    assert (
        gap([*low, *high], line="mid", at=at) == "there is no line 'mid' here: there are low, high"
    )
    assert gap(rows(ARMS), line="low").startswith("there is no line 'low'")


def test_lines_without_rows_are_known_from_the_recipe() -> None:
    results = made.results(rows(ARMS, line="low"), recipe={"lines": {"warm": {}, "low": {}}})
    assert known_lines(results) == ["warm", "low"]
    assert known_lines(made.results(rows(ARMS))) == []
    written = {"lines": {"warm": {}, "low": {}}}
    assert (
        gap(rows(ARMS, line="low"), written, line="warm") == "no run of ticket (warm) is finished"
    )


def test_what_is_not_there_says_so() -> None:
    assert gap([]) == "no run of ticket is finished"
    assert gap(rows({"ticket": [[0.5]] * 3})) == "no run of dense is finished"
    assert "no arm 'snip' here: there are dense, ticket, reinit" in gap(
        [], compare=["snip", "dense"]
    )
    assert "within one round of 5 %" in gap(rows(ARMS), at={"density": 5})
    told = gap(rows(ARMS), of="accuracy_at_500")
    assert told == "no replicate has accuracy_at_500 of every side there"


def test_diverged_runs_and_what_they_keep_from_starting() -> None:
    good = rows({"dense": [[0.9] * 6], "ticket": [[0.8] * 4]})
    bad = [
        made.row(round=1, replicate=4, density=FACTOR, status="diverged"),
        made.row(round=1, replicate=5, density=0.0, density_total=math.nan, status="unreachable"),
    ]
    at = {"density": 80}
    assert only([*good, *bad], at=at).blocked == "33 % of the runs of a side diverged"
    one = only([*good, bad[0]], at=at)
    assert (one.blocked, one.n) == ("", 4)


def test_analyses_are_found_beside_rows() -> None:
    def finding(arm: str, replicate: int, value: float, number: int = 1) -> Finding:
        at = 0.5**number
        rows = ({"distance": value},)
        return Finding("stability", arm, None, replicate, 0, number, at, at, 9, rows)

    listed = [finding("ticket", r, 2.0 + r) for r in (1, 2)]
    listed += [finding("reinit", r, 1.0) for r in (1, 2)]
    parts = claim(of="stability.distance", compare=["ticket", "reinit"], at=None).parts()
    (one,) = gather(made.results([], findings=tuple(listed)), parts[0])
    assert isinstance(one, Evidence)
    assert one.values == {1: 2.0, 2: 3.0}
    assert one.resolution is None
    assert gather(made.results([]), parts[0]) == (Gap("no run of ticket is finished"),)
    listed.append(finding("ticket", 1, 5.0, 2))
    (told,) = gather(made.results([], findings=tuple(listed)), parts[0])
    assert told == Gap("ticket has several rounds: say at which density")


def test_a_crossing_from_rows() -> None:
    arms = {"dense": [[0.9, 0.9]], "ticket": [[0.92, 0.92], [0.91, 0.9], [0.89, 0.88]]}
    one = only(rows(arms), at={"density": 60}, **{"as": "crossing"})
    assert {n: math.exp(x) for n, x in one.values.items()} == pytest.approx(
        {0: 0.64 * 0.8**0.5, 1: 0.64}
    )
    assert one.density == 0.6
    assert gap(rows({"dense": [[0.9]]}), at={"density": 60}, **{"as": "crossing"})


def test_rounds_and_steps_are_those_of_the_first_sparse_side() -> None:
    recipe = {
        "prune": {"rate": 0.2},
        "data": {"name": "digits"},
        "lines": {"fast": {"prune.rate": 0.6}, "cifar": {"data.name": "cifar-10"}},
    }
    assert leading_line(claim(line="fast").parts()[0]) == "fast"
    sides = ["dense", {"arm": "ticket", "line": "fast"}]
    assert leading_line(claim(line="cifar", compare=sides).parts()[0]) == "fast"
    assert leading_line(claim(compare=["dense"], at=None).parts()[0]) == ""
    one = [made.row(line="fast", round=1, density=0.4)]
    fields = {"compare": ["ticket"], "line": "fast"}
    assert only(one, recipe, at={"density": 20}, **fields).n == 1
    assert "within one round" in gap(one, recipe, at={"density": 15}, **fields)
    other = [made.row(line="cifar", round=1, density=0.8)]
    fields = {"compare": ["ticket"], "line": "cifar", "at": {"density": 80}}
    assert only(other, recipe, **fields).resolution == 1e-4


def test_two_columns_of_one_arm() -> None:
    listed = rows({"ticket": [[0.9, 0.8]]}, stop_test_accuracy=0.7)
    sides = ["ticket", {"arm": "ticket", "of": "stop_test_accuracy"}]
    one = only(listed, compare=sides, at={"density": 80})
    assert one.values == pytest.approx({0: 0.2, 1: 0.1})
    assert one.resolution == 1e-4


def test_two_fields_of_an_analysis() -> None:
    def finding(replicate: int, number: int) -> Finding:
        at = FACTOR**number
        layer = {"layer": "a", "kept": 3.0 * number, "removed": 1.0 + replicate}
        found = ({"kept": 0.0, "removed": 9.0}, layer)
        return Finding("moved", "ticket", None, replicate, 0, number, at, at, 9, found)

    findings = tuple(finding(r, n) for r in (0, 1) for n in (1, 2))
    sides = [{"arm": "ticket", "of": f"moved.{side}:a"} for side in ("kept", "removed")]
    part = claim(of=None, compare=sides, at={"density": 64}).parts()[0]
    (one,) = gather(made.results([], findings=findings), part)
    assert one.values == {0: 5.0, 1: 4.0}
    assert one.density == pytest.approx(0.64)


def test_two_sizes_of_one_arm() -> None:
    sides = [{"arm": "ticket", "at": {"density": n}} for n in (64, 80)]
    one = only(rows(ARMS), compare=sides, at=None)
    assert one.values == pytest.approx({0: 0.03, 1: 0.04})
    assert one.density == pytest.approx(0.64)
    against_dense = only(rows(ARMS), compare=[sides[0], "dense"], at=None)
    assert against_dense.values == pytest.approx({0: 0.05, 1: 0.07})
    far = [sides[0], {"arm": "ticket", "at": {"density": 5}}]
    told = gap(rows(ARMS), compare=far, at=None)
    assert told == "ticket has no finished round near 5 %"


def test_one_size_beside_every_round() -> None:
    fixed = {"arm": "ticket", "at": {"density": 80}}
    many = found(rows(ARMS), compare=[fixed, "reinit"], at={"down_to": 51.2})
    assert [one.density for one in many] == pytest.approx([0.8, 0.64, 0.512])
    assert [one.values[0] for one in many] == pytest.approx([0.92 - v for v in (0.89, 0.88, 0.7)])


def test_runs_that_never_reach_an_accuracy_bound_their_side() -> None:
    listed = rows({"dense": [[0, 0]], "ticket": [[0, 0]]}, "final_test_accuracy")
    slow = Curve((0, 100, 200), (3.0, 2.0, 1.0), (0.5, 0.6, 0.7), ())
    fast = Curve((0, 100, 200), (3.0, 2.0, 1.0), (0.5, 0.97, 0.98), ())
    curves = {row.run: slow if row.round == 0 else fast for row in listed}
    fields = {"of": "iterations_to_97", "at": {"density": 80}, "as": "ratio", "expect": [0, 1]}
    results = made.results(listed, curves=curves)
    (one,) = gather(results, claim(**fields).parts()[0])
    assert one.values == pytest.approx({0: math.log(0.5), 1: math.log(0.5)})
    assert (one.bound, one.blocked) == ("below", "")
    (back,) = gather(results, claim(**fields, compare=["dense", "ticket"]).parts()[0])
    assert back.bound == "above"
