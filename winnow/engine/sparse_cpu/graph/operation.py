"""What the operations of a graph have in common: products, blends, pooling, dropout, torch."""

from __future__ import annotations

from typing import Protocol

from winnow.engine.sparse_cpu.graph.gradients import Gradients
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Stage


class Operation(Protocol):
    """A part of the forward pass and of the way back, with its buffers.

    ``trained``: whether it takes part in the way back.
    """

    trained: bool

    def bind(self, parameters: Parameters) -> None:
        """Find the trained numbers."""

    def plan_back(self, gradients: Gradients) -> None:
        """Find buffers for gradients; called once, from the last operation to the first."""

    def begin(self) -> None:
        """Set to zero what a forward pass adds to."""

    def begin_back(self) -> None:
        """Set to zero what the way back adds to."""

    def stages(self) -> list[Stage]:
        """From the inputs' buffers to the output's."""
        ...

    def stages_back(self) -> list[Stage]:
        """From the gradient by the output to those by trained numbers and inputs."""
        ...
