"""Functions of a notebook or a script, written into files in which they work by themselves."""

from __future__ import annotations

import linecache
import sys
import textwrap
import types

import pytest

from winnow.errors import UserError
from winnow.extraction import extracted

CELL = """
import math
import numpy as np
from math import sqrt as root
from collections import Counter

SIZES = (3, {"a": 4.5})
x = object()

def twice(v):
    return 2 * v

def marked(f):
    return f

class Base:
    factor = SIZES[0]

    def area(self, r):
        return math.pi * r**2 * self.factor

class Shape(Base):
    def area(self, r):
        x = super().area(r)
        return twice(x) + root(4.0)

@marked
def build(r, power=SIZES[0]):
    x = Shape().area(r)
    return float(np.power(x, power)) + Counter("aab")["a"]

lazy = lambda r: r
tensor = np.zeros(3)

def uses_tensor():
    return tensor.sum()

def outer():
    depth = 3
    def inner():
        return depth
    def free():
        return 7
    return inner, free

def even(n): return n == 0 or odd(n - 1)
def odd(n): return n > 0 and even(n - 1)
"""


@pytest.fixture
def cell(monkeypatch):
    """Runs a cell as a notebook does: in ``__main__``, which has no file, lines in linecache."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    names = []

    def run(text):
        name = f"<ipython-input-{len(names)}>"
        names.append(name)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), module.__dict__)
        return module

    yield run
    for name in names:
        del linecache.cache[name]


def alone(text):
    namespace = {"__name__": "alone"}
    exec(compile(text, "alone", "exec"), namespace)
    return namespace


def test_it_computes_the_same_by_itself(cell):
    made = cell(CELL)
    text = extracted(made.build, "model")
    assert alone(text)["build"](1.5) == made.build(1.5)
    assert "tensor" not in text  # what it does not use is left out
    assert "object" not in text  # a local of the same name as a global


def test_a_class_and_functions_that_call_each_other(cell):
    made = cell(CELL)
    assert alone(extracted(made.Shape, "model"))["Shape"]().area(2.0) == made.Shape().area(2.0)
    assert alone(extracted(made.even, "model"))["even"](10) is True
    assert alone(extracted(made.outer()[1], "model"))["free"]() == 7


def test_the_text_says_what_it_does_and_nothing_else(cell):
    text = extracted(cell(CELL).build, "model")
    assert extracted(cell("\n\n# moved\n" + CELL + "\nmore = 1\n").build, "model") == text
    changed = extracted(cell(CELL.replace("return 2 * v", "return 3 * v")).build, "model")
    assert changed != text
    assert extracted(cell(CELL.replace("SIZES = (3,", "SIZES = (2,")).build, "model") != text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lazy", "is a lambda: write it with def"),
        ("uses_tensor", "uses tensor, a ndarray outside it"),
        ("inner", "inner uses depth of the function around it"),
    ],
)
def test_what_cannot_be_written_is_told(cell, name, told):
    made = cell(CELL)
    function = made.outer()[0] if name == "inner" else getattr(made, name)
    with pytest.raises(UserError, match=told):
        extracted(function, "model")


def test_a_source_that_nobody_knows(cell):
    module = cell("")
    exec("def build(): return 1", module.__dict__)
    with pytest.raises(UserError, match="the source of build is not known here"):
        extracted(module.build, "model")


def test_a_name_that_means_something_else(cell):
    module = cell("def f(): return 1\ng = f\ndef build(): return g()\n")
    with pytest.raises(UserError, match="uses f under the name g"):
        extracted(module.build, "model")


def test_it_is_dedented(cell):
    text = "if True:\n    def build():\n        return 5\n"
    assert alone(extracted(cell(text).build, "model"))["build"]() == 5
    assert textwrap.dedent(text)
