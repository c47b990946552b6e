"""The kinds of operations that have kernels here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

ExampleShape = tuple[int, ...] | None
"""The shape of a value for one example; None for what is not a map or features."""


class OperationKind(enum.Enum):
    """What a node of a trace does."""

    INPUT = "input"
    CONVOLUTION = "convolution"
    LINEAR = "linear"
    NORM = "norm"
    RELU = "relu"
    ADD = "add"
    MAXIMUM = "maximum"
    AVERAGE = "average"
    DROPOUT = "dropout"
    VIEW = "view"
    TORCH = "torch"

    @property
    def keeps_map(self) -> bool:
        """Whether a result lies in memory as its operands do."""
        return self in _KEEP_MAPS


_KEEP_MAPS = {
    *(OperationKind.NORM, OperationKind.RELU, OperationKind.ADD),
    *(OperationKind.DROPOUT, OperationKind.VIEW),
}


@dataclass(frozen=True)
class Recognised:
    """The kind of an operation, its options; how many inputs are operands, not numbers.

    ``random``: it draws from torch's generator.
    """

    kind: OperationKind
    options: tuple[Any, ...] = ()
    inputs: int = 1
    random: bool = False


IN_TORCH = Recognised(OperationKind.TORCH)
