"""Weights that compete inside a layer: each unit's own, N of M neighbours, or whole blocks.

All three look at a weight as a matrix (units, inputs), see `axes`. `grains`: what there is;
`cells`: the exact choice in rows and patterns; `blocks`: that of blocks.
"""
