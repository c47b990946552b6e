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
]


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param
