"""Methods in words: what they are, what they cost, which options they take."""

from __future__ import annotations

from collections.abc import Mapping

from winnow.algorithms.catalogue import METHODS, CatalogueEntry
from winnow.experiment.plan.kinds import cost_of_method, options_of_method, text_of_method
from winnow.experiment.recipe.load import load_recipe


def describe_methods() -> list[str]:
    """Every method on a line: name, citation, cost, and the command that runs it."""
    lines = [(m.name, m.citation, cost_of_method(m), _command(m)) for m in METHODS.values()]
    widths = [max(len(line[place]) for line in lines) for place in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(line[:3], widths, strict=True)), line[3]])
        for line in lines
    ]


def describe_method(method: CatalogueEntry) -> list[str]:
    """One method: its kind, citation, cost and command, its text, its options with defaults."""
    lines = [
        f"{method.name}: {method.kind}",
        f"source: {method.citation}",
        f"cost: {cost_of_method(method)}",
    ]
    lines += [f"run: {_command(method)}", "", *text_of_method(method).splitlines(), ""]
    lines.append("options beside the name in compare.methods, with their defaults:")
    options = {name: _as_yaml(value) for name, value in options_of_method(method).items()}
    width = max(map(len, options))
    return [*lines, *(f"  {name:<{width}}  {value}" for name, value in options.items())]


def _command(method: CatalogueEntry) -> str:
    """What runs a method on digits, beside random pruning."""
    compared = load_recipe("compare/digits").compare
    if compared is None or method.name not in [m.name for m in compared.methods]:
        return f"winnow run compare/digits -o 'compare.methods=[random, {method.name}]'"
    beside = "" if method.is_control else " --only random"
    return f"winnow run compare/digits --only {method.name}{beside}"


def _as_yaml(value: object) -> str:
    words = {True: "true", False: "false", None: "null"}
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_as_yaml(inner)}' for key, inner in value.items())}}}"
    return words[value] if isinstance(value, bool) or value is None else str(value)
