"""The walk of iterative pruning: which rounds there are, and how many weights each one keeps.

Counts do not depend on scores, so the whole walk is known before any training. ``wn.imp`` walks
it with the user's training function, an experiment's plan with the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from winnow.allocation import Keep, check_rate, keep_for_rates
from winnow.errors import UserError, unknown

StartFrom = Literal["init", "rewind", "parent"]


@dataclass(frozen=True)
class Round:
    """One training, and the pruning before it.

    ``parent``: the round whose trained weights are scored (None for round 0, the dense network);
    its mask is pruned to ``keep``, exact counts. ``start``: what the training starts from: "init",
    "rewind" (the weights at a step of round 0) or "parent" (the trained weights of the parent).
    """

    index: int
    parent: int | None
    start: StartFrom
    keep: Keep | None


def iterative(
    sizes: Mapping[str, int],
    *,
    rounds: int,
    rate: float,
    rates: Mapping[str, float] | None = None,
    scope: str = "global",
    rewind: str = "init",
) -> Iterator[Round]:
    """Round 0, then at most ``rounds`` prunings, each of the round before.

    Frankle & Carbin 2019, appendix B: rewind "init" is its strategy 1 (resetting), "none" its
    strategy 2 (continued training). A round removes round(rate · surviving weights): of all
    weights (scope "global") or of each tensor ("layer"). ``rates``: exact names -> rates where
    they differ from ``rate``; needs scope "layer". ``sizes``: name -> weights that compete.
    The walk ends early when a round would remove nothing.

    Raises UserError for a rate outside [0, 1), negative rounds, unknown names, scope or rewind.
    """
    each = _rates(sizes, rate, rates, scope)
    start = start_of(rewind)
    if rounds < 0:
        raise UserError(f"rounds is {rounds}: give the number of prunings, 0 or more, e.g. 15")
    return _walk(dict(sizes), rounds, each, scope, start)


def one_shot(
    sizes: Mapping[str, int], keeps: Sequence[Keep], *, rewind: str = "init"
) -> Iterator[Round]:
    """Round 0, then one round for each of ``keeps``, all of them pruned from round 0.

    Frankle & Carbin 2019, section 2 and figure 4c. Raises UserError for more weights than
    ``sizes`` has, unknown names or rewind.
    """
    for keep in keeps:
        _check_keep(sizes, keep)
    start = start_of(rewind)
    later = (Round(index, 0, start, keep) for index, keep in enumerate(keeps, 1))
    return iter([Round(0, None, "init", None), *later])


def one_shot_paper_grid(
    sizes: Mapping[str, int], rates: Mapping[str, float], rate: float
) -> list[Keep]:
    """The counts of figure 4c of Frankle & Carbin 2019: 39 one-shot prunings.

    Layers with the common ``rate`` keep 97.5, 95, …, 5, 2.5 %; a layer whose rate is r removes
    r / rate times their fraction (at most everything): the output layer, at half the rate, keeps
    98.75, 97.5, … %. ``rates``: exact names -> rates. Raises UserError for rates out of range.
    """
    if check_rate(rate) == 0:
        raise UserError("rate is 0: the grid is relative to the common rate, e.g. 0.2")
    each = _rates(sizes, rate, rates, "layer")
    assert isinstance(each, dict)
    share = {name: check_rate(each[name]) / check_rate(rate) for name in sizes}
    return [
        {name: n - round(n * min(1.0, share[name] * tick / 40)) for name, n in sizes.items()}
        for tick in range(1, 40)
    ]


def start_of(rewind: str) -> StartFrom:
    """What a round trains from: "init" -> init, "none" and "lr" -> parent, a step -> rewind."""
    if rewind == "init":
        return "init"
    if rewind in ("none", "lr"):
        return "parent"
    if not re.fullmatch(r"[\d.]+ep", str(rewind)):  # a caller that knows epochs may have them
        rewind_step(rewind)
    return "rewind"


def rewind_step(rewind: str) -> int:
    """The step k of "500it", in iterations. UserError for anything else."""
    if isinstance(rewind, str) and (found := re.fullmatch(r"(\d+)it", rewind)):
        return int(found[1])
    if re.fullmatch(r"\d+", str(rewind)):
        raise UserError(f"rewind is {rewind!r}: a bare number has no unit; write '{rewind}it'")
    if re.fullmatch(r"[\d.]+ep", str(rewind)):
        raise UserError(f"rewind is {rewind!r}: epochs are not known here; write it as '500it'")
    hint = "Rewind is init, none, lr, or a step such as '500it'"
    raise unknown("rewind", str(rewind), ("init", "none", "lr", "500it"), hint)


def _walk(
    alive: dict[str, int],
    rounds: int,
    rates: float | dict[str, float],
    scope: str,
    start: StartFrom,
) -> Iterator[Round]:
    yield Round(0, None, "init", None)
    before: Keep = sum(alive.values()) if scope == "global" else alive
    for index in range(1, rounds + 1):
        left = {"": before} if isinstance(before, int) else before
        after = keep_for_rates(left, rates, scope)
        if after == before:
            return
        yield Round(index, index - 1, start, after)
        before = after


def _rates(
    sizes: Mapping[str, int], rate: float, rates: Mapping[str, float] | None, scope: str
) -> float | dict[str, float]:
    """One rate for a global scope, one for each name otherwise."""
    if scope not in ("global", "layer"):
        raise unknown("scope", str(scope), ("global", "layer"), "Rounds are global or layer")
    check_rate(rate)
    if scope == "global":
        if rates:
            raise UserError(
                f"rates of {sorted(rates)} need scope 'layer': in a global scope all weights "
                "compete. To exempt a tensor, ignore it."
            )
        return rate
    for name, own in (rates or {}).items():
        check_rate(own, name)
        if name not in sizes:
            raise unknown("parameter", name, sizes, f"Those pruned are {', '.join(sizes)}")
    return {name: (rates or {}).get(name, rate) for name in sizes}


def _check_keep(sizes: Mapping[str, int], keep: Keep) -> None:
    if isinstance(keep, int):
        keep, sizes = {"all weights": keep}, {"all weights": sum(sizes.values())}
    for name, count in keep.items():
        if name not in sizes:
            raise unknown("parameter", name, sizes, f"Those pruned are {', '.join(sizes)}")
        if not 0 <= count <= sizes[name]:
            raise UserError(f"cannot keep {count} of {name!r}: it has {sizes[name]} weights")
