"""Recipes of ImageNet at their smallest scale, but with the networks of torchvision themselves."""

from __future__ import annotations

import pytest
from inline_pool import InlinePool

from winnow.experiment.expected import write_experiment
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe, load_recipe
from winnow.experiment.recipe.scales import SMOKE
from winnow.experiment.store.images import find_sources
from winnow.experiment.store.store import Store
from winnow.experiment.train import executor
from winnow.report import read_results

pytestmark = pytest.mark.usefixtures("no_fsync")

LINES = [
    ("stabilizing/7", "resnet-50 4ep", 64),
    ("stabilizing/7", "inception-v3 6ep", 80),
    ("stabilizing/7", "squeezenet random 10ep", 64),
    ("grasp/table-3", "resnet-50", 64),
    ("grasp/table-3", "vgg-16", 64),
    ("jackpots/table-3", "methods", 64),
    ("jackpots/table-3", "searches", 64),
]
QUICK = ("squeezenet random 10ep",)  # others take a minute, VGG-16 gigabytes too


@pytest.mark.parametrize(
    ("name", "line", "side"),
    [pytest.param(*one, marks=[pytest.mark.slow] * (one[1] not in QUICK)) for one in LINES],
)
def test_a_recipe_runs_with_its_own_network(name, line, side, tmp_path):
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    network = load_recipe(name).by_line()[line].model.model_dump(mode="json")
    own = load_recipe(name, scale=SMOKE).by_line()[line].dump()
    own |= {"data": own["data"] | {"size": side}, "model": network, "engine": "dense"}
    recipe = check_recipe({**own, "lines": {line: {}}, "views": [], "claims": []}, name)
    plan = expand_lines(name, recipe, find_sources(recipe))
    store = Store(tmp_path).open()
    executor.execute(plan, store, executor.Settings(1), pool=lambda _: InlinePool(store, []))
    write_experiment(plan.experiment(), store.path)
    rows = read_results(plan.experiment(), store).rows
    assert {row.line for row in rows} == {line}
    assert {row.status for row in rows} <= {"done", "diverged", "unreachable"}
    assert all(row.status == "done" for row in rows if row.round == 0)
    assert {run.model.name for run in plan.runs.values()} == {network["name"]}
