"""The methods that experiments compare, by name: what kind each is, who proposed it, its cost.

A method of a known kind takes a line here; `winnow.experiment.methods` plans each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Literal

from winnow.algorithms import dynamic
from winnow.criteria import CRITERIA
from winnow.errors import unknown

Kind = Literal["at initialisation", "fine-tuned", "iterative", "one-shot", "dynamic"]

_COSTS: Mapping[Kind, str] = {
    "at initialisation": "one training",
    "fine-tuned": "a dense training, then one more",
    "iterative": "a dense training, then one for each density so far",
    "one-shot": "a dense training, then one more",
    "dynamic": "one training",
}


@dataclass(frozen=True)
class Entry:
    """A method.

    ``about``: the function or class whose docstring has formula and departures, or the text itself.
    """

    name: str
    kind: Kind
    citation: str
    about: Callable[..., Any] | str
    extra_cost: str = ""

    @property
    def cost(self) -> str:
        """What one density costs, in words."""
        return _COSTS[self.kind] + (f", {self.extra_cost}" if self.extra_cost else "")

    @property
    def text(self) -> str:
        """Formula, source and departures, as its code says."""
        return self.about if isinstance(self.about, str) else getdoc(self.about) or ""


def _at_init(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "at initialisation", citation, CRITERIA[name], extra)


def _dynamic(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "dynamic", citation, dynamic.METHODS[name], extra)


_IMP = """Train, score the trained weights, prune the smallest, rewind the others, train again:
section 2, algorithm as in appendix B. Each density of the list, from the largest on, is a round
that prunes the ticket of the round before.

``criterion``: what scores the trained weights, |w| by default; its own options may stand beside.
``rewind``: what each round trains from: init (the initial weights), lr (the trained weights, the
schedule from its start), none (the trained weights, at the schedule's last learning rate); a step
stands in prune.rewind. Optimizers start afresh."""

_ONE_SHOT = """Train, prune the dense network at once to each density, rewind, train again:
section 2. Options as for imp."""

# Mask search with frozen weights (edge-popup, supermask, jackpot) is to be one more kind here.
METHODS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        _at_init("magnitude", "Han et al. 2015 (of initial weights: Frankle et al. 2021)"),
        _at_init("random", "a control (Frankle et al. 2021)"),
        _at_init("snip", "Lee et al. 2019", "1 pass over 10 examples a class"),
        _at_init("grasp", "Wang et al. 2020", "3 passes over 10 examples a class"),
        _at_init("synflow", "Tanaka et al. 2020", "100 passes of one input of ones"),
        _at_init("data-dependent", "the data-dependent pruning paper", "1 pass over all examples"),
        Entry("obd", "fine-tuned", "LeCun et al. 1990", CRITERIA["obd"], "1 pass over all"),
        Entry(
            "mlprune", "fine-tuned", "Zeng & Urtasun 2019", CRITERIA["mlprune"], "2 passes a round"
        ),
        Entry("imp", "iterative", "Frankle & Carbin 2019", _IMP),
        Entry("one-shot", "one-shot", "Frankle & Carbin 2019", _ONE_SHOT),
        _dynamic("gradual", "Zhu & Gupta 2017", "dense at first"),
        _dynamic("set", "Mocanu et al. 2018"),
        _dynamic("deep-r", "Bellec et al. 2018"),
        _dynamic("dsr", "Mostafa & Wang 2019"),
        _dynamic("snfs", "Dettmers & Zettlemoyer 2019", "with dense gradients"),
        _dynamic("rigl", "Evci et al. 2020", "with a dense gradient at updates"),
    )
}


def get(name: str) -> Entry:
    """The method of this name; UserError with the nearest name if there is none."""
    if name not in METHODS:
        raise unknown("method", name, METHODS, "`winnow methods` lists them")
    return METHODS[name]
