"""docs/guarantees.md names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and "promise" not in line]


@pytest.mark.parametrize(("file", "test"), NAMED, ids=str)
def test_each_promise_names_tests_that_are_there(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert test in functions if test else any(name.startswith("test_") for name in functions)


def test_each_row_has_a_test() -> None:
    assert len(ROWS) > 25
    assert all(re.search(r"`tests/[\w/]+\.py", row) for row in ROWS)
