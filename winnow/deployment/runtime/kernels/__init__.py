"""Kernels of inference: numba only; hashed alone for their cache."""
