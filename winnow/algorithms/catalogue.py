"""The methods that experiments compare, by name: what kind each is, who proposed it, its cost.

A method of a known kind takes a line here; `winnow.experiment.plan.kinds` plans each kind.
Criteria that have no line here prune at initialisation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Literal

from winnow import criteria
from winnow.algorithms import dynamic, search
from winnow.criteria import CRITERIA, traits_of
from winnow.criteria.own import is_own
from winnow.errors import unknown

Kind = Literal["at initialisation", "fine-tuned", "iterative", "one-shot", "dynamic", "mask search"]

_COSTS: Mapping[Kind, str] = {
    "at initialisation": "one training",
    "fine-tuned": "a dense training, then one more",
    "iterative": "a dense training, then one for each density so far",
    "one-shot": "a dense training, then one more",
    "dynamic": "one training",
    "mask search": "one training, of scores",
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
        own = self.about if isinstance(self.about, str) else getdoc(self.about) or ""
        return "\n\n".join(text for text in (own, _FURTHER.get(self.kind, "")) if text)


def _at_init(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "at initialisation", citation, CRITERIA[name], extra)


def _dynamic(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "dynamic", citation, dynamic.METHODS[name], extra)


def _search(name: str, citation: str, extra: str = "") -> Entry:
    start = _TRAINED if name == "jackpot" else _RANDOM
    text = f"{getdoc(search.METHODS[name])}\n\n{_SEARCHED}\n{start}"
    if name == "supermask":
        text += f"\n{_DENSITY}"
    return Entry(name, "mask search", citation, text, extra)


_IMP = """Train, score the trained weights, prune the smallest, rewind the others, train again:
section 2, algorithm as in appendix B. Each density of the list, from the largest on, is a round
that prunes the ticket of the round before.

``criterion``: what scores the trained weights, |w| by default (Train-w of the data-dependent
pruning paper; its Train-wg is data-dependent); its own options may stand beside."""

_ONE_SHOT = """Train, prune the dense network at once to each density, rewind, train again:
section 2. Options as for imp."""

_SEARCHED = """In comparisons all layers compete but those of ``ignore``, and scores train for
``train.steps``. ``optimizer`` ({lr: 0.01} changes only the rate) and ``schedule``: theirs.
``fine_tune``: 100it, or {steps: 100it, optimizer: …, schedule: …} where these are not those of
``train``, trains the weights of what was found: an arm of its own, with -fine-tuned behind."""

_RANDOM = """``init``: what the random network is, as in ``model`` (model.init: the same one).
``scale_fan``: kaiming's variance counts only the density of each fan in."""

_DENSITY = """``probability: density``: starts at the density that is asked for. The authors find
one, from one half on, in a network of ``init: signed-glorot`` with ``scale_fan: false``."""

_TRAINED = """``weights``: trained (the dense network of the replicate), or a file of other ones: a
state_dict, safetensors, a ticket, the folder of a run."""

_AROUND = """In a comparison, training before and after the pruning. ``rewind``: what networks train
from: init (the initial weights); a step (500it: weights, batch norm statistics, place in the
schedule and order of data of the dense training there; after its first steps, late resetting); none
(the trained weights; the schedule goes on, beyond its end at the last learning rate); lr (the
trained weights, the schedule's last fine_tune steps again; Renda et al. 2020). ``train``: steps
before a network is pruned, where it is not trained to the end: the interpolation to pruning at
initialisation that Lévai & Zombori (2020) propose. ``fine_tune``: steps of training after none and
lr. ``optimizer``: fresh, or rewound with the weights (not with init). ``least``: weights that each
layer keeps at least."""

_SANITY = """In a comparison: ``rounds`` of scoring, exponentially to the density; ``least``: the
weights that each layer keeps at least; ``controls``: further arms, those of compare.controls by
default, or own ones: {shuffled: 1, reinit: 1, inverted: true} (Frankle et al. 2021)."""

_FURTHER: Mapping[Kind, str] = {
    "at initialisation": _SANITY,
    "fine-tuned": _AROUND,
    "iterative": _AROUND,
    "one-shot": _AROUND,
}

METHODS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        _at_init("magnitude", "Han et al. 2015 (of initial weights: Frankle et al. 2021)"),
        _at_init("random", "a control (Frankle et al. 2021)"),
        _at_init("snip", "Lee et al. 2019", "1 pass over 10 examples a class"),
        _at_init("grasp", "Wang et al. 2020", "3 passes over 10 examples a class"),
        _at_init("synflow", "Tanaka et al. 2020", "100 passes of one input of ones"),
        _at_init("data-dependent", "Lévai & Zombori 2020", "1 pass over all examples"),
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
        _search("edge-popup", "Ramanujan et al. 2020"),
        _search("supermask", "Zhou et al. 2019"),
        _search("jackpot", "Zhang et al. 2021", "after a dense training"),
    )
}


_CITED = re.compile(
    r"[A-Z][\w'-]+(?:, [A-Z][\w'-]+)*(?: et al\.| (?:&|and) [A-Z][\w'-]+)?,? \(?(?:19|20)\d\d\b"
)


def _criterion(name: str, function: Callable[..., Any]) -> Entry:
    """A criterion that prunes at initialisation; the first citation of its docstring is its own."""
    about = " ".join((getdoc(function) or "").split())
    found = _CITED.search(about)
    citation = found.group().replace("(", "") if found else "no citation in its docstring"
    known = traits_of(function)
    if known.examples == "none" or known.passes == 0:
        return Entry(name, "at initialisation", citation, function)
    seen = "10 examples a class" if known.examples == "balanced" else "all examples"
    passes = f"{known.passes:g} {'pass' if known.passes == 1 else 'passes'} over {seen}"
    return Entry(name, "at initialisation", citation, function, passes)


_LEFT = {name: _criterion(name, CRITERIA[name]) for name in CRITERIA if name not in METHODS}
METHODS = {**METHODS, **_LEFT}


def get(name: str) -> Entry:
    """The method of this name, or of ``module:function``, which prunes at initialisation.

    UserError with the nearest name if there is none.
    """
    if is_own(name):
        return _criterion(name, criteria.get(name))
    if name not in METHODS:
        raise unknown("method", name, METHODS, "`winnow methods` lists them")
    return METHODS[name]
