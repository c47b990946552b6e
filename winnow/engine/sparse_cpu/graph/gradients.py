"""Where the gradients by activations lie, decided once, from the last operation to the first.

Gradients of one shape take turns in a few buffers: as soon as one has been used up, its buffer is
free for another. The border of a buffer holds zeros and stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.engine.sparse_cpu.graph.activations import Activation, Views, new_buffer
from winnow.engine.sparse_cpu.graph.map import Map


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

    ``gated``, ``summed``: whether the last of them has done that to it; see `Share`.
    """

    views: Views
    gated: bool
    summed: bool


class Gradients:
    """The plan of the way back, while it is made: operations ask for their parts of it in turn."""

    def __init__(self, uses: Mapping[Activation, int], batch: int) -> None:
        """``uses``: by how many operations each activation is used."""
        self._batch = batch
        self._left = dict(uses)
        self._views: dict[Activation, Views] = {}
        self._last: dict[Activation, Share] = {}
        self._free: dict[Map, list[Views]] = {}

    def begun(self, activation: Activation) -> bool:
        """Whether the gradient by an activation has a buffer already."""
        return activation in self._views

    def begin(self, activation: Activation) -> Views:
        """The buffer of a gradient that no operation makes: by the logits."""
        self._views[activation] = new_buffer(activation.map, self._batch)
        return self._views[activation]

    def claim(self, activation: Activation, *, gates: bool = False, sums: bool = False) -> Share:
        """The part of one user of an activation, which ``gates`` and ``sums`` if it is the last."""
        accumulate = self.begun(activation)
        if not accumulate:
            free = self._free.get(activation.map)
            self._views[activation] = (
                free.pop() if free else new_buffer(activation.map, self._batch)
            )
        self._left[activation] -= 1
        last = self._left[activation] == 0
        gates = gates and last and activation.rectified
        sums = sums and last and activation.back_sums is not None
        return self._note(activation, Share(self._views[activation], accumulate, gates, sums))

    def take_over(self, activation: Activation, source: Activation) -> Share:
        """The part of the first user of an activation, whose own gradient becomes this one.

        It lies in the buffer of the gradient by ``source``, which is not to be released then.
        """
        assert not self.begun(activation)
        self._views[activation] = self._views[source]
        self._left[activation] -= 1
        return self._note(activation, Share(self._views[activation]))

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
        )

    def release(self, activation: Activation) -> None:
        """The gradient has been used up: its buffer is free."""
        self._free.setdefault(activation.map, []).append(self._views[activation])
