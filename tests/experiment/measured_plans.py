"""Analyses of a small plan on digits, made by a worker in this process."""

from __future__ import annotations

import copy

from inline_pool import InlinePool
from sample_plans import SMALL

from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Settings, execute
from winnow.report import read_results


def findings(folder, *analyses, **changes):
    """The findings of analyses, label → round → rows; two rounds of one replicate on digits."""
    recipe = copy.deepcopy(SMALL) | {"engine": "dense", "replicates": 1}
    recipe["train"] |= {"steps": "20it", "evaluate": "10it"}
    recipe |= {"prune": {"rounds": 2, "rate": 0.5}, "analyses": list(analyses)} | changes
    plan = expand("small", check_recipe(recipe, "small"), find_source("digits"))
    store = Store(folder / "runs").open()
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, []))
    results = read_results(plan.experiment(), store)
    found: dict = {}
    for finding in results.findings:
        found.setdefault(finding.key, {})[finding.round] = finding
    assert sum(map(len, found.values())) == len(plan.analyses) > 0
    return found


def layers_of(finding):
    return {row["layer"]: row for row in finding.rows if "layer" in row and "bin" not in row}
