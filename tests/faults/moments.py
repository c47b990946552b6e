"""Which of the many moments of faults are tried: a fifth, or all with WINNOW_ALL_MOMENTS=1."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def some_of(cases: Sequence[T]) -> Sequence[T]:
    """Every fifth of them, so that those of a group of any other length take turns."""
    return cases if os.environ.get("WINNOW_ALL_MOMENTS") else cases[::5]
