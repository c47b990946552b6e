"""What the slider goes through, by hand and against numpy."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import synthetic_report as made
from hypothesis import given
from hypothesis import strategies as st

from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report.charts import by_round as module
from winnow.report.charts.by_round import MOST_STEPS, by_round
from winnow.report.results import Curve, Details, Finding, Results, Row

MODEL = RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0)
DATA = RunData("mnist", "c", 5000, "none")


def rows(*places: tuple[str, int, float], replicates: int = 1, **changes: Any) -> list[Row]:
    """Rows of (arm, round, density), for each replicate."""
    return [
        made.row(arm=arm, round=number, density=density, replicate=k, **changes)
        for k in range(replicates)
        for arm, number, density in places
    ]


def curve(values: list[float], **changes: Any) -> Curve:
    fields = {
        "steps": tuple(range(len(values))),
        "validation_loss": tuple(values),
        "validation_accuracy": (),
        "test_accuracy": (),
    }
    return Curve(**{**fields, **changes})


def details(**kept: int) -> Details:
    return Details("id", "dense", {}, {}, MODEL, DATA, kept)


def finding(found: tuple[dict[str, Any], ...], **changes: Any) -> Finding:
    place: dict[str, Any] = {
        "key": "h", "arm": "ticket", "against": None, "replicate": 1, "draw": 0, "round": 1,
        "density": 0.5, "density_total": 0.5, "weights_kept": 5,
    }  # fmt: skip
    return Finding(**{**place, **changes}, rows=found)


# ---- stops


def test_stops_go_from_dense_to_sparse_and_merge_what_differs_by_rounding() -> None:
    places = [("ticket", 2, 0.25), ("ticket", 0, 1.0), ("ticket", 1, 0.5), ("one-shot", 1, 0.4976),
              ("one-shot", 2, 0.2485), ("random", 1, 0.494)]  # fmt: skip
    found = by_round(made.results(rows(*places)))
    assert found.stops == (100, 50, pytest.approx(49.4), 25)
    assert found.dump()["stops"] == ["100 %", "50.0 %", "49.4 %", "25.0 %"]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40))
def test_every_density_is_near_a_stop_and_stops_are_apart(densities: list[float]) -> None:
    places = [("ticket", k, density) for k, density in enumerate(densities)]
    stops = by_round(made.results(rows(*places))).stops
    assert list(stops) == sorted(stops, reverse=True)
    assert all(b < 0.99 * a * (1 + 1e-9) for a, b in pairwise(stops))
    for density in densities:
        assert any(math.isclose(stop, 100 * density, rel_tol=0.0101) for stop in stops)


def test_runs_that_are_not_done_make_no_stop() -> None:
    lost = rows(("ticket", 1, 0.5), status="diverged") + rows(
        ("ticket", 2, 0.2), status="unreachable"
    )
    assert by_round(made.results([*rows(("ticket", 0, 1.0)), *lost])).stops == (100,)
    assert by_round(made.results([])).stops == ()


# ---- curves


def test_means_of_singles_are_those_of_numpy() -> None:
    members = rows(("ticket", 0, 1.0), replicates=4)
    values = np.random.default_rng(0).uniform(0.1, 2, (4, 7))
    curves = {row.run: curve(list(own)) for row, own in zip(members, values, strict=True)}
    (entry,) = by_round(made.results(members, curves=curves)).curves
    assert (entry["stop"], entry["line"], entry["arm"]) == (0, "", "dense")
    assert entry["steps"] == list(range(7))
    found = entry["validation_loss"]
    np.testing.assert_allclose(found["mean"], values.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found["singles"], values, rtol=1e-4)
    assert "test_accuracy" not in entry


def test_only_steps_that_all_runs_have_are_shown() -> None:
    members = rows(("ticket", 1, 0.5), replicates=2)
    curves = {
        members[0].run: curve([1, 2, 3], steps=(0, 10, 20)),
        members[1].run: curve([5, 6, 9], steps=(10, 20, 30)),
    }
    (entry,) = by_round(made.results(members, curves=curves)).curves
    assert entry["steps"] == [10, 20]
    assert entry["validation_loss"] == {"mean": [3.5, 4.5], "singles": [[2, 3], [5, 6]]}
    apart = {members[0].run: curve([1], steps=(0,)), members[1].run: curve([1], steps=(1,))}
    assert by_round(made.results(members, curves=apart)).curves == ()


@pytest.mark.parametrize("count", [1, 59, 60, 61, 119, 120, 121, 1000])
def test_long_curves_are_thinned_evenly_and_keep_their_end(count: int) -> None:
    members = rows(("ticket", 0, 1.0))
    results = made.results(
        members, curves={members[0].run: curve([float(k) for k in range(count)])}
    )
    (entry,) = by_round(results).curves
    every = math.ceil(count / MOST_STEPS)
    wanted = sorted({*range(0, count, every), count - 1})
    assert entry["steps"] == wanted == entry["validation_loss"]["mean"]
    assert len(wanted) <= MOST_STEPS + 1


def test_accuracies_are_in_percent_and_what_is_no_number_is_none() -> None:
    members = rows(("ticket", 0, 1.0), replicates=2)
    one = curve([math.nan, 0.5], test_accuracy=(0.1, 0.98765432), training_loss=(math.nan, 0.25))
    two = curve([1.0, 0.7], training_loss=(math.nan, 0.35))
    results = made.results(members, curves={members[0].run: one, members[1].run: two})
    found = by_round(results)
    assert found.metrics == ("test_accuracy", "validation_loss", "training_loss")
    (entry,) = found.curves
    assert entry["test_accuracy"] == {"mean": [10, 98.765], "singles": [[10, 98.765]]}
    assert entry["validation_loss"]["mean"] == [None, 0.6]
    assert entry["training_loss"]["mean"] == [None, 0.3]
    text = json.dumps(found.dump(), allow_nan=False)
    assert json.loads(text)["metrics"][0] == {"name": "test_accuracy", "title": "Test accuracy (%)"}


def test_diverged_runs_are_in_no_mean() -> None:
    members = rows(("ticket", 0, 1.0), replicates=2)
    lost = rows(("ticket", 0, 1.0), status="diverged")[0]
    lost = made.row(run="lost", replicate=9, status="diverged", density=lost.density)
    curves = {row.run: curve([1.0, 2.0]) for row in members} | {"lost": curve([99.0, 99.0])}
    (entry,) = by_round(made.results([*members, lost], curves=curves)).curves
    assert entry["validation_loss"] == {"mean": [1, 2], "singles": [[1, 2]] * 2}


def test_lines_arms_and_stops_are_entries_of_their_own() -> None:
    members = [
        made.row(line=line, arm=arm, round=number, density=density, run=f"{line}{arm}{number}")
        for line in ("low", "high")
        for arm, number, density in (("ticket", 0, 1.0), ("ticket", 1, 0.5), ("reinit", 1, 0.5))
    ]
    curves = {row.run: curve([float(k)]) for k, row in enumerate(members)}
    found = by_round(made.results(members, curves=curves)).curves
    shown = {(e["line"], e["arm"], e["stop"]): e["validation_loss"]["mean"] for e in found}
    assert shown == {
        ("low", "dense", 0): [0], ("low", "ticket", 1): [1], ("low", "reinit", 1): [2],
        ("high", "dense", 0): [3], ("high", "ticket", 1): [4], ("high", "reinit", 1): [5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("most", "singles"),
    # 7 replicates at 2 stops, 1 metric, 60 steps: 2 · (1 + singles) · 60 numbers
    [(720, 5), (719, 4), (600, 4), (599, 3), (240, 1), (239, 0)],
)
def test_single_runs_are_as_many_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, most: int, singles: int
) -> None:
    monkeypatch.setattr(module, "MOST_NUMBERS", most)
    members = rows(("ticket", 0, 1.0), ("ticket", 1, 0.5), replicates=7)
    curves = {row.run: curve([float(row.replicate)]) for row in members}
    found = by_round(made.results(members, curves=curves))
    assert found.singles == singles
    for entry in found.curves:
        assert entry["validation_loss"]["singles"] == [[k] for k in range(singles)]
        assert entry["validation_loss"]["mean"] == [3]  # of all seven


def test_a_page_has_no_more_numbers_than_it_may() -> None:
    """With the widest experiment that still has single runs."""
    results = made.paper_like(replicates=5, rounds=17)
    found = by_round(results)
    numbers = sum(
        len(entry[metric]["mean"]) * (1 + len(entry[metric]["singles"]))
        for entry in found.curves
        for metric in found.metrics
    )
    assert found.singles == 5
    assert numbers <= module.MOST_NUMBERS


# ---- layers


def test_densities_of_layers_are_what_is_kept_over_their_sizes() -> None:
    members = rows(("ticket", 1, 0.5), replicates=2)
    about = {members[0].run: details(a=10, b=5), members[1].run: details(a=30, b=0)}
    sizes = {row.run: {"a": 40, "b": 50} for row in members}
    (entry,) = by_round(made.results(members, details=about), sizes).layers
    assert entry == {
        "stop": 0, "line": "", "arm": "ticket", "layers": ["a", "b"], "values": [50, 5]
    }  # fmt: skip


def test_layers_of_unknown_size_and_dense_networks_have_none() -> None:
    members = rows(("ticket", 0, 1.0), ("ticket", 1, 0.5))
    about = {members[0].run: details(), members[1].run: details(a=10, other=3)}
    sizes = {members[1].run: {"a": 40}}
    results = made.results(members, details=about)
    (entry,) = by_round(results, sizes).layers
    assert (entry["stop"], entry["layers"], entry["values"]) == (1, ["a"], [25])
    assert by_round(results).layers == ()


# ---- analyses


def binned(values: dict[float, float], **more: Any) -> tuple[dict[str, Any], ...]:
    return tuple({"layer": "w", "bin": at, "share": value, **more} for at, value in values.items())


def with_findings(*findings: Finding) -> Results:
    return made.results(rows(("ticket", 0, 1.0), ("ticket", 1, 0.5)), findings=findings)


def test_histograms_are_means_by_bin_in_their_order() -> None:
    found = by_round(
        with_findings(
            finding(({"whole": 3.0}, *binned({0.5: 0.75, -0.5: 0.25}))),
            finding(binned({-0.5: 0.75, 0.5: 0.25, 1.5: 0.5}), replicate=2),
            finding(binned({-0.5: 1.0}), round=0, density_total=1.0),
        )
    )
    ticket, dense = found.histograms
    assert ticket == {
        "stop": 1, "line": "", "arm": "ticket", "of": "h", "layer": "w", "field": "share",
        "bins": [-0.5, 0.5, 1.5], "values": [0.5, 0.5, 0.5],
    }  # fmt: skip
    assert (dense["stop"], dense["arm"], dense["values"]) == (0, "dense", [1.0])


def test_histograms_of_nothing_and_of_densities_without_a_stop_are_left_out() -> None:
    empty = finding(binned({-0.5: 0.0, 0.5: 0.0}))
    elsewhere = finding(binned({0.5: 1.0}), density_total=0.3)
    unknown = finding(binned({0.5: 1.0}, share=None))
    assert by_round(with_findings(empty, elsewhere, unknown)).histograms == ()


def test_overlaps_are_means_over_replicates_with_their_chance() -> None:
    def overlap(jaccard: float, **changes: Any) -> Finding:
        row = {"jaccard": jaccard, "jaccard_chance": 0.2, "agreement": 0.9, "agreement_chance": 0.5}
        return finding((row, {**row, "layer": "w", "jaccard": 9.0}), **changes)

    found = by_round(
        with_findings(
            overlap(0.25, against="reinit"),
            overlap(0.75, against="reinit", replicate=2),
            overlap(1.0),
            overlap(1.0, density_total=0.01),
            finding(({"other": 1},)),
        )
    ).overlaps
    shared = {"stop": 1, "line": "", "arm": "ticket", "agreement": 0.9, "agreement_chance": 0.5}
    assert found == (
        {**shared, "other": "reinit", "n": 2, "jaccard": 0.5, "jaccard_chance": 0.2},
        {**shared, "other": "ticket", "n": 1, "jaccard": 1.0, "jaccard_chance": 0.2},
    )
