"""The command line: commands, streams, exit codes, and an answer to every kind of bad input."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

import winnow as wn
from winnow.algorithms.catalogue import METHODS
from winnow.cli import main
from winnow.experiment.recipe.load import shipped
from winnow.experiment.train.protocol import DiskError

COMMANDS = (
    *("run", "plan", "recipes", "methods", "ls", "show", "report", "bench", "import"),
    "doctor",
)
RECIPE = """
title: small
source: a test
data: {name: digits, validation: 100}
model: {name: lenet-300-100, hidden: [9, 5]}
train: {steps: 20it, batch: 50, optimizer: {name: adam, lr: 5e-3}, evaluate: 10it}
prune: {rate: 0.5, rounds: 1}
controls: {reinit: 1}
replicates: 1
engine: dense
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def winnow(*arguments: object) -> Answer:
    """The command in this process, with what it would print on each stream."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["winnow", *map(str, arguments)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Answer(code, out.getvalue(), err.getvalue())


def process(*arguments: object, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a process, ``shell`` after it, with block-buffered output as in a pipe."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | env
    command = " ".join([sys.executable, "-m", "winnow", *map(str, arguments), shell])
    script = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def refused(answer: Answer, *told: str) -> None:
    """It is bad input: exit code 2, nothing on stdout, the words on stderr, no traceback."""
    assert answer.code == 2, answer
    assert answer.out == ""
    assert "Traceback" not in answer.err
    for words in told:
        assert words in answer.err


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("WINNOW_STORE", raising=False)
        patch.delenv("WINNOW_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """A store with all runs of the recipe, and what the command answered."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    return store, winnow("run", recipe, "--store", store, "--jobs", 1)


@pytest.fixture
def store(finished):
    return finished[0]


def folders(store: Path) -> list[str]:
    return sorted(folder.name for folder in (store / "runs").iterdir())


# Commands


def test_help_is_quick_as_it_imports_no_torch():
    code = (
        "import sys; from winnow.cli import main; sys.argv = ['winnow', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print({'torch', 'numpy', 'yaml'} & set(sys.modules), file=sys.stderr)"
    )
    for arguments in (["--help"], *([command, "--help"] for command in COMMANDS)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("Usage: winnow")
        assert done.stderr == "set()\n"


def test_help_names_the_commands_and_every_default():
    whole = winnow("--help").out
    assert all(f"\n  {command} " in whole for command in COMMANDS)
    told = winnow("run", "-h").out
    assert "[default: $WINNOW_STORE, else ./runs]" in told
    assert "[default: cores]" in told


def test_the_version():
    assert winnow("--version") == (0, f"winnow {wn.__version__}\n", "")


def test_recipes_print_the_full_name_first():
    code, out, err = winnow("recipes")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == shipped()
    assert "Winning tickets on handwritten digits" in out


def test_methods_print_the_full_name_first():
    code, out, err = winnow("methods")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(METHODS)
    lines = out.splitlines()
    assert all(f"winnow run compare/digits --only {line.split()[0]}" in line for line in lines)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_shows_its_source_and_every_option(name):
    code, out, _ = winnow("methods", name)
    assert code == 0
    assert METHODS[name].citation in out
    assert METHODS[name].text in out
    told = {line.split()[0] for line in out.partition("defaults:\n")[2].splitlines()}
    assert "ignore" in told
    assert ("drop" in told) == (name in ("set", "snfs", "rigl"))
    assert ("per_class" in told) == (name in ("snip", "grasp"))


def test_an_unknown_method_is_answered_with_the_nearest():
    refused(winnow("methods", "rgl"), "unknown method 'rgl'. Did you mean 'rigl'?")


def test_run_prints_results_on_stdout_and_progress_on_stderr(finished):
    store, (code, out, err) = finished
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("No winning ticket by the paper's rule at ") or lines[0].startswith(
        "Winning tickets by the paper's rule at "
    )
    assert lines[2].startswith("Test accuracy at early stopping in %, mean over 1 replicate")
    assert lines[3].split() == ["weights", "ticket", "reinit"]
    assert [line.split()[0] for line in lines[4:6]] == ["100", "50.1"]
    assert len(lines) == 9
    assert "figure: " not in out
    assert sum(line.startswith("page: ") for line in lines) == 1
    assert Path(lines[-1].removeprefix("page: ")) == store / "reports" / "small" / "index.html"
    assert all(Path(x.split(": ")[1]).is_file() for x in lines if x.startswith(("figure", "rows")))
    assert err.splitlines()[0] == "0/3 runs, 0/2 rounds done"
    assert err.splitlines()[-1] == "3/3 runs, 2/2 rounds done"
    assert "\x1b" not in out + err


def test_full_prints_every_density_the_verdict_and_the_figures(recipe, store):
    code, out, err = winnow("run", recipe, "--store", store, "--quiet", "--full")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("density_total %")
    arms = [line.split()[4] for line in lines[1:4]]
    assert arms == ["dense", "ticket", "reinit"]
    assert "ticket against dense: the paper's rule" in lines
    assert "ticket against reinit: paired 95 % intervals" in lines
    figures = [Path(x.split(": ")[1]) for x in lines if x.startswith("figure: ")]
    assert figures
    assert all(figure.is_file() for figure in figures)
    assert [line.split(": ")[0] for line in lines[-2:]] == ["rows", "page"]


def test_a_terminal_gets_the_sentence_wrapped_and_a_pipe_does_not(recipe, store, monkeypatch):
    piped = winnow("run", recipe, "--store", store, "-q").out
    monkeypatch.setattr("winnow.cli.run._columns", lambda: 50)
    shown = winnow("run", recipe, "--store", store, "-q").out
    assert shown.split() == piped.split()
    assert max(map(len, shown.split("\n\n")[0].splitlines())) <= 50
    assert len(piped.splitlines()[0]) > 80


def test_quiet_says_nothing_on_stderr(recipe, store):
    code, out, err = winnow("run", recipe, "--store", store, "--quiet")
    assert (code, err) == (0, "")
    assert "\npage: " in out


def test_plan_tells_what_is_done(recipe, store):
    code, out, err = winnow("plan", recipe, "--store", store)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["arm", "ticket", "reinit"]
    assert not any(folder in out for folder in folders(store))
    whole = winnow("plan", recipe, "--store", store, "--runs").out
    rows = [line for line in whole.splitlines() if line.endswith("  done")]
    assert sorted(row.split()[0] for row in rows) == folders(store)
    assert set(out.splitlines()) < set(whole.splitlines())
    assert "3 runs, 60 iterations; 3 runs done, 0 missing" in out
    more = winnow("plan", recipe, "--store", store, "--replicates", 2, "--only", "ticket").out
    assert "4 runs, 80 iterations; 2 runs done, 2 missing" in more
    assert "time left: about 0 s with --jobs" in more


def test_plan_makes_no_store(recipe, tmp_path):
    assert winnow("plan", recipe, "--store", tmp_path / "none").code == 0
    assert not (tmp_path / "none").exists()


def test_ls_prints_one_run_on_a_line_folder_first(store, monkeypatch):
    code, out, err = winnow("ls", "--store", store)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == folders(store)
    assert err == f"3 runs in {store}\n"
    monkeypatch.setenv("WINNOW_STORE", str(store))
    assert winnow("ls").out == out


def test_ls_of_no_store_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert winnow("ls") == (0, "", "0 runs in runs, which is not there yet\n")
    assert list(tmp_path.iterdir()) == []


def test_show_takes_a_beginning_a_hash_or_a_path(store):
    name = next(n for n in folders(store) if "dense" in n)
    code, out, err = winnow("show", name, "--store", store)
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert shown["id"][:12] == name[-12:]
    assert shown["provenance"]["recipe"]["train"]["steps"] == "20it"
    for other in (name[:-3], shown["id"][:9], store / "runs" / name, f"{store / 'runs' / name}/"):
        assert winnow("show", other, "--store", store).out == out


def test_show_takes_the_exact_name_of_a_run_that_stands_twice(store, tmp_path):
    name = folders(store)[0]
    for copy in (name, f"{name}.2"):
        (tmp_path / "runs" / copy).mkdir(parents=True)
        for file in (store / "runs" / name).iterdir():
            (tmp_path / "runs" / copy / file.name).write_bytes(file.read_bytes())
    exact = json.loads(winnow("show", name, "--store", tmp_path).out)
    assert exact["folder"] == str(tmp_path / "runs" / name)
    refused(winnow("show", name[:-1], "--store", tmp_path), "2 runs begin with", f"{name}.2")


def test_show_two_runs_is_their_difference(store):
    ticket, reinit = sorted(
        (n for n in folders(store) if "dense" not in n),
        key=lambda n: json.loads((store / "runs" / n / "run.json").read_text())["run"]["draw"],
    )
    code, out, _ = winnow("show", ticket, reinit, "--store", store)
    assert code == 0
    assert out.splitlines() == [f"- {ticket}", f"+ {reinit}", "run.draw: 0 -> 1"]
    assert "no difference" in winnow("show", ticket, ticket, "--store", store).out
    refused(winnow("show", ticket, ticket, ticket, "--store", store), "3 are given")
    refused(winnow("show", f"{ticket[:-4]}zzzz", "--store", store), "Did you mean", "winnow ls")


def test_report_of_several_recipes_is_one_page(recipe, store, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("reinit: 1", "reinit: 0"))
    code, out, err = winnow("report", recipe, other, "--store", store, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"page: {tmp_path / 'out' / 'index.html'}"
    with (tmp_path / "out" / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe"] for row in rows] == [str(recipe)] * 3 + [str(other)] * 2


def test_report_says_what_is_missing_and_trains_nothing(recipe, store, tmp_path):
    before = folders(store)
    arguments = ("--store", store, "--out", tmp_path / "out")
    code, _, err = winnow("report", recipe, *arguments, "--replicates", 2)
    assert (code, err) == (0, f"3 runs of {recipe} are not finished yet and left out\n")
    nothing = winnow("report", recipe, *arguments, "-o", "train.steps=30it")
    refused(nothing, f"nothing of {recipe} is finished in {store}: first winnow run {recipe}")
    assert folders(store) == before
    (tmp_path / "file").touch()
    refused(winnow("report", recipe, "--store", store, "--out", tmp_path / "file"), "is a file")
    inside = winnow("report", recipe, "--store", store, "--out", tmp_path / "file" / "x")
    assert inside.code == 1
    assert str(tmp_path / "file") in inside.err
    assert "Traceback" not in inside.err


def test_what_cannot_be_planned_any_more_is_reported_as_it_was_run(store, recipe, tmp_path):
    path, ours = tmp_path / "gone.yaml", tmp_path / "store"
    path.write_text(RECIPE)
    shutil.copytree(store / "runs", ours / "runs")
    shutil.copy(store / "store.json", ours)
    for replicates in (1, 2):
        monkey = pytest.MonkeyPatch()
        monkey.setattr("winnow.experiments.execute", lambda *_: None)
        assert winnow("run", path, "-q", "--store", ours, "--replicates", replicates).code == 0
        monkey.undo()
    arguments = ("report", path, "--store", ours, "--out", tmp_path / "out")
    planned = winnow(*arguments)
    assert (planned.code, planned.err) == (0, "")
    path.unlink()
    code, out, err = winnow(*arguments)
    assert code == 0
    assert err.startswith(f"note: {path} is reported as it was run, in 2 ways, as it cannot be pl")
    assert "3 runs of" in err
    assert out.splitlines()[-1] == f"page: {tmp_path / 'out' / 'index.html'}"
    with (tmp_path / "out" / "rows.csv").open() as file:
        assert [row["recipe"] for row in csv.DictReader(file)] == 2 * 3 * [str(path)]
    refused(winnow(*arguments, "--replicates", 1), str(path))
    refused(winnow(*arguments[:1], tmp_path / "other.yaml", *arguments[2:]), "other.yaml")
    assert recipe.exists()


def test_doctor_tells_versions_cores_names_data_and_store(store, tmp_path):
    code, out, err = winnow("doctor", "--store", store)
    assert (code, err) == (0, "")
    told = {line.split()[0] for line in out.splitlines()}
    assert {"python", "torch", "cores", "criteria", "networks", "engines", "store"} <= told
    assert f"torch        {torch.__version__}" in out
    assert "digits: found: 1437 + 360 images" in out
    assert "mnist: not here" in out
    assert f"{store}: 3 finished runs, writable" in out
    winnow("doctor", "--store", tmp_path)
    assert list(tmp_path.iterdir()) == []  # looking makes nothing


# Bad input


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("prune.criterion=magnitud", "unknown criterion 'magnitud'. Did you mean 'magnitude'?"),
        ("model.name=lenet-30-100", "unknown network 'lenet-30-100'. Did you mean 'lenet-300-100'"),
        ("data.name=digit", "unknown dataset 'digit'. Did you mean 'digits'? The datasets are"),
        ("train.stepz=5it", "unknown key 'train.stepz'. Did you mean 'train.steps'? Valid here:"),
        ("train.steps=500", 'train.steps is 500: write iterations as "500it" or epochs as "5ep"'),
        ("prune.rate=1", "prune.rate is 1: input should be less than 1 (e.g. 0.2)"),
        ("controls.one-shot=[1.5]", "is 1.5: input should be less than or equal to 1"),
        ("train.optimizer.lr=fast", "train.optimizer.lr is 'fast': input should be a valid number"),
        ("train.optimizer.lr=.inf", "train.optimizer.lr is inf: input should be a finite number"),
        ("prune.options.x=1", "unknown option of criterion 'magnitude': 'x'"),
        ("train.batch", "-o 'train.batch': write key=value, e.g. -o train.steps=5000it"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "report"])
def test_a_bad_value_is_told(command, override, told, recipe, tmp_path):
    out = ("--out", tmp_path / "out") if command == "report" else ()
    refused(winnow(command, recipe, "--store", tmp_path / "s", *out, "-o", override), told)
    assert not (tmp_path / "s").exists()


def test_an_unknown_recipe_is_told_with_the_nearest_and_the_command_that_lists_them():
    answer = winnow("run", "lth/digts")
    refused(answer, "'lth/digts'. Did you mean 'lth/digits'? `winnow recipes` lists them")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"", "must be a mapping with data, model and train"),
        (b"[1, 2]", "must be a mapping"),
        (b"title: x", "data is missing"),
        (b"data: 5\nmodel: x\ntrain: 1", "data is 5"),
        (b"a: [1", "is no valid YAML"),
        (b"\tdata: 1", "is no valid YAML"),
        (b"a: 1\na: 2", "line 2: the key 'a' stands twice"),
        (b"a: !!python/object:os.system {}", "is no valid YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"\x00\x01", "is no valid YAML"),
        (b"data: 2020-13-45", "data is '2020-13-45'"),
        (b"? [a, b]\n: 1", "line 1: the key ['a', 'b'] is no word"),
        (b"data: {name: digits}\n1: 2", "line 2: the key 1 is no word"),
    ],
)
def test_a_broken_recipe_file_is_told(written, told, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(written)
    refused(winnow("plan", path), "broken.yaml", told)


def test_a_recipe_that_is_no_file_is_told(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    for path in (tmp_path, tmp_path / "folder.yaml", tmp_path / "none.yaml"):
        refused(winnow("plan", path), str(path), "`winnow recipes` lists")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--jobs", "0"], "--jobs is 0: at least 1 worker is needed"),
        (["--jobs", "two"], "'two' is no whole number"),
        (["--jobs", "1.5"], "'1.5' is no whole number"),
        (["--replicates", "0"], "replicates is 0"),
        (["--replicates", "x"], "'x' is no whole number"),
        (["--checkpoint", "-1"], "'-1' is no number of seconds"),
        (["--checkpoint", "nan"], "'nan' is no number of seconds"),
        (["--only", "tickt"], "unknown arm 'tickt'. Did you mean 'ticket'?"),
        (["--frob"], "No such option: --frob"),
    ],
)
def test_a_bad_option_is_told(arguments, told, recipe, tmp_path):
    refused(winnow("run", recipe, "--store", tmp_path / "s", *arguments), told)


def test_a_dataset_that_is_nowhere_is_told_with_what_was_tried(monkeypatch, tmp_path):
    monkeypatch.setenv("WINNOW_DATA", str(tmp_path))
    monkeypatch.setattr("winnow.data.hub._download", _unreachable)
    answer = winnow("run", "lth/lenet-mnist", "--store", tmp_path / "s")
    refused(answer, str(tmp_path / "mnist"), "ylecun/mnist", "set WINNOW_DATA", "huggingface.co")
    code, out, _ = winnow("plan", "lth/lenet-mnist", "--replicates", 1, "--only", "ticket")
    assert code == 0  # planning needs no images
    assert "29 runs, 1450000 iterations; 0 runs done, 29 missing" in out
    assert "note: mnist is not here yet: `winnow run` fetches it" in out


def _unreachable(*_: object) -> None:
    from winnow.data import Unreachable

    raise Unreachable("ConnectError: no network")


def test_a_damaged_parquet_file_is_named(monkeypatch, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / f"{split}-0.parquet").write_bytes(b"PAR1 not really")
    monkeypatch.setenv("WINNOW_DATA", str(tmp_path))
    for command in ("run", "plan"):
        answer = winnow(command, "lth/lenet-mnist", "--store", tmp_path / "s")
        refused(answer, str(tmp_path / "mnist" / "train-0.parquet"), "damaged")
    doctor = winnow("doctor")
    assert doctor.code == 0
    assert "mnist: found, but: " in doctor.out


def test_a_damaged_run_is_named_and_nothing_else_is_lost(recipe, store, tmp_path):
    name = next(n for n in folders(store) if "dense" in n)
    for folder in folders(store):
        (tmp_path / "runs" / folder).mkdir(parents=True)
        for file in (store / "runs" / folder).iterdir():
            (tmp_path / "runs" / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "runs" / name / "result.json").write_text("{")
    code, out, err = winnow("ls", "--store", tmp_path)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert f"damaged: {tmp_path / 'runs' / name}" in err
    code, out, err = winnow("plan", recipe, "--store", tmp_path)
    assert code == 0
    assert "2 runs done, 1 missing" in out
    assert name in err


@pytest.mark.parametrize("command", ["run", "plan", "ls", "show", "report"])
def test_a_store_of_a_newer_winnow_is_refused_by_every_command(command, recipe, tmp_path):
    (tmp_path / "store.json").write_text('{"format": 99}')
    arguments = {"ls": [], "show": ["x"], "report": [recipe, "--out", tmp_path / "o"]}
    answer = winnow(command, *arguments.get(command, [recipe]), "--store", tmp_path)
    refused(answer, f"the store {tmp_path} has format 99", "newer Winnow", "--store DIR")


@pytest.mark.parametrize("command", ["run", "plan", "ls", "show", "report"])
def test_a_store_that_is_a_file_is_refused_by_every_command(command, recipe, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    arguments = {"ls": [], "show": ["x"], "report": [recipe, "--out", tmp_path / "o"]}
    answer = winnow(command, *arguments.get(command, [recipe]), "--store", path)
    refused(answer, f"the store {path}", "--store DIR")
    assert path.read_text() == "mine"


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


def test_a_mask_for_another_network_is_told_with_names_and_shapes(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    wn.Ticket(mask, model.state_dict()).save(tmp_path / "ticket.safetensors")
    other = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
    ticket = wn.load(tmp_path / "ticket.safetensors")
    with pytest.raises(wn.UserError, match=r"another network: .*'0.weight' is \[3, 4\] in the tic"):
        ticket.apply(other)
    with pytest.raises(wn.UserError, match=r"'1.weight' is \[2, 3\] in the mask"):
        ticket.apply(other, weights="none")


def test_a_loss_that_becomes_nan_is_reported_and_the_command_succeeds(recipe, tmp_path):
    arguments = ("--store", tmp_path, "--jobs", 1, "-o", "train.optimizer.lr=1e30")
    code, out, err = winnow("run", recipe, *arguments)
    assert code == 0, err
    assert "1 run diverged" in out
    assert "dense at 100 % (replicate 0, iteration" in out
    assert "2 runs could not start" in out
    assert "diverged at " in winnow("ls", "--store", tmp_path).out
    plan = winnow("plan", recipe, "--runs", *arguments[:2], *arguments[4:]).out
    states = [row.split(" ")[-1] for row in plan.splitlines()]
    assert [state for state in states if state in ("diverged", "unreachable")] == [
        *("diverged", "unreachable", "unreachable")
    ]


def test_an_interrupted_command_says_how_to_continue(recipe, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("winnow.experiments.execute", interrupt)
    override = "train.schedule={name: steps, drops: [5it]}"
    answer = winnow("run", recipe, "--store", tmp_path, "-o", override)
    assert answer.code == 130
    again = answer.err.split("To continue: ")[1]
    assert again == f"winnow run {recipe} --store {tmp_path} -o '{override}'\n"


# Streams


def test_a_reader_that_goes_away_ends_the_command_without_a_word():
    done = process("plan", "lth/lenet-mnist", shell="| head -1")
    assert done.stderr == ""
    assert done.stdout.startswith("arm ")
    assert process("recipes", shell="| true").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error():
    done = process("recipes", shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("winnow: No space left on device")
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_without_the_signs_shows_question_marks(recipe, store):
    done = process("run", recipe, "--store", store, "-q", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\npage: " in done.stdout


def test_a_pipe_gets_whole_lines_however_narrow(recipe, store):
    done = process("plan", recipe, "--store", store, "--runs", COLUMNS="40")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) > 80
    assert "\x1b" not in done.stdout
