"""Calibrations with costs as they please, for tests of what follows from them."""

from __future__ import annotations

from winnow.engine.calibration import Calibration, Cost, Layer, LayerCost, Rung

LAYERS = {"a.weight": Layer(800, 1.0), "b.weight": Layer(200, 4.0)}
MACHINE = {"processor": "none", "float32 lanes": 8}


def calibration(*shares, layers=LAYERS, costs=None, images=(1e-6, 1e-6), key="k"):
    """A calibration of (density, sparse step / dense step) pairs, a dense step taking 1 ms."""
    rungs = tuple(
        Rung(density, Cost(1e-3, images[0]), Cost(share * 1e-3, images[1]))
        for density, share in shares
    )
    costs = {name: LayerCost(*cost) for name, cost in (costs or {}).items()}
    return Calibration(key, MACHINE, rungs, layers, costs)
