"""Which rounds a density means."""

from __future__ import annotations

import math

import pytest
import synthetic_report as made

from winnow.experiment.recipe.sides import Where
from winnow.report.claims.places import chosen_rounds, grid, nearest_round, one_round
from winnow.report.samples import column_samples

WIDTH = -math.log(0.8)
ROUNDS = {number: 0.8**number for number in range(1, 11)}  # 80 to 10.7 %


def test_a_grid_has_the_mean_densities_of_sparse_rounds() -> None:
    rows = [
        made.row(),
        made.row(round=1, density=0.4, density_total=0.5),
        made.row(round=1, density=0.42, density_total=0.54, replicate=2, status="diverged"),
        made.row(round=2, density=0.0, density_total=math.nan, status="unreachable"),
    ]
    samples = column_samples(made.results(rows), "density")
    assert grid(samples, "total") == pytest.approx({1: 0.52})
    assert grid(samples, "prunable") == pytest.approx({1: 0.41})


@pytest.mark.parametrize(
    ("percent", "place"),
    [(80, 1), (51.3, 3), (21, 7), (17.6, 8), (16.7, 8), (10.7, 10), (9.0, 10), (8.6, 10)],
)
def test_the_nearest_in_log_density(percent, place) -> None:
    assert nearest_round(ROUNDS, percent / 100, WIDTH) == place


def test_in_logs_the_middle_is_the_geometric_one() -> None:
    middle = math.sqrt(0.8 * 0.64)  # 71.55, while (80 + 64) / 2 = 72
    assert nearest_round(ROUNDS, middle * 1.001, WIDTH) == 1
    assert nearest_round(ROUNDS, middle * 0.999, WIDTH) == 2


def test_more_than_a_round_away_there_is_none() -> None:
    edge = 0.8**11
    assert nearest_round(ROUNDS, edge * 1.0001, WIDTH) == 10
    assert nearest_round(ROUNDS, edge * 0.999, WIDTH) is None
    assert nearest_round({}, 0.5, WIDTH) is None
    assert nearest_round({4: 0.5}, 0.45, WIDTH) == 4  # one density: the recipe's rate says
    assert nearest_round({4: 0.5}, 0.39, WIDTH) is None
    holes = {1: 0.8, 9: 0.13}
    assert nearest_round(holes, 0.3, WIDTH) is None


def test_shorter_rounds_are_those_of_the_grid() -> None:
    slow = {number: 0.9**number for number in range(1, 5)}  # layers with a lower rate
    assert nearest_round(slow, 0.9**5 * 1.0001, WIDTH) == 4
    assert nearest_round(slow, 0.9**5 * 0.999, WIDTH) is None


def test_spans_of_rounds() -> None:
    assert chosen_rounds(ROUNDS, Where(density=21), WIDTH) == [7]
    assert chosen_rounds(ROUNDS, Where(down_to=41), WIDTH) == [1, 2, 3, 4]
    assert chosen_rounds(ROUNDS, Where(between=(51.3, 32.8)), WIDTH) == [3, 4, 5]
    said = chosen_rounds(ROUNDS, Where(down_to=3.5), WIDTH)
    assert said == "no finished round is within one round of 3.5 % (there are 80 to 10.7 %)"
    assert (
        chosen_rounds({}, Where(density=5), WIDTH) == "no finished round is within one round of 5 %"
    )


def test_a_round_of_the_recipe() -> None:
    recipe = {"prune": {"rate": 0.36}}
    assert one_round(made.results([], recipe=recipe)) == pytest.approx(-math.log(0.64))
    assert one_round(made.results([], recipe={})) == pytest.approx(WIDTH)
    layers = {"prune": {"rate": 0, "rates": {"conv": 0.1}}}
    assert one_round(made.results([], recipe=layers)) == pytest.approx(WIDTH)
