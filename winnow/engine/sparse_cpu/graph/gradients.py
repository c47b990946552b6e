"""Where the gradients by activations lie, decided once, from the last operation to the first.

Gradients of one shape take turns in a few buffers: as soon as one has been used up, its buffer is
free for another. The border of a buffer holds zeros and stays so. A gradient before a batch norm
may have none: it is computed from the one after it whenever it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.engine.sparse_cpu.graph.activations import Activation, Views, new_buffer
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.norm import Norm
from winnow.engine.sparse_cpu.graph.storage import Storage


@dataclass(frozen=True)
class Share:
    """What one user of an activation does to the gradient by it.

    ``views``: where the gradient lies. ``accumulate``: it adds to what other users have left there.
    ``gates``: it is the last, and sets the gradient to 0 where its ReLU was closed.
    ``sums``: it is the last, and fills its `BackSums`.
    """

    views: Views
    accumulate: bool = False
    gates: bool = False
    sums: bool = False


@dataclass(frozen=True)
class Gradient:
    """The gradient by an activation when all users have added to it.

    ``gated``, ``summed``: whether the last of them has done that to it; see `Share`. ``through``:
    it is what this norm makes of what lies in ``views``.
    """

    views: Views
    gated: bool
    summed: bool
    through: Norm | None = None


class Gradients:
    """The plan of the way back, while it is made: operations ask for their parts of it in turn."""

    def __init__(
        self,
        uses: Mapping[Activation, Sequence[int]],
        batch: int,
        storage: Storage = Storage.FLOAT32,
    ) -> None:
        """``uses``: the places of the operations that use each activation, in their order."""
        self._batch, self._uses, self._storage = batch, uses, storage
        self._left = {activation: len(places) for activation, places in uses.items()}
        self._views: dict[Activation, Views] = {}
        self._last: dict[Activation, Share] = {}
        self._through: dict[Activation, Norm] = {}
        self._readers: Counter[int] = Counter()  # of a buffer, by its identity
        self._free: dict[Map, list[Views]] = {}

    def begun(self, activation: Activation) -> bool:
        """Whether the gradient by an activation has a buffer already."""
        return activation in self._views

    def begin(self, activation: Activation) -> Views:
        """The buffer of a gradient that no operation makes: by the logits."""
        return self._own(activation)

    def _own(self, activation: Activation) -> Views:
        free = self._free.get(activation.map)
        views = free.pop() if free else new_buffer(activation.map, self._batch, self._storage)
        return self._read(activation, views)

    def _read(self, activation: Activation, views: Views) -> Views:
        self._views[activation] = views
        self._readers[id(views)] += 1
        return views

    def claim(self, activation: Activation, *, gates: bool = False, sums: bool = False) -> Share:
        """The part of one user of an activation, which ``gates`` and ``sums`` if it is the last."""
        accumulate = self.begun(activation)
        if not accumulate:
            self._own(activation)
        self._left[activation] -= 1
        last = self._left[activation] == 0
        gates = gates and last and activation.rectified
        sums = sums and last and activation.back_sums is not None
        return self._note(activation, Share(self._views[activation], accumulate, gates, sums))

    def can_take_over(self, activation: Activation, place: int, readers: Sequence[int]) -> bool:
        """Whether the gradient by an activation may lie where others are still read from.

        ``place``: of the operation that would be the first to add to it; ``readers``: the places of
        those that read, before it. What else is added comes after them on the way back.
        """
        others = [use for use in self._uses[activation] if use != place]
        return not self.begun(activation) and max(others, default=-1) < min(readers, default=place)

    def take_over(self, activation: Activation, source: Activation) -> Share:
        """The part of the first user of an activation, whose own gradient becomes this one.

        It lies in the buffer of the gradient by ``source``.
        """
        assert not self.begun(activation)
        self._read(activation, self._views[source])
        self._left[activation] -= 1
        return self._note(activation, Share(self._views[activation]))

    def pass_through(self, norm: Norm, activation: Activation, source: Activation) -> None:
        """The gradient by what only ``norm`` uses is what it makes of that by ``source``."""
        self._read(activation, self._views[source])
        self._left[activation] -= 1
        self._through[activation] = norm

    def _note(self, activation: Activation, share: Share) -> Share:
        self._last[activation] = share
        return share

    def of(self, activation: Activation) -> Gradient:
        """The gradient by an activation, all users of which have had their turn."""
        last = self._last.get(activation)
        return Gradient(
            self._views[activation],
            gated=last is not None and last.gates,
            summed=last is not None and last.sums,
            through=self._through.get(activation),
        )

    def release(self, activation: Activation) -> None:
        """The gradient has been used up: its buffer is free if no other is computed from it."""
        views = self._views[activation]
        self._readers[id(views)] -= 1
        if not self._readers[id(views)]:
            self._free.setdefault(activation.map, []).append(views)
