"""What a run asks of an engine: weights, images and iterations, and what its method needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from winnow.experiment.runs import Run

if TYPE_CHECKING:
    from winnow.engine.calibration import Calibration

_DENSELY = "its method needs the gradients of removed weights all along"
_SEARCHES = "a mask search trains the scores of removed weights too"


def why_densely(run: Run) -> str | None:
    """Why the run's method trains on the dense engine alone, or None."""
    from winnow.experiment.train.start import method_of

    if run.search is not None:
        return _SEARCHES
    method = method_of(run)
    return _DENSELY if method is not None and method.dense_slots else None


def images_evaluated(run: Run) -> float:
    """How many images are evaluated for each training step.

    The test images of a learning curve are not counted: what is recorded changes no number.
    """
    return float(run.data.validation) / run.evaluate


def iterations_under_one_mask(run: Run) -> int:
    """How long a run trains under one mask, for the choice of an engine; 0 if its mask changes.

    What is rewound counts as if it began at 0, as its controls may: all arms of a round share it.
    """
    if run.dynamic is not None or run.search is not None:
        return 0
    rewound = run.end == run.steps and run.begin == (run.start.step or 0)
    return run.end if rewound else run.end - run.begin


def planned_kept(run: Run, costs: Calibration) -> Mapping[str, float]:
    """How many weights each pruned layer keeps, as far as it is planned; empty for dense."""
    if run.keep is None or _begins_dense(run):
        return {}
    if not isinstance(run.keep, int):
        return run.keep
    sizes = {name: costs.layers[name].weights for name in run.prunable}
    density = run.keep / sum(sizes.values())
    return {name: density * size for name, size in sizes.items()}


def _begins_dense(run: Run) -> bool:
    from winnow.algorithms.dynamic import DYNAMIC_METHODS

    return run.dynamic is not None and DYNAMIC_METHODS[run.dynamic.name].starts_dense
