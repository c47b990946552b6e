"""Which density when: pruning schedules as pure functions."""

from __future__ import annotations

import math

from winnow.allocation import check_density
from winnow.errors import UserError, unknown

DECAYS = ("constant", "linear", "cosine")


def cubic(step: int, *, start: int, end: int, initial: float = 1.0, final: float) -> float:
    """Density of gradual pruning at ``step``: fast at first, slow towards the end.

    Zhu & Gupta 2017, "To prune, or not to prune", equation 1, with densities for sparsities:
    final + (initial − final)(1 − (step − start)/(end − start))³, constant outside [start, end].
    """
    initial, final = check_density(initial), check_density(final)
    if end <= start:
        raise UserError(f"a cubic schedule ends at step {end}, not after its start {start}")
    done = min(max((step - start) / (end - start), 0.0), 1.0)
    return final + (initial - final) * (1 - done) ** 3


def cosine_drop(step: int, *, end: int, fraction: float = 0.3) -> float:
    """Fraction of the active weights that dynamic sparse training replaces at ``step``.

    Evci et al. 2020 (RigL), section 3 (4): (fraction / 2)(1 + cos(π step / end)); 0 from ``end``
    on, when the connectivity no longer changes.
    """
    fraction = check_density(fraction)
    if end <= 0:
        raise UserError(f"the drop fraction decays until step {end}: give a positive step")
    return fraction / 2 * (1 + math.cos(math.pi * step / end)) if step < end else 0.0


def drop_fraction(
    decay: str, step: int, *, end: int, fraction: float = 0.3, floor: float = 0.0
) -> float:
    """The drop fraction at ``step`` under a decay by name, from ``fraction`` at step 0.

    "cosine" (see `cosine_drop`) and "linear" fall to ``floor`` at ``end``; "constant" does not.
    ``floor`` is that of Dettmers & Zettlemoyer's code (sparse momentum): 0.005.
    """
    check_decay(decay)
    fraction = check_density(fraction)
    if decay == "constant":
        return fraction
    if decay == "cosine":
        return floor + cosine_drop(step, end=end, fraction=fraction - floor)
    return floor + (fraction - floor) * max(1 - step / end, 0.0)


def check_decay(decay: str) -> None:
    """UserError unless the decay exists."""
    if decay not in DECAYS:
        raise unknown("decay", str(decay), DECAYS, f"Decays are {', '.join(DECAYS)}")
