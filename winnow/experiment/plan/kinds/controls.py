"""The arms of controls, which check one method each and are named after it."""

from __future__ import annotations

from winnow.experiment.arms import Arm
from winnow.experiment.recipe.compare import INIT_CONTROLS, InitControls


def control_arm(of: Arm, kind: str) -> Arm:
    """The arm of a kind of control of a method."""
    return Arm(f"{of.name}-{kind}", kind, of=of.name, method=of.method)


def arms_of_controls(of: Arm, asked: InitControls) -> tuple[Arm, ...]:
    """Those of the controls that are asked for, in the order of rows.csv."""
    kinds = [kind for kind in sorted(INIT_CONTROLS) if getattr(asked, kind)]
    return tuple(control_arm(of, kind) for kind in kinds)
