"""The compiled engine with a real compiler, and without one. The other engines' suite runs its step
uncompiled, as compiling takes seconds for each network."""

from __future__ import annotations

import dataclasses
import logging
import shutil

import pytest
import torch
from conformance import OPTIMIZERS, close, lenet, make_job, same, start, training_data
from networks import Asking, Noisy
from torch import nn

from winnow import engine as engines
from winnow.engine.base import Job
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)


def small() -> nn.Module:
    """A convolution, batch norm, dropout and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16, 12),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(12, 10),
    )


def job_with_everything() -> Job:
    data = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")
    return make_job(small, data, optimizer=OPTIMIZERS[4], clip=0.7)


@needs_compiler
def test_compiled_code_trains_as_dense_does_and_resumes_in_the_same_bits():
    job = job_with_everything()
    state = start(job, 0.5)
    engine = CompiledEngine("cpu")
    whole, dense = (e.open(job, state) for e in (engine, DenseEngine("cpu")))
    whole.advance(4)
    part = whole.state()
    dense.advance(4)
    mine, theirs = (session.advance(8) for session in (whole, dense))
    assert engine.notes == ()
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)
    end = whole.state()
    close(end, dense.state())
    for name, keep in state.mask.items():
        for tensors in [end.weights, *end.slots.values()]:
            removed = tensors[name][~keep]
            assert torch.equal(removed, torch.zeros_like(removed))
    assert all(tensor.is_contiguous() for tensor in end.weights.values())
    rest = engine.open(job, part)
    rest.advance(8)
    same(rest.state(), end)


def test_without_a_compiler_it_is_the_dense_engine_and_says_so(caplog):
    from torch._inductor import config

    # pytest's own patching would leave these options without a value in its worker
    patched = config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    job = make_job(lenet(), training_data((1, 4, 4)))
    state = start(job, 0.5)
    engine = CompiledEngine("cpu")
    session, dense = (e.open(job, state) for e in (engine, DenseEngine("cpu")))
    assert session.evaluate("test") == pytest.approx(dense.evaluate("test"))
    with patched, caplog.at_level(logging.WARNING, logger="winnow"):
        assert session.advance(5) == dense.advance(5)
    same(session.state(), dense.state())
    (note,) = engine.notes
    assert "dense engine" in note
    assert "no-such-compiler" in note
    assert note in caplog.text


@pytest.mark.parametrize(("module", "reason"), [(Asking, "value"), (Noisy, "random numbers")])
def test_what_cannot_be_one_graph_is_trained_by_the_dense_engine(module, reason):
    job = make_job(module, training_data((1, 4, 4)))
    state = start(job, 0.5)
    engine = CompiledEngine("cpu")
    ends = []
    for each in (engine, DenseEngine("cpu")):
        torch.manual_seed(0)
        session = each.open(job, state)
        torch.manual_seed(0)
        session.advance(1)
        ends.append(session.state())
    assert len(engine.notes) == 1
    assert reason in engine.notes[0]
    assert ends[0].step == 1
    if module is Asking:
        same(*ends)


def test_bf16_says_so_where_the_processor_computes_none(monkeypatch):
    job = make_job(lenet(), training_data((1, 4, 4)))
    for features, told in (({"avx512f": True}, True), ({"avx512bf16": True}, False)):
        monkeypatch.setattr(
            "winnow.engine.compiled.binding.get_host_cpu_features", lambda found=features: found
        )
        engine = CompiledEngine("cpu", bf16=True, backend=None)
        engine.open(job, start(job, None))
        assert any("computes no bfloat16" in note for note in engine.notes) is told
        plain = CompiledEngine("cpu", backend=None)
        plain.open(job, start(job, None))
        assert plain.notes == ()


def test_bf16_computes_in_bf16_and_keeps_float32():
    assert engines.make_engine("compiled-bf16").bf16
    assert not engines.make_engine("compiled").bf16
    job = job_with_everything()
    state = start(job, 0.5)
    ends = []
    for bf16 in (True, False):
        session = CompiledEngine("cpu", bf16, backend=None).open(job, state)
        session.advance(5)
        ends.append(session.state())
    assert all(w.dtype == torch.float32 for w in ends[0].weights.values())
    weight = "0.weight"
    assert not torch.equal(ends[0].weights[weight], ends[1].weights[weight])
    close(*ends, rtol=0.1, atol=0.05)
    for name, keep in state.mask.items():
        assert not bool(ends[0].weights[name][~keep].any())
