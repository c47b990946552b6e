"""How a convolution moves over its input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Of a convolution: each vertically, horizontally."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output."""
        sides = zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        high, wide = ((side + 2 * p - k) // s + 1 for side, k, s, p in sides)
        return high, wide

    def borders(self, height: int, width: int) -> tuple[int, int]:
        """The borders that the input, and the gradient by the output, need at least."""
        back = 0
        outputs = self.size(height, width)
        for side, out, k, s, p in zip(
            (height, width), outputs, self.kernel, self.stride, self.padding, strict=True
        ):
            for residue in range(min(s, side)):
                last = (side - 1 - residue) // s
                for tap in range((residue + p) % s, k, s):
                    first = (residue + p - tap) // s
                    back = max(back, -first, first + last - (out - 1))
        return max(self.padding), back
