"""Inference whose cost falls with density: programs of kernels, and what torch runs."""
