"""An arm: a line of an experiment, as a value that goes from the plan to every figure."""

from __future__ import annotations

from dataclasses import dataclass

CONTROLS = ("reinit", "random", "random-reinit", "shuffled", "inverted")
"""The kinds of arms that check another one: they share its masks, or their layer densities."""


@dataclass(frozen=True)
class Arm:
    """A line of an experiment.

    ``name``: unique in it; rows, tables and figures show it. ``kind``: ``ticket`` (found round by
    round; its round 0 is the dense network), ``continued``, ``one-shot``, one of CONTROLS, or the
    kind of a method that is compared (`winnow.algorithms.catalogue`). ``of``: the arm that it
    derives from: whose masks a control reuses, whose finds are fine-tuned. ``method``: the method's
    name in the catalogue, where methods are compared.
    """

    name: str
    kind: str
    of: str | None = None
    method: str | None = None

    @property
    def is_control(self) -> bool:
        """Whether it checks the arm that it derives from, and finds nothing itself."""
        return self.kind in CONTROLS


TICKET = Arm("ticket", "ticket")
REINIT = Arm("reinit", "reinit", of="ticket")

OF_ROUNDS = (
    TICKET,
    REINIT,
    Arm("random", "random", of="ticket"),
    Arm("one-shot", "one-shot"),
    Arm("one-shot-reinit", "reinit", of="one-shot"),
    Arm("continued", "continued"),
    Arm("random-reinit", "random-reinit", of="ticket"),
)
"""The arms that an experiment without ``compare`` can have, in the order of tables and rows."""
