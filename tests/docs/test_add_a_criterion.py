"""``docs/add-a-criterion.md``, done: exactly its code, files and commands, and what they give."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from page import blocks, checkout, edited

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.run_parts import AnyExamples
from winnow.experiment.store.images import Source, find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.examples import examples
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.start import starting_state

PAGE = blocks("add-a-criterion")
FUNCTION, USE, MARK, MOVES = [block.text for block in PAGE if block.kind == "python"]
(TABLE,) = [block for block in PAGE if block.kind == "diff"]
(COMMANDS,) = [block.text for block in PAGE if block.kind == "console"]
(METHODS,) = [block.text for block in PAGE if block.kind == "yaml"]
RUN, ITERATED, SHOWN = [shlex.split(line)[2:] for line in COMMANDS.splitlines()]
SHORT = ["-o", "train.steps=40it", "-o", "engine=dense", "--replicates", "1", "--jobs", "1", "-q"]
DIGITS = Source(1437, "digits")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The author's folder, where the document's file is."""
    (tmp_path / "ria.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_STORE", str(tmp_path / "runs"))
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    yield tmp_path
    sys.modules.pop("ria", None)


def winnow(*arguments):
    from winnow import cli

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["winnow", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code


def by_hand(model, x):
    """RIA of a LeNet, layer after layer and weight by weight, in float64."""
    scores, a = {}, x.flatten(1).double()
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            w, b = parameter.double(), model.get_parameter(name.replace("weight", "bias")).double()
            scores[name] = relative(w) * torch.stack([one.pow(2).sum() ** 0.25 for one in a.T])
            a = (a @ w.T + b).relu()
    return scores


def relative(w):
    """|w_ij|/Σᵢ|w_ij| + |w_ij|/Σⱼ|w_ij|, column by column and row by row."""
    columns = torch.stack([w[:, j].abs() / w[:, j].abs().sum() for j in range(w.shape[1])], 1)
    return columns + torch.stack([row.abs() / row.abs().sum() for row in w])


def test_the_function_in_python(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    found = {}
    exec(compile(USE, "add-a-criterion.md", "exec"), found)
    model, x = found["model"], found["x"]
    for layer, a in ((model[0], x), (model[2], model[1](model[0](x)))):
        expected = relative(layer.weight) * a.square().sum(0) ** 0.25
        name = "0.weight" if layer is model[0] else "2.weight"
        torch.testing.assert_close(found["scores"][name], expected.detach())
    assert found["mask"].kept == round(0.1 * 7400)
    assert found["ticket"].mask.kept == round(0.8 * round(0.8 * round(0.8 * 7400)))
    assert found["ticket"].provenance["criterion"] == "ria"
    named = wn.score(model, "ria:ria", batch=(x, found["y"]))
    assert all(torch.equal(named[n], s) for n, s in found["scores"].items())
    exec(compile(MOVES, "add-a-criterion.md", "exec"), found)
    mask, weight = found["mask"], model[0].weight
    assert (mask["0.weight"].reshape(-1, 4).sum(1) == 2).all()
    assert not weight[~mask["0.weight"]].any()


def test_the_function_on_convolutions(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    from ria import ria

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    x = torch.randn(7, 3, 8, 8)
    batches = [(x[:2], None), (x[2:], None)]
    scores = wn.score(model, ria, loader=batches)
    patches = torch.nn.functional.unfold(x, 3).transpose(1, 2).flatten(0, 1)
    expected = relative(model[0].weight.flatten(1)) * patches.square().sum(0) ** 0.25
    torch.testing.assert_close(scores["0.weight"], expected.detach().reshape(5, 3, 3, 3))
    assert not model[0]._forward_hooks


def test_the_line_in_a_recipe(folder, capsys):
    winnow(*RUN, "-o", "compare.densities=[0.2]", *SHORT)
    out = capsys.readouterr().out
    assert re.search(r"^ria +\d\d\.\d\d ", out, re.M), out
    found = {one.run.pruning.criterion: one for one in Store(folder / "runs").all()
             if one.run.pruning}  # fmt: skip
    assert found.keys() == {"random", "snip", "ria:ria"}
    run, mask = found["ria:ria"].run, found["ria:ria"].state("final").mask
    assert run.pruning.scoring == AnyExamples("all")
    images = torch.cat([x for x, _ in examples(make_job(run), run.pruning.scoring, 0)])
    scores = by_hand(initial_network(run), images)
    threshold = torch.cat([s.flatten() for s in scores.values()]).topk(mask.kept).values[-1]
    for name, keep in mask.items():
        clear = (scores[name] / threshold - 1).abs() > 1e-5
        assert torch.equal(keep[clear], (scores[name] >= threshold)[clear])


def iterated():
    """The plan of the document's second command, with one round and nothing beside it."""
    _, name, *overrides = [word for word in ITERATED if word != "-o"]
    overrides += ["prune.rounds=1", "controls={}", "train.steps=40it", "engine=dense"]
    recipe = load_recipe(name, overrides, replicates=1)
    return expand(name, recipe, find_source(recipe.data.name))


def test_the_line_in_iterative_pruning(folder):
    store = Store(folder / "runs").open()
    execute(iterated(), store, Settings(jobs=1))
    (pruned,) = [one for one in store.all() if one.run.pruning]
    assert pruned.run.pruning.criterion == "ria:ria"
    assert pruned.run.pruning.source is not None
    assert pruned.result.status == "done"


def test_a_file_that_changes_meanwhile_is_noticed(folder):
    run = iterated().nodes[-1].run
    (folder / "ria.py").write_text(FUNCTION + "\n# another word\n")
    with pytest.raises(UserError, match="criterion ria:ria has changed since this experiment"):
        starting_state(run, {}.__getitem__)


def test_the_methods_of_a_recipe_file():
    methods = yaml.safe_dump(yaml.safe_load(METHODS)["methods"], default_flow_style=True)
    recipe = load_recipe("compare/digits", [f"compare.methods={methods}"], replicates=1)
    plan = expand("own", recipe, DIGITS)
    assert plan.arm_names == ["ticket", "random", "ria", "ria-iterated", "imp-ria"]
    last = {node.arm: node for node in plan.nodes}
    assert (last["ria"].run.pruning.rounds, last["ria-iterated"].run.pruning.rounds) == (1, 10)
    assert last["ria-iterated"].run.pruning.scoring == AnyExamples(200)
    epoch = 21  # 1,237 examples in batches of 60
    assert last["ria"].cost == pytest.approx(300 / epoch + 1)
    assert last["ria-iterated"].cost == pytest.approx(300 / epoch + 10 * 200 / 1237)


def test_another_file_makes_other_runs_and_leaves_the_rest(folder):
    recipe = load_recipe("compare/digits", ["compare.methods=[random, ria:ria]"], replicates=1)
    runs = {node.arm: node.run for node in expand("own", recipe, DIGITS).nodes}
    (folder / "ria.py").write_text(FUNCTION + "\n# another word\n")
    again = {node.arm: node.run for node in expand("own", recipe, DIGITS).nodes}
    assert again["random"].id == runs["random"].id
    assert again["ria"].id != runs["ria"].id
    pruning = replace(again["ria"].pruning, source=runs["ria"].pruning.source)
    assert replace(again["ria"], pruning=pruning).id == runs["ria"].id


def test_it_is_listed_with_its_source_and_cost(capsys):
    winnow(*SHOWN)
    out = capsys.readouterr().out
    assert "source: Zhang et al. 2024" in out
    assert "cost: one training, 1 pass over all examples" in out
    assert "run: winnow run compare/digits -o 'compare.methods=[random, ria:ria]'" in out
    assert "x_j the inputs that w_ij multiplies" in out
    options = dict(line.split() for line in out.partition("defaults:\n")[2].splitlines())
    assert options.items() >= {"examples": "all", "rounds": "1", "ignore": "[]"}.items()


def test_the_line_in_the_table(folder, capsys):
    """In a copy of the package: the file, its import, its entry, and nothing else."""
    with checkout(folder):
        (folder / "ria.py").rename(folder / "winnow/criteria/ria.py")
        table = folder / TABLE.file
        table.write_text(edited(table.read_text(), TABLE.text))

        import winnow as copy

        assert Path(copy.__file__).parents[1] == folder
        batch = (torch.rand(4, 9), None)
        mask = copy.prune_at_init(torch.nn.Linear(9, 5), "ria", density=0.2, batch=batch)
        assert mask.kept == 9
        winnow("methods")
    (own,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ria ")]
    assert "Zhang et al. 2024" in own
    assert "one training, 1 pass over all examples" in own
    assert own.endswith("winnow run compare/digits -o 'compare.methods=[random, ria]'")
