"""What a kind of method is: all that a comparison asks of one, behind one small protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.experiment.arms import Arm
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.replicate import Node, Replicate


class PlannedMethod(Protocol):
    """A method of one recipe, checked: its arms and its points."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm, then those that come with it: of what is fine-tuned, of controls."""
        ...

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """All points of its arms in one replicate, but the dense network. Parents come first."""
        ...


class MethodKind(Protocol):
    """A kind of method. Each has a file here, and a line in `METHOD_KINDS`.

    ``name``: as the catalogue says it. ``panel``: the title of the figures that show its methods.
    ``cost``: what one density costs, in words.
    """

    @property
    def name(self) -> KindName: ...

    @property
    def panel(self) -> str: ...

    @property
    def cost(self) -> str: ...

    def options(self, entry: CatalogueEntry) -> dict[str, object]:
        """Every option of a method → its default in a comparison."""
        ...

    def text(self, entry: CatalogueEntry) -> str:
        """What comparisons make of a method, beyond what its own code says."""
        ...

    def plan(self, method: ComparedMethod) -> PlannedMethod:
        """The method, ready to be planned. UserError for all that it cannot do in this recipe:
        before anything is trained.
        """
        ...
