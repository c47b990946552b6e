"""Scales: how large an experiment is. ``full`` is the recipe as it stands; others change it.

``small``: minutes on two cores, where an effect can be seen and no number is compared. ``smoke``:
seconds, to see that everything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winnow.errors import UserError, repeated

FULL = "full"
SMALL = "small"
SMOKE = "smoke"
SCALES = (FULL, SMALL, SMOKE)


def at_scale(scales: Any, scale: str, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a scale changes: of all lines, and of each (None: a line that it leaves out).

    ``scales``: what the recipe says under that key. Raises UserError: it has no such scale.
    """
    if not _are_mappings(scales) or not set(scales) <= {SMALL, SMOKE}:
        raise UserError(
            f"{where}: scales is {repeated(scales)}: write {{small: {{train.steps: 1000it}}, "
            "smoke: …}, keys as for -o"
        )
    if scale == FULL:
        return {}, {}
    if scale not in scales:
        there = ", ".join([FULL, *scales])
        raise UserError(f"{where} has no scale {repeated(scale)}. It has {there}")
    changes = dict(scales[scale])
    lines = changes.pop("lines", {})
    if not isinstance(lines, dict) or not all(
        v is None or isinstance(v, dict) for v in lines.values()
    ):
        raise UserError(
            f"{where}: lines of scale {scale} is {repeated(lines)}: write {{NAME: {{KEY: value}}}} "
            "or {NAME: null} for a line to leave out"
        )
    return changes, lines


def _are_mappings(scales: Any) -> bool:
    return isinstance(scales, Mapping) and all(isinstance(v, Mapping) for v in scales.values())
