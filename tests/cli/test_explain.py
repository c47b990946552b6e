"""``winnow explain``: from a run or a recipe, without training and with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import folders, refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.fixture(scope="module")
def own(finished, tmp_path_factory):
    """A store of the module's own."""
    path = tmp_path_factory.mktemp("explained") / "runs"
    shutil.copytree(finished[0], path)
    return path


@pytest.fixture(scope="module")
def runs(own):
    """Arm → the folder of its run, of the sparse round."""
    from winnow.experiment.expected import read_experiment

    (path,) = (own / "experiments").glob("*/experiment.json")
    experiment = read_experiment(path)
    by_id = {run.id: run.folder for run in experiment.runs}
    found = {point.arm: by_id[point.run] for point in experiment.points if point.round}
    return found | {"dense": next(by_id[p.run] for p in experiment.points if not p.round)}


def test_what_is_missing_is_told_then_trained(own, runs):
    before = folders(own)
    first = winnow("explain", runs["ticket"], "--store", own)
    assert first.code == 0, first.err
    assert "ticket with 50.1 % of the weights (round 1)" in first.out
    assert "page" not in first.out
    assert "3 runs missing (1 of random, 1 of random-reinit, 1 of uniform-reinit)" in first.err
    assert first.err.strip().endswith(f"explain {runs['ticket']} --store {own} --run")
    assert folders(own) == before

    second = winnow("explain", runs["ticket"], "--store", own, "--run", "--jobs", 1, "-q")
    assert second.code == 0, second.err
    assert len(folders(own)) == len(before) + 3
    lines = second.out.splitlines()
    assert lines[1] == "One replicate: no intervals, so nothing can be told. Take --replicates 5."
    points = {line.split("  ")[0]: line for line in lines}
    gain = float(points["gain"].split()[1])
    parts = [
        float(points["layer densities"].split()[2]),
        float(points["mask"].split()[1]),
        float(points["initialisation"].split()[1]),
    ]
    assert sum(parts) == pytest.approx(gain, abs=0.02)  # two decimals each
    page = Path(lines[-1].removeprefix("page: "))
    assert page.is_file()
    assert page.with_name("parts.svg").is_file()

    again = winnow("explain", runs["reinit"], "--store", own)  # a control asks about its ticket
    assert again.out == second.out
    assert again.err == ""


def test_a_recipe_with_its_round(own, runs, recipe):  # noqa: ARG001
    named = winnow("explain", recipe, "--round", 1, "--store", own)
    assert named.code == 0, named.err
    assert "ticket with 50.1 % of the weights (round 1)" in named.out


def test_bad_input(own, runs, recipe):
    at = ("--store", own)
    refused(winnow("explain", recipe, *at), "which round of ticket? Name one with --round: 1 (5")
    refused(winnow("explain", recipe, "--round", 7, *at), "ticket has no round 7")
    first = ("explain", recipe, "--round", 1, *at)
    refused(winnow(*first, "--arm", "tickt"), "unknown arm 'tickt'. Did you mean 'ticket'")
    refused(winnow(*first, "--line", "a"), "no line 'a'")
    refused(winnow(*first, "--draws", 0), "--draws is 0")
    refused(winnow("explain", runs["dense"], *at), "has no mask that was there before training")
    refused(winnow("explain", "nothing-there", *at), "unknown run 'nothing-there'")
    refused(
        winnow("explain", "compare/digits", "--round", 1, *at), "choose one with --arm, of random"
    )


def test_a_run_that_no_experiment_has(own, runs):
    shutil.rmtree(own / "experiments")
    answer = winnow("explain", runs["ticket"], "--store", own)
    if answer.code:
        refused(answer, "no experiment in", "name its recipe")
    else:  # its recipe is still there, by the name that the run was trained for
        assert "ticket with 50.1 % of the weights (round 1)" in answer.out
