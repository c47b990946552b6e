"""How commands end: a full disk, Ctrl-C, a reader that has gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import process, winnow

from winnow.experiment.train.protocol import DiskError

pytestmark = pytest.mark.usefixtures("own_environment")


def test_a_disk_that_fills_stops_the_run_cleanly_and_names_the_store(
    recipe, store, tmp_path, monkeypatch
):
    def full(*_: object) -> None:
        raise DiskError("[Errno 28] No space left on device")

    monkeypatch.setattr("winnow.experiments.execute", full)
    answer = winnow("run", recipe, "--store", tmp_path / "s")
    assert answer.code == 1
    assert answer.out == ""
    assert f"winnow: {tmp_path / 's'}: " in answer.err
    assert "No space left on device" in answer.err
    assert "run the command again" in answer.err
    assert "Traceback" not in answer.err
    monkeypatch.undo()
    assert store.exists()


def test_an_interrupted_command_says_how_to_continue(recipe, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("winnow.experiments.execute", interrupt)
    override = "train.schedule={name: steps, drops: [5it]}"
    answer = winnow("run", recipe, "--store", tmp_path, "-o", override)
    assert answer.code == 130
    again = answer.err.split("To continue: ")[1]
    assert again == f"winnow run {recipe} --store {tmp_path} -o '{override}'\n"


def test_a_reader_that_goes_away_ends_the_command_without_a_word():
    done = process("plan", "lth/4", shell="| head -1")
    assert done.stderr == ""
    assert done.stdout.startswith("arm ")
    assert process("recipes", shell="| true").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error():
    done = process("recipes", shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("winnow: No space left on device")
    assert len(done.stderr.splitlines()) == 1
