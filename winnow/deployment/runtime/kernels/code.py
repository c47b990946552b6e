"""Programs of kernels: rows of numbers that say what to do with which floats.

A program is an int64 array of rows of `WIDTH`. The first number of a row is its operation, the
others its arguments, by the names below. Arguments that end in ``_AT`` are places in an array of
constants: ``tables`` (int32), ``weights`` (float32 or int8) or ``numbers`` (float32).
``X``, ``OUT`` and ``RESIDUAL`` are places in the arena, which holds all activations. -1 stands for
"there is none".

An activation is a map of channels; a channel is a plane of floats: rows of pixels, L examples side
by side for each pixel. Planes lie ``PLANE`` floats apart.
"""

from __future__ import annotations

WIDTH = 24

# operations
LOAD, STORE, MULTIPLY, DOTS, POOL, MEAN, ADD, SCALE, PHASES, COPY = range(10)

# arguments that several operations have
OPERATION, CHANNELS, X, X_PLANE, OUT, OUT_PLANE, RELU, LANES = range(8)

# MULTIPLY: weights · map, block by block of pixels; DOTS: weights · the features of one example
SLABS, START_AT, OFFSET_AT, WEIGHT_AT, BIAS_AT = range(8, 13)
RESIDUAL, RESIDUAL_PLANE, MASK_AT, BLOCKS_AT, SCALE_AT = range(13, 18)

# LOAD, STORE: examples one after the other, of so many floats; where in the arena each float goes;
# of a single example: rows of a plane, floats of a row, from a row to the next
FEATURES, PLACES_AT, ROWS, ROW_FLOATS, ROW_STEP = range(8, 13)

# POOL, MEAN, PHASES: pixels of the output, and how they lie; the window
HEIGHT, WIDE, X_ROW, OUT_ROW, KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W = range(8, 16)
PAD_H, PAD_W, AVERAGE = range(16, 19)

# ADD, COPY: floats that lie together; SCALE: see MULTIPLY for MASK_AT and BLOCKS_AT
COUNT, OTHER = range(8, 10)
