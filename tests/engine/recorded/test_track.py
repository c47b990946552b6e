"""The track of a GPU, with CUDA's streams and graphs played by others: what is called, and when."""

from __future__ import annotations

import contextlib
import inspect

import pytest
import torch
from conformance import lenet, make_job, same, start, training_data
from tracks import CPU, Tape

from winnow.engine.compiled import CompiledEngine
from winnow.engine.recorded.opening import Recording
from winnow.engine.recorded.track import CudaTrack, Here, track_on
from winnow.engine.stacked import StackedEngine

REAL_GRAPH = inspect.signature(torch.cuda.graph.__init__)


class Cuda:
    """Plays the parts of `torch.cuda` that a track uses; notes what happens on which stream."""

    def __init__(self) -> None:
        self.current, self.log, self.streams = "default", [], 0

    def Stream(self, _device):  # noqa: N802 - torch's name
        self.streams += 1
        return _Stream(f"stream {self.streams}")

    def current_stream(self, _device):
        return _Stream(self.current)

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream.name
        yield
        self.current = before

    def graph_pool_handle(self):
        return object()

    def CUDAGraph(self):  # noqa: N802 - torch's name
        return _Graph(self)

    @contextlib.contextmanager
    def graph(self, *args, **kwargs):
        given = REAL_GRAPH.bind(None, *args, **kwargs).arguments  # as torch would take them
        graph = given["cuda_graph"]
        graph.stream, graph.pool = given["stream"].name, given["pool"]
        with self.stream(given["stream"]), Tape() as tape:
            yield
        graph.tape = tape
        self.log.append(("recorded", graph.stream))


class _Stream:
    def __init__(self, name):
        self.name, self.waited = name, []

    def wait_stream(self, other):
        self.waited.append(other.name)


class _Graph:
    def __init__(self, cuda):
        self.cuda = cuda

    def replay(self):
        assert self.cuda.current == self.stream, "a graph is replayed on its own stream"
        self.cuda.log.append(("replayed", self.stream))
        self.tape.replay()


@pytest.fixture
def cuda(monkeypatch):
    played = Cuda()
    for name in ("Stream", "current_stream", "stream", "graph_pool_handle", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(played, name))
    pinned = lambda tensor: played.log.append(("pinned", played.current)) or tensor  # noqa: E731
    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    return played


def test_lanes_are_recorded_and_replayed_on_streams_of_their_own(cuda):
    job = make_job(lenet(), training_data((1, 4, 4)))
    state = start(job, 0.5)
    networks = Recording(CPU, pytest.fail, track=CudaTrack).lanes(
        dict.fromkeys((0, 1), job), dict.fromkeys((0, 1), state), 2
    )
    networks.advance(6)
    networks.evaluate("test", 0)
    session = CompiledEngine("cpu", backend=None).open(job, state)
    session.advance(6)
    for place in (0, 1):
        same(networks.state(place), session.state())
    steps = [stream for what, stream in cuda.log if what == "replayed"]
    assert steps[:8] == ["stream 1", "stream 2"] * 4  # each epoch's third batch is smaller
    assert {what for what, _ in cuda.log} == {"recorded", "replayed", "pinned"}
    assert all(stream != "default" for _, stream in cuda.log)
    assert cuda.current == "default"


def test_a_track_waits_for_what_was_there_and_keeps_one_pool(cuda):
    track = CudaTrack(CPU)
    assert track.stream.waited == ["default"]
    runs = []
    first, second = (track.record(lambda: runs.append(cuda.current)) for _ in range(2))
    assert runs == ["stream 1"] * 8  # three to warm up and one that is recorded, twice
    assert first.__self__.pool is second.__self__.pool is track.pool


def test_what_a_gpu_is_given():
    job = make_job(lenet(), training_data((1, 4, 4)))
    assert CompiledEngine("cuda").recorded
    assert StackedEngine("cuda")._form(job) == "rows"
    assert isinstance(track_on(CPU), Here)
