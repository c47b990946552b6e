"""Entering one's own criterion: how it is found, what is told, and an entry at the smoke scale."""

from __future__ import annotations

import os
import sys

import pytest

from winnow import entering
from winnow.entering import COMPARISON, enter, importable
from winnow.errors import UserError
from winnow.experiments import ask, run

GOOD = """
def even(subject):
    return {name: w.abs() / w.square().mean().sqrt() for name, w in subject.weights.items()}


def snip(subject):
    return even(subject)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, own_cache):  # noqa: ARG001
    """The author's folder is another than the current one; modules are forgotten afterwards."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(str(tmp_path)):
            del sys.modules[name]


def refused(written):
    with pytest.raises(UserError) as error, importable(written):
        pass
    return str(error.value)


def test_a_file_is_imported_from_its_folder_and_workers_find_it_too(folder):
    (folder / "found_one.py").write_text(GOOD)
    path, before = os.environ.get("PYTHONPATH"), list(sys.path)
    with importable("../found_one.py:even") as name:
        assert name == "found_one:even"
        assert os.environ["PYTHONPATH"].split(os.pathsep)[-1] == str(folder)
    assert (os.environ.get("PYTHONPATH"), sys.path) == (path, before)


def test_a_file_of_a_package_is_imported_with_the_package(folder):
    inner = folder / "outer_package" / "inner_package"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").touch()
    (inner / "__init__.py").touch()
    (inner / "own.py").write_text("from . import __name__ as place\n" + GOOD)
    with importable(str(inner / "own.py") + ":even") as name:
        assert name == "outer_package.inner_package.own:even"


def test_a_module_in_the_current_folder(folder):
    (folder / "here" / "found_two.py").write_text(GOOD)
    for written in ("found_two:even", "found_two.py:even"):
        with importable(written) as name:
            assert name == "found_two:even"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ndef broken(:\n", "odd.py, line 2, `def broken(:`"),
        ("def evan(subject): ...\n", "unknown function of odd.py: 'even'. Did you mean 'evan'? "),
        ("def evan(subject): ...\n", "odd.py defines evan (line 1)"),
        ("\n", "odd.py defines no function"),
        ("import nowhere_at_all\ndef even(s): ...\n", "No module named 'nowhere_at_all'"),
        ("even = 3\n", "is of type int"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(folder, text, words):
    (folder / "odd.py").write_text(text)
    assert words in refused("../odd.py:even")


def test_a_name_that_python_finds_elsewhere_or_cannot_import(folder):
    (folder / "random.py").write_text(GOOD)
    assert "Python finds another module named random before it" in refused("../random.py:even")
    (folder / "my-own.py").write_text(GOOD)
    assert "rename it, e.g. my_own" in refused("../my-own.py:even")


def test_no_file_and_no_function(folder):
    assert f"there is no file {folder / 'none.py'}" in refused("../none.py:even")
    assert "'even.py' names no function" in refused("even.py")
    assert "'a.py:b c' names no function" in refused("a.py:b c")


def test_a_criterion_that_fails_stops_before_anything_is_made(folder):
    (folder / "failing.py").write_text("def even(subject):\n    return 1 / 0\n")
    with pytest.raises(UserError, match=r"failing.py, line 2, `return 1 / 0`: failing:even failed"):
        enter("../failing.py:even", store=folder / "runs")
    assert not (folder / "runs").exists()


def test_a_name_that_a_built_in_method_has_gets_another_label():
    recipe = ask(COMPARISON).load()
    arm, (override,) = entering._with_method(recipe, "own:snip")
    assert arm == "my-snip"
    changed = ask(COMPARISON, [override.replace("own:snip", "obd")]).load()
    assert [m.arm_name for m in changed.compare.methods][-1] == "my-snip"
    assert changed.compare.methods[:-1] == recipe.compare.methods


def test_an_entry_shares_the_runs_of_the_comparison(folder):
    store = folder / "runs"
    (folder / "entrant.py").write_text(GOOD)
    run(COMPARISON, scale="smoke", store=store, jobs=1)
    before = {path.name for path in (store / "runs").iterdir()}
    entered = enter("../entrant.py:even", scale="smoke", store=store, jobs=1)
    made = {path.name for path in (store / "runs").iterdir()} - before
    assert len(made) == 2 * 2  # densities and replicates of one method
    entry = entered.entry
    assert (entry.n, len(entry.densities), entry.overall.of) == (2, 2, 6)
    rows = [row for row in entered.outcome.results.rows if row.arm == "even"]
    mean = sum(row.final_test_accuracy for row in rows) / len(rows)
    assert entry.overall.accuracy == pytest.approx(mean)
    assert "winnow enter ../entrant.py:even --scale smoke" in entered.page.read_text()
    again = enter("../entrant.py:even", scale="smoke", store=store, jobs=1)
    assert again.page.read_text() == entered.page.read_text()
