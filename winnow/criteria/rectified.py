"""Rectified outputs of batch normalisation, which graphs compute again instead of keeping them.

z = relu(x·scale + shift) for each channel, where the graph keeps x for the normalisation anyway.
A convolution would keep its input z as well, a ReLU its output z, a pooling its input z. Here they
keep the source of z, and z is computed again, in two cheap passes, when they are differentiated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.weak import WeakTensorKeyDictionary

RELUS = (F.relu, torch.relu, Tensor.relu)


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """(C,) as (1, C, 1, …)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


@dataclass(frozen=True, eq=False)
class Affine:
    """What a batch normalisation does to its input x (B, C, …): scale and shift (C,)."""

    x: Tensor  # without its graph
    scale: Tensor
    shift: Tensor

    def y(self, x: Tensor) -> Tensor:
        """The output, as a function of the input and with its graph."""
        return torch.addcmul(per_channel(self.shift, x), x, per_channel(self.scale, x))


@dataclass
class _Latest:
    """The z that was last computed again, and of what. Its users in a pass follow each other."""

    source: ReluSource | None = None
    z: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ReluSource:
    """Where a z comes from."""

    affine: Affine
    latest: _Latest

    @torch.no_grad()
    def z(self) -> Tensor:
        latest = self.latest
        if latest.z is None or latest.source is not self:
            latest.z = None  # its memory is free for the next one
            latest.source, latest.z = self, self.affine.y(self.affine.x).relu_()
        return latest.z


def kept_as(source: ReluSource | None, z: Any) -> AbstractContextManager[Any]:
    """A context in which graphs keep the source in the place of z; nothing special without one."""
    if source is None:
        return nullcontext()
    place, shape = z.data_ptr(), z.shape  # not z itself: graphs keep this function too

    def pack(saved: Tensor) -> Tensor | ReluSource:
        is_z = saved.layout == torch.strided and saved.data_ptr() == place
        return source if is_z and saved.shape == shape else saved

    return saved_tensors_hooks(
        pack, lambda kept: kept.z() if isinstance(kept, ReluSource) else kept
    )


@dataclass
class Rectified:
    """The outputs of normalisations and their z that a forward pass holds at the moment.

    They are forgotten with the tensors, and when something writes to these.
    """

    _affines: Any = field(default_factory=WeakTensorKeyDictionary)  # y -> (version, Affine)
    _sources: Any = field(default_factory=WeakTensorKeyDictionary)  # z -> (version, Source)
    _latest: _Latest = field(default_factory=_Latest)

    def normalised(self, y: Tensor, affine: Affine) -> None:
        self._affines[y] = y._version, affine

    def relu(self, y: Tensor) -> Tensor | None:
        """relu(y) if y is the output of a normalisation."""
        affine = _unchanged(self._affines, y)
        if affine is None or not y.requires_grad:
            return None
        source = ReluSource(affine, self._latest)
        z: Tensor = _Relu.apply(y, source)  # type: ignore[no-untyped-call]
        self._sources[z] = z._version, source
        return z

    def source(self, z: Any) -> ReluSource | None:
        """Where z comes from, if that is known."""
        found: ReluSource | None = _unchanged(self._sources, z)
        return found


def _unchanged(known: Any, tensor: Any) -> Any:
    version, value = known.get(tensor, (0, None)) if isinstance(tensor, Tensor) else (0, None)
    return value if value is not None and tensor._version == version else None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, source: ReluSource) -> Tensor:
        ctx.source = source
        return y.relu()

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> Any:
        z = ctx.source.z()
        with kept_as(ctx.source, z):
            return torch.ops.aten.threshold_backward(delta, z, 0), None
