"""What an analysis is for the plan and for workers: facts about a function, and its call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from winnow.experiment.runs import Run
    from winnow.mask import Mask
    from winnow.state import State

MeasuredRow = dict[str, float | int | str | None]
"""Numbers by field. ``layer`` and ``bin`` say what a row is about; the row without either is of the
whole network, and the only one that claims and views against density read.
"""


@dataclass(frozen=True)
class Specimen:
    """A run as an analysis sees it: its state, the mask, and the network in that state.

    ``initial``: the weights that the run's network was initialised with, by name. ``model``: makes
    the network with the state's weights and buffers, in evaluation mode. ``prunable``: the weights
    that its mask can hold; of a dense run those of the run that it is compared with.
    """

    run: Run
    state: State
    mask: Mask
    initial: Callable[[], Mapping[str, Tensor]]
    model: Callable[[], nn.Module]


SeenBatches = Iterable[tuple["Tensor", "Tensor"]]
"""Normalised images and labels, as often as they are iterated over."""

MeasureFunction = Callable[[Sequence[Specimen], SeenBatches, Mapping[str, Any]], list[MeasuredRow]]


@dataclass(frozen=True)
class MeasureKind:
    """An analysis by name. ``subjects``: how many runs it is of. ``needs_data``: whether it sees
    images. ``options``: with their defaults. ``semantics``: raised when it gives other numbers.
    ``function``: imports what it needs when it is called. ``text``: what it is, in a sentence.
    """

    name: str
    function: MeasureFunction
    text: str
    subjects: int = 1
    needs_data: bool = False
    options: Mapping[str, Any] | None = None
    semantics: int = 1
    numbers: str = "float32"
