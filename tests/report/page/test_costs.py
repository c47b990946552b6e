"""What training cost, by hand: multiply-adds, speeds, and what shared runs saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import synthetic_report as made

from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report.page.costs import LayerCounts, cost_lines, layer_sizes, network_of, saved
from winnow.report.results import Details

DENSE = 784 * 300 + 300 * 100 + 100 * 10
MODEL = RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0)
DATA = RunData("mnist", "c", 5000, "none")
LAYERS = ("hidden.0.weight", "hidden.1.weight", "output.weight")


def details(engine: str = "dense", model: RunModel = MODEL, data: RunData = DATA, **changes: Any):
    kept = changes.get("kept", {})
    return Details("id", engine, {}, {}, model, data, kept)


def test_lenet_costs_a_multiply_add_for_each_weight_that_is_left() -> None:
    assert DENSE == 266_200
    network = network_of(details())
    assert network is not None
    sizes = dict(zip(LAYERS, (235_200, 30_000, 1_000), strict=True))
    assert network.sizes == sizes
    assert set(network.uses.values()) == {1}
    assert network.multiply_adds({}) == DENSE
    kept = dict(zip(LAYERS, (47_040, 6_000, 500), strict=True))
    assert network.multiply_adds(kept) == 53_540
    assert network.multiply_adds({LAYERS[2]: 0}) == DENSE - 1_000


def test_a_convolution_is_used_at_every_position() -> None:
    model, data = replace(MODEL, name="conv-2"), replace(DATA, name="cifar-10")
    network = network_of(details(model=model, data=data))
    assert network is not None
    by_uses = sorted(network.uses.values())
    assert by_uses[-1] == 32 * 32
    assert network.multiply_adds({}) == sum(
        network.sizes[name] * uses for name, uses in network.uses.items()
    )


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (replace(MODEL, name="of-another-winnow"), DATA),
        (MODEL, replace(DATA, name="of-another-winnow")),
    ],
)
def test_an_unknown_network_has_no_counts(model: RunModel, data: RunData) -> None:
    unknown = details(model=model, data=data)
    assert network_of(unknown) is None
    row = made.row()
    results = made.results([row], details={row.run: unknown})
    assert layer_sizes(results) == {}
    (line,) = cost_lines(results)
    assert (line.multiply_adds, line.share) == (None, None)


def test_the_sizes_of_layers_by_run() -> None:
    results = made.results([], details={"a": details(), "b": details(kept={LAYERS[0]: 3})})
    assert layer_sizes(results) == {
        run: dict(zip(LAYERS, (235_200, 30_000, 1_000), strict=True)) for run in ("a", "b")
    }


def test_operations_and_their_share_are_means_over_runs() -> None:
    rows = [made.row(round=1, density=0.2, replicate=k) for k in range(2)]
    left = ((47_040, 6_000, 200), (47_040, 6_000, 0))
    kept = [dict(zip(LAYERS, own, strict=True)) for own in left]
    about = {row.run: details(kept=own) for row, own in zip(rows, kept, strict=True)}
    (line,) = cost_lines(made.results(rows, details=about))
    assert line.multiply_adds == (53_240 + 53_040) / 2
    assert line.share == pytest.approx((53_240 + 53_040) / 2 / DENSE)
    assert (line.arm, line.density_total, line.runs) == ("ticket", 0.2, 2)
    (partly,) = cost_lines(made.results(rows, details={rows[0].run: about[rows[0].run]}))
    assert (partly.multiply_adds, partly.share) == (None, None)


def test_speeds_are_against_dense_runs_of_the_same_line() -> None:
    rows = [
        made.row(line="a", run="1", iterations=100, seconds=10.0),
        made.row(line="a", run="2", iterations=300, seconds=30.0, replicate=2),
        made.row(line="a", run="3", round=1, density=0.5, iterations=100, seconds=4.0),
        made.row(
            line="a", run="4", round=1, density=0.5, iterations=300, seconds=16.0, replicate=2
        ),
        made.row(line="b", run="5", iterations=100, seconds=40.0),
        made.row(line="b", run="6", round=1, density=0.5, iterations=100, seconds=10.0),
        made.row(line="c", run="7", round=1, density=0.5, iterations=100, seconds=10.0),
        made.row(line="a", run="8", arm="reinit", round=1, iterations=0, seconds=0.0, density=0.5),
    ]
    found = {(one.line, one.arm): one for one in cost_lines(made.results(rows))}
    assert found["a", "dense"].speed == 1
    assert found["a", "ticket"].speed == pytest.approx(2)  # 0.1 s against 20 s / 400
    assert found["b", "ticket"].speed == pytest.approx(4)
    assert found["c", "ticket"].speed is None
    assert found["a", "reinit"].speed is None
    ticket = found["a", "ticket"]
    assert (ticket.iterations, ticket.seconds, ticket.runs) == (200, 10, 2)
    assert [one.line for one in cost_lines(made.results(rows))] == ["a", "a", "b", "b", "c", "a"]


def test_only_finished_runs_are_counted_with_their_engines() -> None:
    rows = [
        made.row(seconds=10.0),
        made.row(replicate=2, seconds=20.0),
        made.row(replicate=3, seconds=99.0, status="diverged"),
        made.row(replicate=4, seconds=0.0, status="unreachable"),
    ]
    about = {
        rows[0].run: details("sparse-cpu"),
        rows[1].run: details(""),
        rows[2].run: details("x"),
    }
    (line,) = cost_lines(made.results(rows, details=about))
    assert (line.runs, line.seconds, line.engines) == (2, 15, ("sparse-cpu",))
    assert cost_lines(made.results(rows[2:])) == ()


def test_a_run_that_several_points_share_counts_once() -> None:
    shared = [made.row(run="same", replicate=k, seconds=3600.0) for k in range(3)]
    own = made.row(run="own", round=1, seconds=1800.0)
    lost = made.row(run="", status="unreachable", seconds=9e9, round=2)
    diverged = made.row(run="bad", status="diverged", seconds=360.0, round=3)
    one = made.results([*shared, own, lost, diverged])
    two = made.results([made.row(run="own", seconds=1800.0)], name="other")
    alone, both = saved([one]), saved([one, two])
    assert (alone.points, alone.runs) == (5, 3)
    assert alone.hours == pytest.approx(1.6)
    assert alone.saved_hours == pytest.approx(2.0)
    assert (both.points, both.runs) == (6, 3)
    assert both.hours == pytest.approx(1.6)
    assert both.saved_hours == pytest.approx(2.5)
    assert saved([]) == type(alone)(0, 0, 0, 0)


def test_layers_that_are_not_named_are_whole() -> None:
    counts = LayerCounts({"a": 10, "b": 20}, {"a": 1, "b": 100})
    assert counts.multiply_adds({"a": 3}) == 3 + 2000
    assert counts.multiply_adds({"a": 3, "b": 0, "norm.weight": 7}) == 3
