"""The methods that experiments compare, by name: what kind each is, who proposed it, its cost.

A method of a known kind takes a line here; `winnow.experiment.methods` plans each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter, getdoc, signature
from typing import Any, Literal

from winnow.algorithms import at_init, dynamic, rounds
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
_COMMON: Mapping[Kind, Mapping[str, object]] = {
    "at initialisation": {"rounds": 1},
    "fine-tuned": {"rewind": "none"},
    "iterative": {"criterion": "magnitude", "rewind": "init"},
    "one-shot": {"criterion": "magnitude", "rewind": "init"},
    "dynamic": {},
}
_NOT_HERE = ("classes", "density", "seed")  # the data and the experiment say what they are


@dataclass(frozen=True)
class Entry:
    """A method. ``about``: the function or class whose docstring has formula and departures."""

    name: str
    kind: Kind
    citation: str
    about: Callable[..., Any]
    extra_cost: str = ""

    @property
    def cost(self) -> str:
        """What one density costs, in words."""
        return _COSTS[self.kind] + (f", {self.extra_cost}" if self.extra_cost else "")

    @property
    def text(self) -> str:
        """Formula, source and departures, as its code says."""
        return getdoc(self.about) or ""

    @property
    def options(self) -> dict[str, object]:
        """Option → default, in experiments."""
        common = {**_COMMON[self.kind], "ignore": []}
        if self.kind == "at initialisation":
            common["rounds"] = at_init.ROUNDS.get(self.name, 1)
        own = {} if self.kind in ("iterative", "one-shot") else _defaults(self.about)
        return own | common


def _defaults(about: Callable[..., Any]) -> dict[str, object]:
    if is_dataclass(about):
        found = {f.name: f.default for f in fields(about) if f.default is not MISSING}
    else:
        own = signature(about).parameters.values()
        found = {p.name: p.default for p in own if p.kind is Parameter.KEYWORD_ONLY}
    return {name: value for name, value in found.items() if name not in _NOT_HERE}


def _at_init(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "at initialisation", citation, CRITERIA[name], extra)


def _dynamic(name: str, citation: str, extra: str = "") -> Entry:
    return Entry(name, "dynamic", citation, dynamic.METHODS[name], extra)


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
        Entry("mlprune", "fine-tuned", "Zeng & Urtasun 2019", CRITERIA["mlprune"], "2 passes"),
        Entry("imp", "iterative", "Frankle & Carbin 2019", rounds.iterative),
        Entry("one-shot", "one-shot", "Frankle & Carbin 2019", rounds.one_shot),
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


def listed() -> list[str]:
    """Every method on a line: name, citation, cost, and the command that runs it beside others."""
    columns = [(m.name, m.citation, m.cost, command(m)) for m in METHODS.values()]
    widths = [max(len(line[place]) for line in columns) for place in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(line[:3], widths, strict=True)), line[3]])
        for line in columns
    ]


def described(method: Entry) -> list[str]:
    """One method: its kind, citation, cost and command, its text, its options with defaults."""
    lines = [f"{method.name}: {method.kind}", f"source: {method.citation}", f"cost: {method.cost}"]
    lines += [f"run: {command(method)}", "", *method.text.splitlines(), "", "options:"]
    options = method.options
    width = max(map(len, options))
    lines += [f"  {name:<{width}}  {_plain(value)}" for name, value in options.items()]
    example = next(iter(options))
    return [
        *lines,
        "",
        f"in a recipe: compare: {{methods: [{{name: {method.name}, "
        f"{example}: {_plain(options[example])}}}], densities: [0.1]}}",
    ]


def command(method: Entry) -> str:
    """What runs a method on digits, beside random pruning."""
    return f"winnow run compare/digits --only {method.name} --only random"


def _plain(value: object) -> str:
    """A default as YAML writes it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
