"""What the kinds have in common whose masks come from a criterion: rounds, and small layers."""

from __future__ import annotations

from winnow.allocation import check_least
from winnow.errors import UserError
from winnow.experiment.plan.kinds.compared import ComparedMethod

_MOST_ROUNDS = 100_000


def rounds_of_scoring(method: ComparedMethod, usual: int) -> int:
    """In how many rounds weights are scored and pruned. UserError if that is no such number."""
    rounds = method.options.get("rounds", usual)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise UserError(f"rounds of {method.arm.name} is {rounds!r}: give a number from 1 on")
    if rounds > _MOST_ROUNDS:
        raise UserError(
            f"rounds of {method.arm.name} is {rounds}: weights are scored anew in each; write "
            f"{_MOST_ROUNDS:,} at most"
        )
    return rounds


def least_of(method: ComparedMethod) -> int:
    """How many weights each layer keeps at least. UserError where a density has not as many."""
    least: int = method.options.get("least", 0)
    for density in method.compare.densities:
        check_least(method.keep(density), method.sizes, least, f"least of {method.arm.name}")
    return least
