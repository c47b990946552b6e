"""A made-up comparison of methods at two densities, with costs."""

from __future__ import annotations

from synthetic_report import RECIPE, method, results, row

from winnow.experiment.arms import TICKET

NAMES = ("random", "magnitude", "imp", "mine")
COSTS = {"random": 14.0, "magnitude": 14.0, "imp": 40.0, "mine": 15.0}
LEVELS = {"random": (0.9, 0.5), "magnitude": (0.92, 0.8), "imp": (0.97, 0.95), "mine": (0.93, 0.85)}
JITTER = {
    "random": (0, 1, -1, 0, 0),
    "magnitude": (1, 0, 0, -1, 0),
    "imp": (0, 0, 1, 0, -1),
    "mine": (0, -1, 0, 1, 0),
}


def made_comparison(levels=LEVELS, *, replicates=5, lost=(), **changes):
    """Results; ``lost``: (arm, replicate, round) of runs that diverged."""
    rows = [row(replicate=k, stop_test_accuracy=0.98, cost=13.0) for k in range(replicates)]
    for arm, own in levels.items():
        for round_, level in enumerate(own, 1):
            for k in range(replicates):
                gone = (arm, k, round_) in lost
                accuracy = level + 0.002 * (JITTER[arm][k % 5] + 0.3 * k + (k % 2) * (round_ - 1.5))
                rows.append(
                    row(
                        arm=arm,
                        replicate=k,
                        round=round_,
                        density=(0.5, 0.1)[round_ - 1],
                        stop_test_accuracy=None if gone else accuracy,
                        status="diverged" if gone else "done",
                        cost=COSTS[arm] + (0, 2)[round_ - 1],
                    )
                )
    arms = (TICKET, *(method(name) for name in levels))
    recipe = {**RECIPE, "compare": {}, "replicates": replicates}
    return results(rows, **{"recipe": recipe, "arms": arms, **changes})
