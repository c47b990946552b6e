"""Made-up results with the shape of the paper's figure 4, the same on every call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from winnow.experiment.arms import OF_ROUNDS, Arm
from winnow.report.results import Curve, Results, Row
from winnow.rng import stream

PRUNABLE = 266_200
ITERATIONS = 20_000
RECIPE = {
    "name": "lth/made-up",
    "data": {"name": "mnist", "validation": 5000},
    "model": {"name": "lenet-300-100", "init": "glorot-normal"},
    "train": {"steps": "20000it", "early_stopping": True},
    "prune": {"rate": 0.2, "rounds": 17},
    "report": {"bars": "min-max"},
}


def row(**changes: Any) -> Row:
    """One plausible finished run; ``density`` sets the total and the kept weights as well."""
    density = changes.get("density", 1.0)
    fields: dict[str, Any] = {
        "recipe": "lth/made-up",
        "arm": "ticket",
        "replicate": 1,
        "draw": 0,
        "round": 0,
        "density": density,
        "density_total": density,
        "weights_kept": round(density * PRUNABLE),
        "status": "done",
        "diverged_at": None,
        "iterations": ITERATIONS,
        "stop_iteration": 8000,
        "stop_censored": False,
        "stop_validation_loss": 0.07,
        "stop_validation_accuracy": 0.978,
        "stop_test_accuracy": 0.978,
        "stop_train_accuracy": 0.999,
        "final_validation_accuracy": 0.979,
        "final_test_accuracy": 0.979,
        "final_train_accuracy": 1.0,
        "accuracy_at": {},
        "seconds": 30.0,
    }
    fields.update(changes)
    name = "{arm}-{replicate}-{draw}-{round}".format(**fields)
    return Row(**{"run": name, **fields})


def results(rows: list[Row], **changes: Any) -> Results:
    """Results around rows; of the arms of rounds, and without curves, unless given."""
    fields: dict[str, Any] = {
        "name": "lth/made-up",
        "recipe": RECIPE,
        "arms": OF_ROUNDS,
        "curves": {},
        "missing": 0,
        "notes": (),
    }
    return Results(rows=tuple(rows), **{**fields, **changes})


def method(name: str, label: str | None = None, kind: str = "at initialisation") -> Arm:
    """The arm of a method that is compared, in the panel of its kind."""
    bound = {"random": "least", "imp": "most"}.get(name)
    return Arm(label or name, kind, method=name, panel=f"Panel of {kind}", bound=bound)


def control(of: Arm, kind: str) -> Arm:
    """The arm that checks a method."""
    return Arm(f"{of.name}-{kind}", kind, of.name, of.method)


def sweep(
    accuracies: dict[str, list[list[float]]], stops: dict[str, list[list[int]]] | None = None
) -> list[Row]:
    """Rows from numbers: arm → replicate → round. Arms but ``ticket`` start at round 1.

    Densities are 0.5 to the power of the round.
    """
    made = []
    for arm, replicates in accuracies.items():
        first = 0 if arm == "ticket" else 1
        for place, values in enumerate(replicates):
            for offset, value in enumerate(values):
                number = first + offset
                stop = stops[arm][place][offset] if stops and arm in stops else 8000
                changes = {"stop_test_accuracy": value, "stop_iteration": stop}
                made.append(
                    row(
                        arm=arm,
                        replicate=place + 1,
                        round=number,
                        density=0.5**number,
                        final_test_accuracy=value,
                        **changes,
                    )
                )
    return made


def paper_like(replicates: int = 5, rounds: int = 17) -> Results:
    """Tickets that win down to a few percent, and controls that lose."""
    rows, curves = [], {}
    for replicate in range(1, replicates + 1):
        plan = [("ticket", 0, number, 0.8**number) for number in range(rounds + 1)]
        for number in range(1, rounds + 1):
            plan += [("reinit", draw, number, 0.8**number) for draw in range(3)]
            plan += [("random", draw, number, 0.8**number) for draw in range(2)]
        plan += [("one-shot", 0, place + 1, 0.95 - 0.1 * place) for place in range(10)]
        for arm, draw, number, density in plan:
            made, curve = _run(arm, replicate, draw, number, density)
            rows.append(made)
            curves[made.run] = curve
    return results(rows, curves=curves, notes=("Made-up numbers.",))


def _run(arm: str, replicate: int, draw: int, number: int, density: float) -> tuple[Row, Curve]:
    noise = stream(7, arm, replicate, draw, number)
    depth = -math.log(density)  # 0 for dense, about 3.8 for 17 rounds
    gain = {"ticket": 0.0022, "one-shot": 0.0015}.get(arm, -0.0015) * min(depth, 2.0)
    loss = {"ticket": 0.0009, "one-shot": 0.0016}.get(arm, 0.002) * max(depth - 2, 0) ** 2
    best = 0.978 + gain - loss + 0.0005 * noise.standard_normal()
    speed = {"ticket": -2200, "one-shot": -1200}.get(arm, 1500) * min(depth, 2.0)
    stop = int(round((9000 + speed + 400 * noise.standard_normal()) / 100) * 100)
    steps = np.arange(100, ITERATIONS + 1, 100)
    climb = best - 0.6 * np.exp(-steps / (stop / 10)) - 0.03 * np.exp(-steps / (stop / 3))
    accuracy = climb + 0.0006 * noise.standard_normal(len(steps))
    curve = Curve(
        steps=tuple(int(step) for step in steps),
        validation_loss=tuple(0.08 + ((steps - stop) / 40_000) ** 2),
        validation_accuracy=tuple(accuracy - 0.001),
        test_accuracy=tuple(accuracy),
    )
    made = row(
        arm=arm,
        replicate=replicate,
        draw=draw,
        round=number,
        density=density,
        stop_iteration=stop,
        stop_test_accuracy=best,
        stop_train_accuracy=1 - 0.0004 * math.exp(depth / 1.6),
        final_test_accuracy=best + 0.0004,
        final_train_accuracy=1 - 0.0001 * math.exp(depth / 1.6),
    )
    return made, curve
