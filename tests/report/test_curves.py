"""Which learning curves are shown: the rounds, and means over replicates by hand."""

from __future__ import annotations

import dataclasses

import pytest
import synthetic_report as made

from winnow.experiment.arms import REINIT, TICKET
from winnow.report.curves import band, curve_panels, shows_test_accuracy
from winnow.report.results import Curve


def test_learning_curves_show_the_papers_rounds() -> None:
    panels = curve_panels(made.paper_like(replicates=2))
    shown = {title: [(one.arm.name, one.round) for one in bands] for title, bands in panels.items()}
    # 0.8^3 = 51.2 %, 0.8^7 = 21.0 %, 0.8^12 = 6.9 %, 0.8^15 = 3.5 %; 2.3 % is too far from 1.9 %.
    assert shown == {
        "First rounds": [("ticket", 0), ("ticket", 3), ("ticket", 7)],
        "Later rounds": [("ticket", 0), ("ticket", 12), ("ticket", 15)],
        "Against reinitialisation": [
            ("ticket", 0), ("ticket", 3), ("reinit", 3), ("ticket", 7), ("reinit", 7)
        ],
    }  # fmt: skip
    assert panels["First rounds"][1].density_total == pytest.approx(0.512)


@pytest.mark.parametrize(
    ("rounds", "panels"),
    [
        (0, {"Dense": [0]}),
        (1, {"First rounds": [0, 1]}),
        (2, {"First rounds": [0, 1], "Later rounds": [0, 2]}),
        (4, {"First rounds": [0, 3], "Later rounds": [0, 4]}),
    ],
)
def test_learning_curves_of_short_chains(rounds: int, panels: dict[str, list[int]]) -> None:
    results = made.paper_like(replicates=1, rounds=rounds)
    rows = [row for row in results.rows if row.arm == "ticket"]
    shown = curve_panels(dataclasses.replace(results, rows=tuple(rows)))
    assert {title: [one.round for one in bands] for title, bands in shown.items()} == panels


def test_without_a_dense_curve_nothing_is_shown() -> None:
    results = made.paper_like(replicates=1, rounds=4)
    rows = tuple(row for row in results.rows if row.round)
    assert curve_panels(dataclasses.replace(results, rows=rows)) == {}
    diverged = tuple(dataclasses.replace(row, status="diverged") for row in results.rows)
    assert curve_panels(dataclasses.replace(results, rows=diverged)) == {}


def curve(steps: tuple[int, ...], values: tuple[float, ...]) -> Curve:
    return Curve(steps, values, values, ())


def test_a_band_averages_draws_first_at_common_steps() -> None:
    rows = [
        made.row(arm="reinit", round=1, replicate=1, draw=0),
        made.row(arm="reinit", round=1, replicate=1, draw=1),
        made.row(arm="reinit", round=1, replicate=2, draw=0),
        made.row(arm="reinit", round=1, replicate=3, draw=0, status="diverged"),
        made.row(arm="reinit", round=2, replicate=2, draw=0),
        made.row(arm="random", round=1, replicate=2, draw=0),
    ]
    curves = {
        rows[0].run: curve((10, 20, 30), (0.1, 0.2, 0.3)),
        rows[1].run: curve((10, 20), (0.3, 0.4)),
        rows[2].run: curve((10, 20), (0.6, 0.9)),
        **{row.run: curve((10, 20), (7.0, 8.0)) for row in rows[3:]},
    }
    line = band(made.results(rows, curves=curves), REINIT, 1)
    assert line is not None
    assert (line.arm, line.round, line.density_total) == (REINIT, 1, 1.0)
    assert line.steps == (10, 20)
    assert line.mean == pytest.approx((0.4, 0.6))
    assert (line.low, line.high) == ((0.1, 0.2), (0.6, 0.9))
    assert band(made.results(rows, curves=curves), TICKET, 0) is None


def test_test_accuracy_is_shown_where_every_finished_run_has_it() -> None:
    rows = [made.row(), made.row(replicate=2), made.row(replicate=3, status="diverged")]
    tested = Curve((10, 20), (1.0, 0.5), (0.5, 0.6), (0.7, 0.8))
    untested = dataclasses.replace(tested, test_accuracy=())
    curves = {rows[0].run: tested, rows[1].run: tested, rows[2].run: untested}
    results = made.results(rows, curves=curves)
    assert shows_test_accuracy(results)
    line = band(results, TICKET, 0)
    assert line is not None
    assert line.mean == pytest.approx((0.7, 0.8))
    results = made.results(rows, curves={**curves, rows[1].run: untested})
    assert not shows_test_accuracy(results)
    line = band(results, TICKET, 0)
    assert line is not None
    assert line.mean == pytest.approx((0.5, 0.6))
    assert not shows_test_accuracy(made.results(rows))


def test_curves_without_any_accuracy_are_left_out() -> None:
    row = made.row()
    curves = {row.run: Curve((10, 20), (1.0, 0.5), (), ())}
    assert curve_panels(made.results([row], curves=curves)) == {}
