"""Every shipped recipe that has the scale smoke runs at it, with its views and its claims."""

from __future__ import annotations

import pytest
from inline_pool import InlinePool
from sparse_where_possible import sparse_auto

from winnow.experiment.expected import write_experiment
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import has_scale, load_recipe
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.scales import SMOKE
from winnow.experiment.store.images import find_sources
from winnow.experiment.store.store import Store
from winnow.experiment.train import executor
from winnow.experiment.train.choosing import sample
from winnow.report import read_results
from winnow.report.claims.judge import judge_all
from winnow.report.views import view_panels, views_of

pytestmark = pytest.mark.usefixtures("no_fsync")

SMALLEST = [name for name in shipped() if has_scale(name, SMOKE)]
PAPERS = ("lth", "stabilizing", "grasp", "data-dependent", "jackpots")
"""Whose recipes must all have the scale."""
HERE = {"digits", "generated-images"}
"""Datasets that are on every machine."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all recipes: what they share is trained once."""
    return Store(tmp_path_factory.mktemp("store")).open()


@pytest.fixture(scope="module", autouse=True)
def _calibrated():
    """Auto goes by figures under which everything pruned is cheaper in sparse kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "settle", lambda plan, *_: sparse_auto(sample(plan)))
        yield


def done(name, store, *changes):
    """The results of a recipe at the smallest scale."""
    recipe = load_recipe(name, changes, scale=SMOKE)
    plan = expand_lines(name, recipe, find_sources(recipe))
    executor.execute(plan, store, executor.Settings(1), pool=lambda _: InlinePool(store, []))
    write_experiment(plan.experiment(), store.path)
    return plan, read_results(plan.experiment(), store)


def test_all_recipes_of_a_paper_have_the_scale():
    of_papers = [name for name in shipped() if name.partition("/")[0] in PAPERS]
    assert [n for n in of_papers if n not in SMALLEST and n != "lth/digits"] == []


LONG = {
    *("stabilizing/1", "stabilizing/4", "stabilizing/7", "grasp/table-2", "grasp/table-3"),
    *("jackpots/2", "jackpots/table-1", "jackpots/table-3", "compare/resnet-20-narrow"),
}
"""Five to fifteen seconds each, on convolutions like those of others."""


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.slow if one in LONG else []) for one in SMALLEST]
)
def test_a_recipe_runs_at_its_smallest_scale(name, store):
    plan, results = done(name, store)
    assert {p.recipe.data.name for p in plan.plans} <= HERE, "no download"
    assert results.rows
    assert {row.status for row in results.rows} <= {"done", "diverged", "unreachable"}
    assert all(row.status == "done" for row in results.rows if row.round == 0)
    panels = [view_panels(results, view) for view in views_of(results)]
    assert any(panels) == bool(panels), "a recipe with views shows something"
    verdicts = {one.claim.id: one.verdict for one in judge_all(results)}
    assert list(verdicts) == [claim.id for claim in plan.recipe.claims]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_recipe_runs_on_the_dense_engine(name, store):
    _, results = done(name, store, "engine=dense")
    assert any(row.status == "done" for row in results.rows)
