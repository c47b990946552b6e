"""What a grid holds: the pixels of a map that a product computes, and where they lie.

An int64 array (9,): how many groups, rows and columns, then the steps from each to the next in the
input and in the output, in floats.
"""

from __future__ import annotations

GROUPS, ROWS, COLUMNS, IN_GROUP, IN_ROW, IN_PIXEL, OUT_GROUP, OUT_ROW, OUT_PIXEL = range(9)
