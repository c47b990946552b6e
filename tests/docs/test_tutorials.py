"""The pages for newcomers: their code is run, their commands at smaller scales, and what they show
of results is what `docs/results` holds.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import torch
from command_line import winnow
from documents import ROOT, TUTORIALS, blocks, run_python
from page import is_printed

import winnow as wn
from winnow.experiment.store.store import Store
from winnow.experiments import ask, experiments_offline
from winnow.report import Paths, brief_text, read_results

DOCS = ROOT / "docs"
SHORT = {
    "lth/digits": ["train.steps=20it", "train.evaluate=10it", "prune.rounds=1", "engine=dense"],
    "compare/digits": ["train.steps=60it", "compare.densities=[0.1]", "engine=dense"],
    "ours.yaml": ["train.steps=60it", "engine=dense"],
}
"""What makes recipes short that have no scale for it."""
ELSEWHERE = ("enter",)  # test_enter_and_explain
AS_WRITTEN = ("recipes", "methods", "ls", "plan")  # they train nothing


@pytest.fixture
def folder(tmp_path, monkeypatch, own_cache):  # noqa: ARG001
    """A reader's folder; experiments are short, and their reports are rows alone."""

    def rows_alone(results, out, *, command=""):
        out.mkdir(parents=True, exist_ok=True)
        page = out / "index.html"
        page.write_text(f"{len(results)} results, made by {command}")
        return Paths(page, out / "rows.csv", [])

    run = wn.run

    def shortened(recipe, **options):
        small = {"overrides": SHORT.get(recipe, ["engine=dense"])}
        small |= {"scale": "smoke"} if "scale" in options else {}
        return run(recipe, **{**options, **small, "jobs": 1})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("winnow.report.write_report", rows_alone)
    monkeypatch.setattr(wn, "run", shortened)
    return tmp_path


def console(page):
    """(the words of a command, what it is to print)."""
    for block in blocks(DOCS / f"{page}.md", "console"):
        for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            program, *words = shlex.split(command)
            assert program == "winnow"
            yield words, expected


def smaller(words):
    """The command at a scale of seconds."""
    command, *rest = words
    if "small" in rest:
        rest[rest.index("small")] = "smoke"
    elif command == "run":
        rest += [word for change in SHORT[rest[0]] for word in ("-o", change)]
        rest += ["--replicates", "1"]
        if rest[0] == "compare/digits" and "--only" not in rest:
            rest += ["--only", "random", "--only", "snip"]
    return [command, *rest, *(("--jobs", "1", "-q") if command == "run" else ())]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=pytest.mark.slow if "figure" in p else ()) for p in TUTORIALS],
)
def test_commands(page, folder):
    for block in blocks(DOCS / f"{page}.md", "yaml"):
        (folder / "ours.yaml").write_text(block.text)
    for words, expected in console(page):
        if words[0] in ELSEWHERE:
            continue
        if expected and words[0] == "claims":
            answer = winnow(*words, "--store", DOCS / "results")
        else:
            answer = winnow(*(words if words[0] in AS_WRITTEN else smaller(words)))
        assert answer.code == 0, (words, answer.err)
        assert is_printed(expected, answer.out), f"{words}\n{answer.out}"


@pytest.mark.parametrize(
    ("page", "recipe", "scale"),
    [
        ("start", "lth/digits", "full"),
        ("reproduce-a-figure", "lth/9", "small"),
        ("compare-methods", "compare/digits", "full"),
    ],
)
def test_results_are_those_that_are_stored(page, recipe, scale):
    store = Store(DOCS / "results")
    (experiment,), _ = experiments_offline(ask(recipe, scale=scale), store)
    (shown,) = [block.text for block in blocks(DOCS / f"{page}.md", "text")]
    found = brief_text(read_results(experiment, store))
    assert is_printed(shown, found), found


# ---- code


def test_start(folder):
    done = run_python(DOCS / "start.md", {})
    assert done["result"].results.rows
    code = blocks(DOCS / "start.md", "python")[-1].text
    assert f"# {done['ticket'].mask!r}\n" in code
    assert wn.load(folder / "ticket.safetensors").mask == done["ticket"].mask


def table(text):
    """The numbers of each line that begins with a percentage."""
    lines = [line for line in text.splitlines() if re.match(r" *[\d.]+%", line)]
    return [[float(number) for number in re.findall(r"[\d.]+", line)] for line in lines]


def test_understand(capsys):
    """The page says by how much its numbers may vary, and which order does not."""
    page = DOCS / "understand.md"
    run_python(page, {})
    printed = capsys.readouterr().out
    (shown,) = [block.text for block in blocks(page, "text")]
    assert shown.splitlines()[0] == printed.splitlines()[0]
    assert "within 2.5 points" in page.read_text()
    for line, seen in zip(table(shown), table(printed), strict=True):
        assert line == pytest.approx(seen, abs=2.5)
    *_, (_, ticket, reinit, random) = table(printed)
    assert ticket > reinit > random
    lines = blocks(page, "python")[-1].text.splitlines()
    assert len([line for line in lines if line]) <= 20


def test_your_model(folder):
    torch.manual_seed(0)
    done = run_python(DOCS / "your-model.md", {})
    assert wn.load(folder / "ticket.safetensors").mask.kept == 6032 / 8
    assert done["sparse"].mask.kept == round(0.1 * 6032)
    assert done["mask"].kept == round(0.1 * 6032)
    for opt in done["opts"]:  # Muon and AdamW moved what they hold, and no hook is left
        assert opt.state
        assert not opt._optimizer_step_post_hooks
    assert done["agreed_mask"](done["mask"]) is done["mask"]
    assert int(done["ema"].n_averaged) == 2 * len(done["loader"])
    weights, dense = done["ticket"].rewind, done["make_model"]().state_dict()
    assert weights.keys() == dense.keys()


def test_reproduce_a_figure(folder, capsys):  # noqa: ARG001
    done = run_python(DOCS / "reproduce-a-figure.md", {})
    lines = {line for line, _, _ in done["points"]}
    assert lines == {"resetting", "continued"}
    assert len(capsys.readouterr().out.splitlines()) == len(done["points"])


def test_compare_methods(folder, capsys):  # noqa: ARG001
    done = run_python(DOCS / "compare-methods.md", {})
    printed = capsys.readouterr().out
    assert {row.arm for row in done["result"].results.rows} == {"ticket", "random", "snip", "imp"}
    for arm in ("random", "snip", "imp"):
        assert re.search(rf"^{arm} +10.0%  \d\d\.\d\d%$", printed, re.M)


def test_deploy(kernels, folder, capsys):  # noqa: ARG001
    done = run_python(DOCS / "deploy.md", {})
    page = (DOCS / "deploy.md").read_text()
    mask, *table = capsys.readouterr().out.splitlines()
    assert f"print(ticket.mask)  # {mask}" in page
    assert [line.split(":")[0] for line in table if line[0] != " "] == [
        "batch 1", "batch 16", "batch 64",
    ]  # fmt: skip
    names = {path.name for path in (folder / "deployed").iterdir()}
    assert names == {"README.md", "card.json", "network.safetensors"}
    assert (folder / "deployed" / "network.safetensors").stat().st_size < 8000
    assert done["shipped"].sparse.nonzeros


def test_a_transformer_is_deployed(folder):
    pytest.importorskip("transformers", reason="needs winnow[transformers]")
    (script,) = blocks(DOCS / "deploy.md", "python gpt2.py")
    (folder / "gpt2.py").write_text(script.text)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "gpt2.py", "4"], cwd=folder, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "transformer.h.1.mlp.c_fc.weight_t: density 0.500" in done.stdout
    card = json.loads((folder / "gpt2-2-4" / "card.json").read_text())
    assert card["before"]["correct"] == card["after"]["correct"]


@pytest.mark.slow
def test_rigl_in_two_processes(folder):
    (script,) = blocks(DOCS / "your-model.md", "python rigl_ddp.py")
    (folder / "rigl_ddp.py").write_text(script.text)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "rigl_ddp.py",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stdout.splitlines() if "right" in line]
    assert float(said.split()[-2].rstrip("%")) > 80
    mask = torch.load(folder / "mask.pt")
    assert sum(int(bits.sum()) for bits in mask.values()) == round(0.1 * 7400)
