"""Claims and rows made up for them, with known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import synthetic_report as made

from winnow.experiment.recipe.claims import Claim
from winnow.report.claims.judge import Conditions, Judged, judge
from winnow.report.results import Results, Row

FACTOR = 0.8
"""A round keeps so much of the weights."""


def claim(**fields: Any) -> Claim:
    """A claim: tickets are no worse than dense at 51.2 %, in final test accuracy."""
    usual: dict[str, Any] = {"id": "made-up", "says": "it holds"}
    if "all" not in fields and "any" not in fields:
        usual |= {
            "of": "final_test_accuracy",
            "compare": ["ticket", "dense"],
            "at": {"density": 51.2},
        }
        if "same" not in fields and fields.get("as") != "crossing":
            usual["expect"] = [0, "inf"]
    return Claim.model_validate({**usual, **fields})


def rows(
    arms: Mapping[str, Sequence[Sequence[float]]],
    column: str = "final_test_accuracy",
    **changes: Any,
) -> list[Row]:
    """Rows from numbers: arm → round → replicate. ``dense`` has one round, 0; others begin at 1.

    Densities are 0.8 to the power of the round.
    """
    listed = []
    for arm, rounds in arms.items():
        for offset, values in enumerate(rounds):
            number = 0 if arm == "dense" else 1 + offset
            for replicate, value in enumerate(values):
                own: dict[str, Any] = {
                    "arm": "ticket" if arm == "dense" else arm,
                    "round": number,
                    "replicate": replicate,
                    "density": FACTOR**number,
                    column: value,
                    **changes,
                }
                listed.append(made.row(**own))
    return listed


def three_rounds(dense: Sequence[float], ticket: Sequence[float], **changes: Any) -> Results:
    """Dense networks, and tickets whose third round (51.2 %) has the values given."""
    filler = [0.5 for _ in ticket]
    return made.results(rows({"dense": [dense], "ticket": [filler, filler, ticket]}, **changes))


def verdict(results: Results, conditions: Conditions | None = None, **fields: Any) -> Judged:
    """The verdict on a claim made of ``fields``."""
    return judge(claim(**fields), results, conditions)


CLAIMED = made.results(
    rows({"dense": [[0.960, 0.970, 0.965]], "ticket": [[0.965, 0.976, 0.969], [0.95, 0.97, 0.96]]}),
    recipe={
        **made.RECIPE,
        "claims": [
            {"id": "made-up-1", "says": "it holds & is_true", "of": "final_test_accuracy",
             "compare": ["ticket", "dense"], "at": {"density": 80}, "expect": [0, "inf"]},
            {"id": "made-up-2", "says": "it fails", "of": "final_test_accuracy",
             "compare": ["ticket", "dense"], "at": {"density": 80}, "expect": ["-inf", 0]},
            {"id": "made-up-3", "says": "nobody ran it", "of": "final_test_accuracy",
             "compare": ["random", "dense"], "at": {"density": 80}, "expect": [0, "inf"]},
        ],
    },
)  # fmt: skip
"""Results whose recipe has claims of several verdicts."""
