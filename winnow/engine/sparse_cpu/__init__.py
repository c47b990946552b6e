"""Training whose cost falls with density: numba kernels that touch nonzeros only."""
