"""A small experiment on digits whose analyses are made in this process."""

from __future__ import annotations

from inline_pool import InlinePool
from sample_plans import SMALL

from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Settings, execute
from winnow.report import read_results


class Measured:
    """What the analyses of a plan of a few iterations found, and the states that they saw."""

    def __init__(self, path, *analyses, **changes):
        train = {**SMALL["train"], "steps": "20it", "evaluate": "10it"}
        recipe = {**SMALL, "train": train, "engine": "dense", "replicates": 1,
                  "prune": {"rounds": 2, "rate": 0.5}, "analyses": list(analyses)}  # fmt: skip
        self.store = Store(path / "runs").open()
        source = find_source("digits")
        self.plan = expand("small", check_recipe({**recipe, **changes}, "small"), source)
        execute(self.plan, self.store, Settings(1), pool=lambda _: InlinePool(self.store, []))
        self.findings = read_results(self.plan.experiment(), self.store).findings

    def node(self, arm, round_):
        """The first point of an arm at a round; the dense network is round 0 of the ticket."""
        return next(n for n in self.plan.nodes if (n.arm, n.round) == (arm, round_))

    def state(self, node, which="final"):
        """A stored state of a point's run."""
        return self.store.find(node.run).state(which)
