"""Compiled arithmetic: SIMD vectors for numba, the cache of kernels, moments of 3x3 convolutions.

No engine, no job, no state: engines and `winnow.moments` build on it.
"""
