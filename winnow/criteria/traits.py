"""What others have to know of a criterion and cannot see in its function.

Nothing outside a criterion's file asks for its name: what is particular about it is declared here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from torch import Tensor

from winnow.allocation import check_scope
from winnow.errors import UserError, unknown

_Function = TypeVar("_Function", bound=Callable[..., Any])
Seen = Literal["all", "balanced", "none"]
SurgeonChanges = Mapping[str, Tensor] | Iterator[tuple[str, Tensor]]  # name -> what to add
Surgeon = Callable[..., SurgeonChanges]  # (subject, mask, option=default, …)


@dataclass(frozen=True)
class Pruned:
    """A weight that has been pruned: what stays, a bool tensor, and what to add to it first."""

    name: str
    keep: Tensor
    change: Tensor | None = None


Layerwise = Callable[..., Iterator[Pruned]]  # (subject, name -> Kept, option=default, …)


@dataclass(frozen=True)
class Traits:
    """How a criterion is used where nobody says otherwise.

    ``examples``: what it sees of the training split: all, a class-balanced batch (10 of each
    class), or none. ``passes``: how often it goes over them, forward and backward; comparisons
    count that as cost. ``rounds``: of pruning at initialisation. ``training``: whether it scores
    the model in training mode (without dropout all the same), not in evaluation mode.

    ``surgeon``: what moves the weights that stay when a trained network is pruned by it: given the
    subject, the mask and the criterion's options, name -> what to add. A generator of such pairs
    goes layer by layer: before it is asked for the next pair, the last is added and what the mask
    removes there is 0. ``layerwise``: what prunes a trained network layer by layer: given the
    subject, name -> `patterns.shares.Kept` and the criterion's options, it yields what has been
    `Pruned`, and the same holds before it is asked for the next. Both see the network in evaluation
    mode and without gradients, but for surgeons that are no generators. ``takes_input_shape``: its
    option ``input_shape`` is the shape of one example, which whoever knows the data fills in.
    ``is_control``: it is itself a control of others, and has none by default. ``scope``: where its
    scores compete where nobody says otherwise, a scope of ``wn.prune``.
    """

    examples: Seen = "all"
    passes: float = 1
    rounds: int = 1
    training: bool = False
    surgeon: Surgeon | None = None
    takes_input_shape: bool = False
    is_control: bool = False
    scope: str = "global"
    layerwise: Layerwise | None = None


_USUAL = Traits()


def traits(
    *,
    examples: Seen = _USUAL.examples,
    passes: float = _USUAL.passes,
    rounds: int = _USUAL.rounds,
    training: bool = _USUAL.training,
    surgeon: Surgeon | None = _USUAL.surgeon,
    takes_input_shape: bool = _USUAL.takes_input_shape,
    is_control: bool = _USUAL.is_control,
    scope: str = _USUAL.scope,
    layerwise: Layerwise | None = _USUAL.layerwise,
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
    check_scope(scope)
    declared = Traits(
        examples, passes, rounds, training, surgeon, takes_input_shape, is_control, scope, layerwise
    )

    def marked(function: _Function) -> _Function:
        vars(function)["traits"] = declared
        return function

    return marked


def traits_of(function: Callable[..., Any]) -> Traits:
    """The traits of a criterion."""
    declared = getattr(function, "traits", _USUAL)
    return declared if isinstance(declared, Traits) else _USUAL
