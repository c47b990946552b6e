"""Printed numbers: the constants of ranges, the prediction interval, and how often it holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from winnow.experiment.recipe.paper_number import PaperNumber
from winnow.report.claims.intervals import MeanEstimate, estimate
from winnow.report.claims.number import (
    RANGE_OVER_SIGMA,
    count_reproduced,
    not_given,
    paper_error,
    prediction,
    reproduced,
)

SIMULATIONS = 2000


def printed(mean: float = 0.0, **fields: object) -> PaperNumber:
    return PaperNumber.model_validate({"mean": mean, "n": 5, **fields})


@pytest.mark.parametrize("n", range(2, 11))
def test_the_mean_range_of_n_normal_values(n) -> None:
    """Tippett 1925: E[range] = ∫ 1 − Φ(x)ⁿ − (1 − Φ(x))ⁿ dx."""
    whole, _ = integrate.quad(lambda x: 1 - stats.norm.cdf(x) ** n - stats.norm.sf(x) ** n, -8, 8)
    assert RANGE_OVER_SIGMA[n - 2] == pytest.approx(whole, abs=6e-4)


def test_the_constants_as_they_are_usually_rounded() -> None:
    assert round(RANGE_OVER_SIGMA[5 - 2], 2) == 2.33
    assert round(RANGE_OVER_SIGMA[3 - 2], 2) == 1.69


def test_errors_of_printed_spreads() -> None:
    assert paper_error(printed()) is None
    assert paper_error(printed(spread=0.6, kind="se")) == 0.6
    assert paper_error(printed(spread=0.6, kind="sd")) == pytest.approx(0.6 / math.sqrt(5))
    both = [paper_error(printed(spread=s, kind="range")) for s in (0.6, [-0.2, 1.0])]
    assert both == pytest.approx([1.2 / 2.326 / math.sqrt(5)] * 2)
    three = paper_error(printed(spread=[0, 1], kind="range", n=3))
    assert three == pytest.approx(1 / 1.693 / math.sqrt(3))


def test_the_interval_by_hand() -> None:
    """n 5, s 1, nₚ 5, σₚ 2: 2.776 · √(1/5 + 4/5) = 2.776."""
    interval = prediction(MeanEstimate(5, 10.0, 1.0), printed(spread=2, kind="sd"), log=False)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((7.224, 12.776), abs=1e-3)
    alike = prediction(MeanEstimate(5, 10.0, 1.0), printed(), log=False)  # σₚ as ours
    assert alike is not None
    assert alike.half_width == pytest.approx(2.776 * math.sqrt(2 / 5), rel=1e-3)


def test_reproduced_or_by_how_much_it_differs() -> None:
    ours = MeanEstimate(5, 10.0, 1.0)
    assert reproduced(ours, printed(11.7), log=False).answer == "reproduced"
    differs = reproduced(ours, printed(12.0), log=False)
    assert (differs.answer, differs.by) == ("differs", -2.0)


def test_ratios_are_compared_by_their_logarithms() -> None:
    ours = MeanEstimate(5, math.log(2.0), 0.1)
    found = reproduced(ours, printed(4.0, spread=0.4, kind="se"), log=True)
    assert found.answer == "differs"
    assert found.by == pytest.approx(0.5)
    assert found.interval is not None
    half = 2.776 * math.sqrt(0.1**2 / 5 + (0.4 / 4.0) ** 2)
    assert found.interval.high == pytest.approx(2 * math.exp(half), rel=1e-3)


def test_not_given_with_two_replicates_or_without_any_spread() -> None:
    assert reproduced(MeanEstimate(2, 1.0, 1.0), printed(), log=False).answer == "not given"
    assert reproduced(MeanEstimate(5, 1.0, 0.0), printed(), log=False).answer == "not given"
    step = reproduced(MeanEstimate(5, 1.0, 0.0, 0.5), printed(0.6), log=False)
    assert step.answer == "reproduced"
    spread = reproduced(MeanEstimate(5, 1.0, 0.0), printed(0.6, spread=0.2, kind="sd"), log=False)
    assert spread.answer == "differs"


@pytest.mark.parametrize(
    ("runs", "kind"), [(5, "range"), (3, "range"), (5, "sd"), (5, "se"), (3, "sd"), (5, None)]
)
def test_of_2000_simulated_pairs_of_papers_the_number_is_reproduced(runs, kind) -> None:
    random = np.random.default_rng(7)
    ours, theirs = random.normal(3, 1, (SIMULATIONS, 5)), random.normal(3, 1, (SIMULATIONS, runs))
    deviations = theirs.std(axis=1, ddof=1)
    spreads = {
        "range": np.stack([theirs.min(axis=1), theirs.max(axis=1)], axis=1).tolist(),
        "sd": deviations.tolist(),
        "se": (deviations / math.sqrt(runs)).tolist(),
        None: [None] * SIMULATIONS,
    }[kind]
    held = 0
    for values, mean, spread in zip(ours, theirs.mean(axis=1), spreads, strict=True):
        paper = printed(float(mean), n=runs, spread=spread, kind=kind)
        held += reproduced(estimate(values.tolist(), None), paper, log=False).answer == "reproduced"
    assert 0.93 <= held / SIMULATIONS <= 0.99


def test_a_paper_that_is_off_is_noticed() -> None:
    draws = np.random.default_rng(3).normal(3, 1, (200, 5))
    paper = printed(8.0, spread=1.0, kind="sd")
    said = [reproduced(estimate(d.tolist(), None), paper, log=False).answer for d in draws]
    assert said.count("differs") > 190


def test_counts() -> None:
    ours = MeanEstimate(5, 10.0, 1.0)
    answers = [reproduced(ours, printed(m), log=False) for m in (10, 20)]
    assert count_reproduced([*answers, not_given("small"), None]) == (1, 2)
