"""How masks and weights become few bytes, and come back in the same bits.

Pure functions between tensors and bytes. Reading is bounded: what is decoded is never larger than
the shape that the caller expects, and everything that does not fit it is a ValueError.
"""
