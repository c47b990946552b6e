"""What experiments have to know of a criterion and cannot see in its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from winnow.errors import UserError, unknown

_Function = TypeVar("_Function", bound=Callable[..., Any])
Seen = Literal["all", "balanced", "none"]


@dataclass(frozen=True)
class Traits:
    """How a criterion is used where nobody says otherwise.

    ``examples``: what it sees of the training split: all, a class-balanced batch (10 of each
    class), or none. ``passes``: how often it goes over them, forward and backward; comparisons
    count that as cost. ``rounds``: of pruning at initialisation. ``training``: whether it scores
    the model in training mode (without dropout all the same), not in evaluation mode.
    """

    examples: Seen = "all"
    passes: float = 1
    rounds: int = 1
    training: bool = False


_USUAL = Traits()


def traits(
    *,
    examples: Seen = _USUAL.examples,
    passes: float = _USUAL.passes,
    rounds: int = _USUAL.rounds,
    training: bool = _USUAL.training,
) -> Callable[[_Function], _Function]:
    """A decorator that gives a criterion its `Traits`; one without it has the defaults.

    UserError for a word that ``examples`` does not know, and for counts that are none.
    """
    if examples not in get_args(Seen):
        words = get_args(Seen)
        raise unknown("examples of traits:", examples, words, f"They are {', '.join(words)}")
    if not passes >= 0 or isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise UserError(
            f"traits with passes={passes} and rounds={rounds}: give passes from 0 and a whole "
            "number of rounds from 1 on"
        )
    found = Traits(examples, passes, rounds, training)

    def marked(function: _Function) -> _Function:
        vars(function)["traits"] = found
        return function

    return marked


def traits_of(function: Callable[..., Any]) -> Traits:
    """The traits of a criterion."""
    found = getattr(function, "traits", _USUAL)
    return found if isinstance(found, Traits) else _USUAL
