"""Where a lane's work runs: a CUDA stream of its own, or simply here.

The only file that knows of graphs and streams. What is recorded must keep its tensors where they
are: a replay reads and writes the memory that the recording did.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

DeviceWork = Callable[[], None]
"""Operations on tensors that stay where they are; it gives nothing back."""

_WARM = 3  # runs before a recording, in which libraries choose their kernels and allocate


class Track(Protocol):
    """Where work runs, in the order in which it is given."""

    device: torch.device

    def scope(self) -> AbstractContextManager[None]:
        """What is called inside runs on this track."""
        ...

    def record(self, work: DeviceWork) -> DeviceWork:
        """What does the same work again, with little help of the host.

        The work has run some times when this returns.
        """
        ...

    def fill(self, place: Tensor, values: Tensor) -> None:
        """Copy the host's values to a place on the device, without waiting for it."""
        ...

    def read(self, values: Tensor) -> list[Any]:
        """The numbers of a tensor: the one way in which the host waits for the device."""
        ...


class Here:
    """Runs work when it is called, on any device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def scope(self) -> AbstractContextManager[None]:
        """Nothing to enter."""
        return contextlib.nullcontext()

    def record(self, work: DeviceWork) -> DeviceWork:
        """The work itself."""
        return work

    def fill(self, place: Tensor, values: Tensor) -> None:
        """Copy."""
        place.copy_(values)

    def read(self, values: Tensor) -> list[Any]:
        """The numbers, nested as the tensor's axes."""
        numbers: list[Any] = values.tolist()
        return numbers


class CudaTrack:
    """A CUDA stream; what is recorded becomes a CUDA graph."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.stream.wait_stream(torch.cuda.current_stream(device))
        # Graphs of one stream never run at once and leave nothing in their own memory to be read.
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """The stream is the current one inside."""
        with torch.cuda.stream(self.stream):
            yield

    def record(self, work: DeviceWork) -> DeviceWork:
        """A graph of the work's kernels. RuntimeError where it waits for the device."""
        with self.scope():
            for _ in range(_WARM):
                work()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                work()
        return graph.replay

    def fill(self, place: Tensor, values: Tensor) -> None:
        """Through page-locked memory, which torch keeps until the copy is made."""
        place.copy_(values.pin_memory(), non_blocking=True)

    def read(self, values: Tensor) -> list[Any]:
        """Waits for this stream alone."""
        numbers: list[Any] = values.tolist()
        return numbers


def track_on(device: torch.device) -> Track:
    """A new track: a stream where the device has streams."""
    return CudaTrack(device) if device.type == "cuda" else Here(device)
