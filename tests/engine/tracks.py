"""Tracks for machines without a GPU: one that records and replays like CUDA's graphs, and one on
the meta device, which has no numbers that a host could read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from winnow.engine.recorded.track import DeviceWork, Here

CPU, META = torch.device("cpu"), torch.device("meta")


def tensors_in(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Tape(TorchDispatchMode):
    """Notes every operation with the very tensors that it read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[Callable[[], None]] = []

    def replay(self) -> None:
        """Do it all again, in the same memory."""
        for operation in self.again:
            operation()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise RuntimeError("a replay would draw the same random numbers each time")
        out = func(*args, **kwargs)
        inputs = {memory(t) for t in tensors_in((args, kwargs))}
        if func._schema.is_mutable:
            self.again.append(lambda: func(*args, **kwargs))
        else:
            places = [t for t in tensors_in(out) if memory(t) not in inputs]  # others are views
            fresh = [memory(t) not in inputs for t in tensors_in(out)]

            def repeat() -> None:
                values = tensors_in(func(*args, **kwargs))
                new = (value for value, is_new in zip(values, fresh, strict=True) if is_new)
                for place, value in zip(places, new, strict=True):
                    place.copy_(value)

            if places:
                self.again.append(repeat)
        return out


class FakeTrack(Here):
    """Replays recorded operations on the memory that the recording used, as a CUDA graph does.

    What was a Python value in the recording stays as it was; a tensor that has been replaced since
    is not seen.
    """

    def __init__(self, device: torch.device = CPU) -> None:
        super().__init__(device)
        self.recordings = self.replays = 0

    def record(self, work: DeviceWork) -> DeviceWork:
        work()
        with Tape() as tape:
            work()
        self.recordings += 1

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay


class _NoNewNumbers(TorchFunctionMode):
    """Refuses tensors made on the device from the host's numbers, which no operation shows."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and out.device == META:
            raise RuntimeError("a copy between host and device: torch.tensor")
        return out


class _NoTransfer(TorchDispatchMode):
    """Refuses copies between host and device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if len({t.device for t in tensors_in((args, kwargs, out))}) > 1:
            raise RuntimeError(f"a copy between host and device: {func}")
        return out


class MetaTrack(Here):
    """A device without numbers, which fails whenever the host asks for one; but for `read`."""

    def __init__(self, device: torch.device = META) -> None:
        super().__init__(device)
        self.reads: list[tuple[int, ...]] = []
        self.steps = 0

    def fill(self, place: Tensor, values: Tensor) -> None:
        assert values.device == CPU
        assert (values.shape, values.dtype) == (place.shape, place.dtype)

    def read(self, values: Tensor) -> list[Any]:
        """As if all steps since the last look had been made, with a loss of 1."""
        self.reads.append(tuple(values.shape))
        rows = values.shape[1]
        if len(values) == 2:
            return [[1.0] * rows, [1.0] * rows]
        steps, self.steps = self.steps, 0
        return [[float(steps)] * rows, [float(steps)] * rows, [1.0] * rows]

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, nothing is copied between host and device outside of `fill`."""
        with _NoNewNumbers(), _NoTransfer():
            yield
