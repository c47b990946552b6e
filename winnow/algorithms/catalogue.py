"""The methods that experiments compare, by name: what kind each is, who proposed it, its cost.

Dynamic methods and searches are those of their tables, cited as their docstrings do. So are
criteria, which prune at initialisation unless they have a line here.
`winnow.experiment.plan.kinds` plans each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import getdoc
from typing import Any, Literal

from winnow import criteria
from winnow.algorithms.dynamic import DYNAMIC_METHODS
from winnow.algorithms.dynamic.method import DynamicMethod
from winnow.algorithms.search import SEARCH_METHODS
from winnow.algorithms.search.method import SearchMethod
from winnow.criteria import CRITERIA, traits_of
from winnow.criteria.own import is_own
from winnow.errors import unknown

KindName = Literal[
    "at initialisation", "fine-tuned", "iterative", "one-shot", "dynamic", "mask search"
]

Bound = Literal["least", "most"]


@dataclass(frozen=True)
class CatalogueEntry:
    """A method.

    ``about``: the function or class whose docstring has formula and departures, or the text itself.
    ``extra_cost``: what it costs beside what its kind does, in words. ``bound``: whether it is what
    all methods are expected to reach at ``least``, or at ``most``: they are compared with it.
    """

    name: str
    kind: KindName
    citation: str
    about: Callable[..., Any] | str
    extra_cost: str = ""
    bound: Bound | None = None

    @property
    def text(self) -> str:
        """Formula, source and departures, as its code says."""
        return self.about if isinstance(self.about, str) else getdoc(self.about) or ""

    @property
    def is_control(self) -> bool:
        """Whether it is what others are checked against."""
        return not isinstance(self.about, str) and traits_of(self.about).is_control


def _at_init(name: str, citation: str, extra: str = "") -> CatalogueEntry:
    return CatalogueEntry(name, "at initialisation", citation, CRITERIA[name], extra)


def _fine_tuned(name: str, citation: str, extra: str = "") -> CatalogueEntry:
    return CatalogueEntry(name, "fine-tuned", citation, CRITERIA[name], extra)


_IMP = """Train, score the trained weights, prune the smallest, rewind the others, train again:
section 2, algorithm as in appendix B. Each density of the list, from the largest on, is a round
that prunes the ticket of the round before.

``criterion``: what scores the trained weights, |w| by default (Train-w of the data-dependent
pruning paper; its Train-wg is data-dependent); its own options may stand beside."""

_ONE_SHOT = """Train, prune the dense network at once to each density, rewind, train again:
section 2. Options as for imp."""

_LISTED: Mapping[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        _at_init("magnitude", "Han et al. 2015 (of initial weights: Frankle et al. 2021)"),
        replace(_at_init("random", "a control (Frankle et al. 2021)"), bound="least"),
        _at_init("snip", "Lee et al. 2019", "1 pass over 10 examples a class"),
        _at_init("grasp", "Wang et al. 2020", "3 passes over 10 examples a class"),
        _at_init("synflow", "Tanaka et al. 2020", "100 passes of one input of ones"),
        _at_init("data-dependent", "Lévai & Zombori 2020", "1 pass over all examples"),
        _fine_tuned("obd", "LeCun et al. 1990", "1 pass over all"),
        _fine_tuned("mlprune", "Zeng & Urtasun 2019", "2 passes a round"),
        _fine_tuned("wanda", "Sun et al. 2024", "1 pass forward over all"),
        _fine_tuned("sparsegpt", "Frantar & Alistarh 2023", "passes forward, some of each layer"),
        CatalogueEntry("imp", "iterative", "Frankle & Carbin 2019", _IMP, bound="most"),
        CatalogueEntry("one-shot", "one-shot", "Frankle & Carbin 2019", _ONE_SHOT),
    )
}


_CITED = re.compile(
    r"[A-Z][\w'-]+(?:, [A-Z][\w'-]+)*(?: et al\.| (?:&|and) [A-Z][\w'-]+)?,? \(?(?:19|20)\d\d\b"
)


def _citation(about: Callable[..., Any]) -> str:
    """The first citation of a docstring, which is the method's own."""
    cited = _CITED.search(" ".join((getdoc(about) or "").split()))
    return cited.group().replace("(", "") if cited else "no citation in its docstring"


def _criterion(name: str, function: Callable[..., Any]) -> CatalogueEntry:
    """A criterion that prunes at initialisation."""
    citation, known = _citation(function), traits_of(function)
    if known.examples == "none" or known.passes == 0:
        return CatalogueEntry(name, "at initialisation", citation, function)
    seen = "10 examples a class" if known.examples == "balanced" else "all examples"
    passes = f"{known.passes:g} {'pass' if known.passes == 1 else 'passes'} over {seen}"
    return CatalogueEntry(name, "at initialisation", citation, function, passes)


def _dynamic(name: str, method: type[DynamicMethod]) -> CatalogueEntry:
    return CatalogueEntry(name, "dynamic", _citation(method), method, method.extra_cost)


def _search(name: str, method: type[SearchMethod]) -> CatalogueEntry:
    extra = "after a dense training" if method.of_trained else ""
    return CatalogueEntry(name, "mask search", _citation(method), method, extra)


METHODS: Mapping[str, CatalogueEntry] = {
    **_LISTED,
    **{name: _dynamic(name, method) for name, method in DYNAMIC_METHODS.items()},
    **{name: _search(name, method) for name, method in SEARCH_METHODS.items()},
    **{name: _criterion(name, CRITERIA[name]) for name in CRITERIA if name not in _LISTED},
}


def find_method(name: str) -> CatalogueEntry:
    """The method of this name, or of ``module:function``, which prunes at initialisation.

    UserError with the nearest name if there is none.
    """
    if is_own(name):
        return _criterion(name, criteria.get_criterion(name))
    if name not in METHODS:
        raise unknown("method", name, METHODS, "`winnow methods` lists them")
    return METHODS[name]
