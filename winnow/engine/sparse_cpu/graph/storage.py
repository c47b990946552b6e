"""As what activations and the gradients by them lie in memory."""

from __future__ import annotations

import enum

from winnow.kernels.arrays import NO_FLOATS, NO_HALVES, Values, aligned, aligned_halves


class Storage(enum.Enum):
    """Float32, or bf16: half the bytes, and three decimal digits."""

    FLOAT32 = "float32"
    BF16 = "bf16"

    @property
    def bytes(self) -> int:
        """Of a number."""
        return 4 if self is Storage.FLOAT32 else 2

    @property
    def nothing(self) -> Values:
        """No numbers: what a kernel takes in place of a map that it does without."""
        return NO_FLOATS if self is Storage.FLOAT32 else NO_HALVES

    def zeros(self, count: int) -> Values:
        """So many zeros, aligned to vectors."""
        return aligned(count, 0.0) if self is Storage.FLOAT32 else aligned_halves(count)
