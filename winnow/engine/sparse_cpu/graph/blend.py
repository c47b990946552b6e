"""The operation between products: batch norm, a residual sum and a ReLU, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation, BackSums, Normed, Views
from winnow.engine.sparse_cpu.graph.gradients import Gradients, Share
from winnow.engine.sparse_cpu.graph.norm import Norm
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage, group_floats
from winnow.engine.sparse_cpu.kernels.batch_norm import back_sums, blend, blend_back, channel_sums
from winnow.engine.sparse_cpu.kernels.elementwise import add_arrays, relu_back
from winnow.kernels.arrays import NO_FLOATS, Floats


class Branch:
    """One summand of a blend: a value as it is, or batch normalised.

    ``summed``: the product before makes the sums of a batch that the norm needs. ``reader``: the
    place of the product, if any, that computes the gradient by the value when it reads it.
    """

    def __init__(
        self,
        value: Activation,
        norm: Norm | None,
        *,
        summed: bool = False,
        reader: int | None = None,
    ) -> None:
        self.value, self.norm, self.summed, self.reader = value, norm, summed, reader
        channels = value.map.channels
        self.scale = norm.scale if norm else np.ones(channels, np.float32)
        self.offset = norm.offset if norm else np.zeros(channels, np.float32)

    @property
    def back_sums(self) -> BackSums | None:
        """What its norm, if any, needs on the way back."""
        if self.norm is None:
            return None
        return BackSums(self.value, self.norm.mean, self.norm.sums_back)

    @property
    def normed(self) -> Normed | None:
        """What it gives, for those who compute it when they read it."""
        return None if self.norm is None else Normed(self.value, self.scale, self.offset)

    def sum(self, now: Pass) -> None:
        """The sums of some groups, where the product before makes none."""
        shape, norm = self.value.map, self.norm
        if norm is not None and norm.uses_batch(now.training):
            y = self.value.buffer[now.first]
            channel_sums(shape.dims, now.groups, now.present, y, norm.shift, norm.sums[now.lane])

    def prepare(self, now: Pass) -> None:
        """Scale and offset, when the sums are there."""
        if self.norm is not None:
            shape = self.value.map
            self.norm.prepare(now.batch * shape.height * shape.width, now.training)


@dataclass(frozen=True)
class _WayBack:
    """``delta``: the gradient by the output. ``closes``: its ReLU has still to be applied to it.

    ``parts``: branches in the order in which they are done, and their parts of the gradients by
    their values, None where no gradient is wanted but by a norm's own weights. ``summed``: the sums
    of one of the norms, where they are there already.
    """

    delta: Views
    closes: bool
    parts: list[tuple[Branch, Share | None]]
    summed: Floats | None


class Blend:
    """out = the sum of one or two branches, then maybe a ReLU."""

    back: _WayBack

    def __init__(self, branches: list[Branch], out: Activation, place: int) -> None:
        """``place``: in the order of all operations."""
        self.branches, self.out, self.place = branches, out, place
        self.dims, self.trained = out.map.dims, out.trained

    def bind(self, parameters: Parameters) -> None:
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.bind(parameters)

    def begin(self) -> None:
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.begin()

    def begin_back(self) -> None:
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.sums_back[:] = 0

    # ---- forward

    def stages(self) -> list[Stage]:
        group = group_floats(self.out)
        normed = [b for b in self.branches if b.norm is not None]
        sums = [Stage(b.sum, group=group) for b in normed if not b.summed]
        prepare = [Stage(b.prepare, whole=True) for b in normed]
        stored = [Stage(self.forward, group=group)] if self.out.normed is None else []
        return [*sums, *prepare, *stored]

    def forward(self, now: Pass) -> None:
        first, second = self.branches[0], self.branches[-1]
        pair = len(self.branches) == 2
        blend(
            self.dims,
            now.groups,
            now.present,
            first.value.buffer[now.first],
            first.scale,
            first.offset,
            second.value.buffer[now.first] if pair else now.nothing,
            second.scale if pair else NO_FLOATS,
            second.offset if pair else NO_FLOATS,
            self.out.rectified,
            self.out.buffer[now.first],
        )

    # ---- back

    def plan_back(self, gradients: Gradients) -> None:
        """The last branch to be done takes over the buffer of the gradient, if it needs a new."""
        out = gradients.of(self.out)
        readers = [b.reader for b in self.branches if b.reader is not None]
        parts: list[tuple[Branch, Share | None]] = []
        for branch in self.branches:
            if branch.norm is not None and branch.reader is not None:
                gradients.pass_through(branch.norm, branch.value, self.out)
            if branch.norm is not None and (branch.reader is not None or not branch.value.trained):
                parts.append((branch, None))
        branches = [b for b in self.branches if b.value.trained and b.reader is None]
        branches.sort(key=lambda b: not gradients.begun(b.value) and b.norm is None)
        for number, branch in enumerate(branches, start=1):
            last, kept = number == len(branches), branch.norm is None or not readers
            free = last and kept and gradients.can_take_over(branch.value, self.place, readers)
            claim = partial(gradients.take_over, source=self.out) if free else gradients.claim
            parts.append((branch, claim(branch.value)))
        wanted = self.out.back_sums
        summed = wanted.sums if out.summed and wanted is not None else None
        closes = self.out.rectified and not out.gated
        self.back = _WayBack(out.views, closes, parts, summed)
        gradients.release(self.out)

    def stages_back(self) -> list[Stage]:
        group = group_floats(self.out)
        normed = [branch.norm for branch, _ in self.back.parts if branch.norm is not None]
        factors = [Stage(partial(self._factors, norm), whole=True) for norm in normed]
        sums = [Stage(self._sum_back, group=group)] if self._sums_back(normed) else []
        passes = any(share is not None for _, share in self.back.parts)
        return [*sums, *factors, *([Stage(self.backward, group=group)] if passes else [])]

    def _sums_back(self, norms: list[Norm]) -> bool:
        """Whether the gradient has still to be gated, or summed for a norm."""
        return self.back.closes or any(n.sums_back is not self.back.summed for n in norms)

    def _sum_back(self, now: Pass) -> None:
        """The ReLU's gate, and the batch norms' sums that no product has made."""
        out, delta = self.out, self.back.delta[now.first]
        gate = out.buffer[now.first] if self.back.closes else now.nothing
        for branch, _ in self.back.parts:
            norm = branch.norm
            if norm is not None and norm.sums_back is not self.back.summed:
                y = branch.value.buffer[now.first]
                sums = norm.sums_back[now.lane]
                back_sums(self.dims, now.groups, delta, gate, y, norm.mean, sums)
                gate = now.nothing
        if gate.size:
            size = now.groups * out.map.group
            relu_back(gate[:size], delta[:size], delta[:size], False)

    def _factors(self, norm: Norm, now: Pass) -> None:
        norm.prepare_back(now.batch * self.out.map.height * self.out.map.width)

    def backward(self, now: Pass) -> None:
        delta, size = self.back.delta[now.first], now.groups * self.out.map.group
        for branch, share in self.back.parts:
            if share is None:
                continue
            into = share.views[now.first]
            if branch.norm is not None:
                self._through_norm(branch, branch.norm, share, now)
            elif share.accumulate:
                add_arrays(into[:size], delta[:size], into[:size], False)
            elif share.views is not self.back.delta:
                into[:size] = delta[:size]

    def _through_norm(self, branch: Branch, norm: Norm, share: Share, now: Pass) -> None:
        blend_back(
            self.dims,
            now.groups,
            now.present,
            self.back.delta[now.first],
            branch.value.buffer[now.first],
            norm.mean,
            norm.back_scale,
            norm.slope,
            norm.rest,
            share.accumulate,
            share.views[now.first],
        )
