"""A density or rate of any type of number, and what it is of a count.

numpy's and torch's small floats multiply in their own precision, where 0.1 of a million weights is
another number: they are taken as the Python floats that they stand for. Fractions and decimals are
exact and stay so.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

import numpy as np
from torch import Tensor


def number_of(value: object) -> float | Fraction | None:
    """The number that a value stands for; None where it is none, or not finite.

    Numbers are Python's, numpy's, `Fraction`, `Decimal`, and tensors and arrays without dimensions.
    Truth values, strings and complex numbers are none.
    """
    if isinstance(value, Tensor | np.ndarray):
        if value.ndim or (isinstance(value, Tensor) and value.is_meta):
            return None
        value = value.item()
    if isinstance(value, bool | np.bool_):
        return None
    try:
        if isinstance(value, Integral):
            return Fraction(int(value))  # numpy's would stay in there
        if isinstance(value, Rational | Decimal):
            return Fraction(value)
        if isinstance(value, Real):
            found = float(value)
            return found if found - found == 0 else None
    except (ValueError, OverflowError):  # Decimal("NaN"), Decimal("Infinity")
        return None
    return None


def share_of(value: Any, count: int) -> int:
    """round(value · count), halves to the even neighbour; ``value`` is a number of any type.

    A float is multiplied as Python multiplies it; fractions and decimals exactly.
    """
    number = number_of(value)
    assert number is not None, value
    return round(number * count)


def plain_number(value: Any) -> Any:
    """A number as a Python int or float, as JSON takes it; anything else as it is."""
    if isinstance(value, bool) or type(value) in (int, float):
        return value
    number = number_of(value)
    if number is None:
        return value
    return (
        int(number) if isinstance(number, Fraction) and number.denominator == 1 else float(number)
    )
