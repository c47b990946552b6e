"""Questions before what is very large, refusals of code, and warnings: every command alike."""

from __future__ import annotations

import io
import sys

import pytest
from command_line import RECIPE, refused, winnow

COMMANDS = {
    "plan": ["plan"],
    "run": ["run"],
    "report": ["report", "--out", "page"],
    "export": ["export", "--out", "tables"],
    "claims": ["claims"],
    "explain": ["explain", "--round", "1"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch, own_environment):  # noqa: ARG001
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_STORE", str(tmp_path / "runs"))
    claim = (
        "claims: [{id: a-claim, says: so, place: here, decidable: here, compare: [ticket, dense], "
    )
    claim += "of: final_test_accuracy, at: {density: 50}, expect: [0, inf]}]"
    (tmp_path / "r.yaml").write_text(f"{RECIPE}{claim}\n")
    (tmp_path / "mine_of_cli.py").write_text(
        "open('imported', 'w').close()\ndef score(subject):\n    raise AssertionError\n"
    )
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_large_recipe_needs_a_consent_where_nobody_can_be_asked(words, folder):
    changes = ["--replicates", "99999999"]
    refused(winnow(*words, "r.yaml", *changes), "nothing is built yet", "with --yes")
    assert not (folder / "runs" / "runs").exists()


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_no_code_refuses_by_name(words, folder):
    text = (folder / "r.yaml").read_text()
    (folder / "r.yaml").write_text(
        text.replace("prune: {", "prune: {criterion: 'mine_of_cli:score', ")
    )
    refused(winnow(*words, "r.yaml", "--no-code"), "prune.criterion mine_of_cli:score", "no code")
    assert not (folder / "imported").exists()


def test_find_refuses_code(folder):
    words = ["find", "mine_of_cli.py:score", "--data", "digits", "--density", "0.5"]
    refused(winnow(*words, "--to", "t.safetensors", "--no-code"), "mine_of_cli.py:score")
    assert not (folder / "imported").exists()


@pytest.mark.usefixtures("folder")
def test_yes_goes_on(monkeypatch):
    monkeypatch.setattr("winnow.experiment.plan.size.UNASKED_RUNS", 2)
    refused(winnow("plan", "r.yaml"), "asked from 2 on")
    assert winnow("plan", "r.yaml", "--yes").code == 0
    assert winnow("run", "r.yaml", "--yes", "--jobs", 1).code == 0


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
@pytest.mark.usefixtures("folder")
def test_on_a_terminal_it_asks(answer, monkeypatch):
    monkeypatch.setattr("winnow.experiment.plan.size.UNASKED_RUNS", 2)
    monkeypatch.setattr("winnow.cli.consent._is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    given = winnow("plan", "r.yaml")
    assert "nothing is built yet" in given.err
    if answer == "y\n":
        assert given.code == 0
        assert "runs" in given.out
    else:
        assert given.code == 2
        assert "nothing was begun" in given.err


@pytest.mark.usefixtures("folder")
def test_what_has_no_effect_is_told_on_stderr():
    given = winnow("plan", "r.yaml", "-o", "train.evaluate=1000it")
    assert given.code == 0
    assert "warning: train.evaluate is 1000it" in given.err


@pytest.mark.parametrize("number", ["9" * 5000, "1" + "0" * 30, "1_0", "٣", "2.5"])
@pytest.mark.usefixtures("folder")
def test_numbers_of_options_are_checked(number):
    refused(winnow("plan", "r.yaml", "--replicates", number), "no whole number")
