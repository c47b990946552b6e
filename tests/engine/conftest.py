"""The engines that every test of conformance runs on."""

from __future__ import annotations

import pytest

from winnow.engine.base import Engine
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.stacked import StackedEngine

ENGINES = [
    DenseEngine("cpu"),
    SparseEngine(),
    StackedEngine("cpu"),
    CompiledEngine("cpu", backend=None),
    CompiledEngine("cpu", backend=None, recorded=True),  # as on a GPU
]


def _id(engine: Engine) -> str:
    return "recorded" if getattr(engine, "recorded", False) else engine.name


@pytest.fixture(params=ENGINES, ids=_id)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param
