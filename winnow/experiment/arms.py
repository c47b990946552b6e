"""An arm: a line of an experiment, as a value that goes from the plan to every figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

DENSE = "dense"
"""What the network without a mask is called; its runs are round 0 of the arm of tickets."""

CONTROLS = (
    "reinit",
    "random",
    "random-reinit",
    "shuffled",
    "inverted",
    "reinit-masked",
    "permuted",
    "order",
    "random-order",
    "at-init",
    "noise",
)
"""The kinds of arms that check another one: they share its masks, or their layer densities."""


@dataclass(frozen=True)
class Arm:
    """A line of an experiment.

    ``name``: unique in it; rows, tables and figures show it. ``kind``: ``ticket`` (found round by
    round; its round 0 is the dense network), ``continued``, ``one-shot``, one of CONTROLS, or the
    kind of a method that is compared (`winnow.algorithms.catalogue`). ``of``: the arm that it
    derives from: whose masks a control reuses, whose finds are fine-tuned. ``method``: the method's
    name in the catalogue, where methods are compared; ``panel``: the title of the figure's panel
    that shows it there, None for controls; ``bound``: ``least`` or ``most`` for the method that all
    are compared with, as they are expected to reach at least that, or at most. ``level``: of an arm
    of the kind ``noise``, in standard deviations of the initial weights.
    """

    name: str
    kind: str
    of: str | None = None
    method: str | None = None
    panel: str | None = None
    bound: str | None = None
    level: float | None = None

    @property
    def is_control(self) -> bool:
        """Whether it checks the arm that it derives from, and finds nothing itself."""
        return self.kind in CONTROLS

    def dump(self) -> dict[str, Any]:
        """Plain values; without a level the same as before there was any."""
        plain = asdict(self)
        if self.level is None:
            del plain["level"]
        return plain


TICKET = Arm("ticket", "ticket")
REINIT = Arm("reinit", "reinit", of="ticket")
RANDOM = Arm("random", "random", of="ticket")
RANDOM_REINIT = Arm("random-reinit", "random-reinit", of="ticket")
CONTINUED = Arm("continued", "continued")
ONE_SHOT = Arm("one-shot", "one-shot")
ONE_SHOT_REINIT = Arm("one-shot-reinit", "reinit", of="one-shot")

OF_ROUNDS = (TICKET, REINIT, RANDOM, ONE_SHOT, ONE_SHOT_REINIT, CONTINUED, RANDOM_REINIT)
"""The arms that an experiment without ``compare`` can have, in the order of tables and rows."""

REINIT_MASKED = Arm("reinit-masked", "reinit-masked", of="ticket")
PERMUTED = Arm("permuted", "permuted", of="ticket")
ORDER = Arm("order", "order", of="ticket")
RANDOM_ORDER = Arm("random-order", "random-order", of="ticket")
AT_INIT = Arm("at-init", "at-init", of="ticket")

MORE_CONTROLS = (REINIT_MASKED, PERMUTED, ORDER, RANDOM_ORDER, AT_INIT)
"""Controls of tickets that come after OF_ROUNDS in tables and rows; arms of noise come last."""


def noise_arm(level: float) -> Arm:
    """The arm of tickets whose initial weights have so much noise added."""
    return Arm(f"noise-{level:g}", "noise", of="ticket", level=level)


ROUND_BY_ROUND = (TICKET, CONTINUED)
"""The arms whose networks are pruned to those of the next round: other arms need them."""
