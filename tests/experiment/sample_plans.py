"""Plans of small recipes on digits, for tests that need any, and the points of an arm in them."""

from __future__ import annotations

from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source

DIGITS = Source(1437, "digits")
SIZES = {"hidden.0.weight": 64 * 20, "hidden.1.weight": 20 * 10, "output.weight": 10 * 10}
ALL = sum(SIZES.values())
AT_INIT = ("magnitude", "random", "snip", "grasp", "synflow", "data-dependent")
DYNAMIC = ("gradual", "set", "deep-r", "dsr", "snfs", "rigl")
SEARCHES = ("edge-popup", "supermask", "jackpot")
EPOCH = 24  # 1,200 examples are left in batches of 50
SMALL = {
    "data": {"name": "digits", "validation": 237},
    "model": {"name": "lenet-300-100", "hidden": [20, 10]},
    "train": {"steps": "100it", "batch": 50, "optimizer": {"name": "sgd", "lr": 0.1}},
    "prune": {"rounds": 3, "rate": 0.5},
    "replicates": 2,
}
COMPARED = {
    **{part: SMALL[part] for part in ("data", "model", "replicates")},
    "train": {"steps": "96it", "batch": 50, "optimizer": {"name": "momentum", "lr": 0.1}},
}


def small(source=DIGITS, **changes):
    """The plan of rounds of pruning, sections changed, e.g. prune={"rewind": "lr"}."""
    return expand("small", check_recipe(_changed(SMALL, changes), "small"), source)


def comparison_recipe(methods, densities=(0.5, 0.1), **changes):
    """The recipe of a comparison, sections changed."""
    compare = {"methods": list(methods), "densities": list(densities)}
    return check_recipe(_changed({**COMPARED, "compare": compare}, changes), "small")


def comparison(methods, densities=(0.5, 0.1), **changes):
    """The plan of a comparison, sections changed."""
    return expand("small", comparison_recipe(methods, densities, **changes), DIGITS)


def points_of(plan, arm, replicate=0, draw=None):
    """The points of an arm in one replicate, of one draw or of all."""
    own = [n for n in plan.nodes if n.arm == arm and n.replicate == replicate]
    return [n for n in own if draw is None or n.draw == draw]


def _changed(recipe, changes):
    changed = dict(recipe)
    for key, value in changes.items():
        changed[key] = {**changed.get(key, {}), **value} if isinstance(value, dict) else value
    return changed
