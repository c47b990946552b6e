"""What auto goes by on a machine where everything pruned is cheaper in sparse kernels."""

from __future__ import annotations

from synthetic_calibration import calibration

from winnow.engine.auto import Auto
from winnow.engine.calibration import Layer
from winnow.engine.sparse_cpu.engine import SparseEngine


def sparse_auto(job):
    """Dense networks on the dense engine, pruned ones on the sparse one, unless it refuses."""
    if reason := SparseEngine().refuses(job):
        return Auto(reason=reason)
    SparseEngine().prepare(job)
    sizes = {n: w.numel() for n, w in job.build().named_parameters() if w.ndim >= 2}
    layers = {name: Layer(size, 1.0) for name, size in sizes.items()}
    return Auto(calibration((1.0, 4.0), (0.95, 0.1), (0.001, 0.1), layers=layers))
