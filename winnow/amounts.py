"""Amounts of training: ``"500it"`` (iterations) or ``"5ep"`` (epochs), never a bare number."""

from __future__ import annotations

import re

from winnow.errors import UserError, repeated

_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(it|ep)")
_DIGITS = 40

MOST_ITERATIONS = 10**12
"""No training is longer: at a million steps a second it would take eleven days."""


def checked_steps(value: object) -> str:
    """Return ``value`` if it is an amount of training; raise UserError that shows one otherwise."""
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UserError(f'is {repeated(value)}: write iterations as "500it" or epochs as "5ep"')
    if match[2] == "it" and "." in match[1]:
        raise UserError(f"is {value!r}: iterations are whole, e.g. {match[1].split('.')[0]}it")
    if len(match[1]) > _DIGITS or float(match[1]) > MOST_ITERATIONS:
        raise UserError(
            f"is {repeated(value)}: at most {MOST_ITERATIONS:g} {match[2]} can be asked for, in "
            f"{_DIGITS} characters at most"
        )
    return match[0]


def iterations(steps: str, per_epoch: int) -> int:
    """The number of iterations in ``steps``, with ``per_epoch`` iterations to the epoch."""
    match = _PATTERN.fullmatch(steps)
    assert match is not None, steps
    return int(match[1]) if match[2] == "it" else round(float(match[1]) * per_epoch)


def option_iterations(method: str, option: str, value: object, per_epoch: int | None) -> int:
    """What an option of a method says as an amount of training, in iterations.

    UserError, with both names, for what is no amount, and for epochs where ``per_epoch``, the
    iterations of an epoch, is None.
    """
    try:
        steps = checked_steps(value)
    except UserError as error:
        raise UserError(f"{option} {error}") from None
    if steps.endswith("ep") and per_epoch is None:
        raise UserError(
            f"{option} of {method} is {value!r}: pass per_epoch=, the iterations of an epoch "
            f"(e.g. len(loader)), or write {option}='100it'"
        )
    return iterations(steps, per_epoch or 1)
