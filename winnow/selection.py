"""Choosing parameters: by name, glob, ``re:`` pattern, filter, or a recipe's group word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import nn

from winnow.allocation import check_rate
from winnow.errors import UserError, unknown
from winnow.layers import axes_of, layer_weights, why_no_mask

Filter = Callable[[str, nn.Parameter], bool]
Params = str | Iterable[str] | Filter
_Value = TypeVar("_Value")

GROUPS = ("conv", "linear", "first", "output")


def prunable(model: nn.Module, params: Params | None = None) -> dict[str, nn.Parameter]:
    """The parameters to prune, in module order, under the names of ``named_parameters``.

    Default: the weights of every linear, convolutional, recurrent and attention layer (see
    ``layers.weights_of``; embeddings and what is tied to them are left out). ``params``: names,
    globs (``*.weight``), ``re:`` patterns (full match), or a filter (name, parameter) -> bool, over
    all parameters. A tied weight appears once, under its first name.
    Raises UserError for a pattern that matches nothing, when nothing is selected, and for weights
    that a mask cannot hold: quantised, parametrised, uninitialised, beside adapters.
    """
    everything = parameters(model)
    first = {id(parameter): name for name, parameter in reversed(everything.items())}
    chosen = {id(everything[name]) for name in _selected(model, everything, params)}
    found = {name: p for name, p in everything.items() if id(p) in chosen and first[id(p)] == name}
    if not found:
        raise UserError(
            "no parameter to prune: the model has no weight of a linear, convolutional, recurrent "
            "or attention layer, or the filter accepts none. Name some with params=, e.g. "
            "params='*.weight'."
        )
    for name, parameter in found.items():
        if fault := why_no_mask(parameter):
            raise UserError(f"{name} {fault}")
    return found


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by name, tied ones under each of their names; a wrapped model's own names."""
    return dict(uncompiled(model).named_parameters(remove_duplicate=False))


def uncompiled(model: nn.Module) -> nn.Module:
    """The module inside the wrappers of torch.compile, DistributedDataParallel and DataParallel,
    whose names carry no ``_orig_mod.`` and no ``module.``.
    """
    inner: object = model
    if isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
        inner = model.module
    elif "_orig_mod" in model._modules:
        inner = model._orig_mod
    return uncompiled(inner) if isinstance(inner, nn.Module) and inner is not model else model


def match(names: Iterable[str], patterns: str | Iterable[str]) -> list[str]:
    """The names, in their order, that at least one pattern selects.

    An exact name selects itself alone. Raises UserError, with the nearest name, for a pattern
    that selects nothing.
    """
    names = list(names)
    chosen = {name for pattern in as_list(patterns) for name in _matching(names, pattern)}
    return [name for name in names if name in chosen]


def spread(names: Iterable[str], values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Patterns -> values as exact names -> values. An exact name beats a glob or ``re:``.

    Raises UserError for a pattern that selects nothing, and for two of equal rank that disagree.
    """
    names = list(names)
    return _resolve(names, {key: _matching(names, key) for key in values}, values)


def weight_groups(model: nn.Module, params: Params | None = None) -> dict[str, list[str]]:
    """The recipe words: ``conv``, ``linear``, ``first`` and ``output`` -> names they stand for.

    ``output`` is the last Linear weight in module order, or the last prunable one without any;
    ``first`` is the first prunable one.
    """
    names = list(prunable(model, params))
    kinds = axes_of(uncompiled(model))
    named = parameters(model)
    kind_of = {name: kinds[id(named[name])].kind for name in names if id(named[name]) in kinds}
    linear = [name for name in names if kind_of.get(name) == "linear"]
    conv = [name for name in names if kind_of.get(name) == "conv"]
    return {
        "conv": conv,
        "linear": linear,
        "first": names[:1],
        "output": (linear or names)[-1:],
    }


def spread_over(
    model: nn.Module, values: Mapping[str, _Value], params: Params | None = None
) -> dict[str, _Value]:
    """Names, patterns and group words -> values, as exact names of prunable weights -> values.

    The most specific wins: exact name > glob or ``re:`` > first, output > conv, linear.
    Raises UserError for a key that selects nothing and for two of equal rank that disagree.
    """
    names = list(prunable(model, params))
    return _resolve(names, {key: _members(model, names, key, params) for key in values}, values)


def expand_rates(
    model: nn.Module,
    rates: Mapping[str, float],
    default: float,
    params: Params | None = None,
) -> dict[str, float]:
    """The rate of every prunable weight; ``default`` where ``rates`` says nothing.

    Keys as in ``spread_over``. Raises UserError for a rate outside [0, 1) or a key without a match.
    """
    for key, rate in rates.items():
        check_rate(rate, key)
    check_rate(default)
    chosen = spread_over(model, rates, params)
    return {name: chosen.get(name, default) for name in prunable(model, params)}


def resolve_names(
    model: nn.Module, patterns: str | Iterable[str], params: Params | None = None
) -> list[str]:
    """The prunable weights that names, patterns and group words select, in module order."""
    names = list(prunable(model, params))
    chosen = {n for key in as_list(patterns) for n in _members(model, names, key, params)}
    return [name for name in names if name in chosen]


def as_list(patterns: str | Iterable[str]) -> list[str]:
    """One pattern or several, as a list."""
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _selected(
    model: nn.Module, everything: Mapping[str, nn.Parameter], params: Params | None
) -> list[str]:
    if params is None:
        chosen = {id(parameter) for parameter, _ in layer_weights(uncompiled(model))}
        return [name for name, parameter in everything.items() if id(parameter) in chosen]
    if isinstance(params, str) or not callable(params):
        return match(everything, params)
    return [name for name, parameter in everything.items() if params(name, parameter)]


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    if pattern in names:
        return [pattern]
    if pattern.startswith("re:"):
        expression = _compiled(pattern)
        found = [name for name in names if expression.fullmatch(name)]
    else:
        found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise unknown("parameter", pattern, names, f"It matches none of {_some(names)}")
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern.removeprefix("re:"))
    except re.error as error:
        raise UserError(f"{pattern!r} is not a regular expression: {error}") from error


def _some(names: Sequence[str], limit: int = 8) -> str:
    more = f", … ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _members(model: nn.Module, names: Sequence[str], key: str, params: Params | None) -> list[str]:
    if key not in GROUPS or key in names:
        return _matching(names, key)
    found = weight_groups(model, params)[key]
    if not found:
        raise UserError(f"group {key!r} is empty: the model has no such layer among {_some(names)}")
    return found


def _rank(key: str, names: Sequence[str]) -> int:
    if key in names:
        return 3
    if key in GROUPS:
        return 1 if key in ("first", "output") else 0
    return 2


def _resolve(
    names: Sequence[str], members: Mapping[str, Sequence[str]], values: Mapping[str, _Value]
) -> dict[str, _Value]:
    winner: dict[str, str] = {}
    for key in sorted(values, key=lambda key: _rank(key, names)):
        for name in members[key]:
            rival = winner.get(name)
            if rival and _rank(rival, names) == _rank(key, names) and values[rival] != values[key]:
                raise UserError(
                    f"{name!r} gets {values[rival]!r} from {rival!r} and {values[key]!r} from "
                    f"{key!r}: name it exactly to decide"
                )
            winner[name] = key
    return {name: values[winner[name]] for name in names if name in winner}
