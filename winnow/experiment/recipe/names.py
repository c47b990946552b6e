"""What recipes are called: shipped names, the figures and tables that they reproduce, old names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from winnow.errors import UserError
from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.strict_yaml import parse_yaml


@dataclass(frozen=True)
class Called:
    """A recipe, and those of its lines that a name means; all of them where there are none."""

    recipe: str
    lines: tuple[str, ...] = ()


OLD_NAMES: Mapping[str, Called] = {
    "lth/lenet-mnist": Called("lth/4"),
    "lth/lenet-continued": Called("lth/9", ("continued",)),
    "lth/conv-2": Called("lth/5", ("conv-2",)),
    "lth/conv-4": Called("lth/5", ("conv-4",)),
    "lth/conv-6": Called("lth/5", ("conv-6",)),
    "lth/resnet-20": Called("lth/8", ("warm-up",)),
    "lth/vgg-19": Called("lth/7", ("warm-up",)),
}
"""What recipes were called before each had the name of its figure."""

_FIGURES = re.compile(r"^figures:.*$", re.M)


def shipped() -> list[str]:
    """The names of the recipes that come with Winnow, e.g. ``lth/digits``, numbers in order."""
    root = _folder()
    names = [str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml")]
    return sorted(names, key=_in_order)


def shipped_text(name: str) -> str:
    """The YAML text of a shipped recipe."""
    return (_folder() / f"{name}.yaml").read_text("utf-8")


def shipped_figures(name: str) -> tuple[str, ...]:
    """What a shipped recipe reproduces, without checking the rest of it.

    ``figures`` stands on one line in each of them, so that a file need not be read in full.
    """
    found = _FIGURES.search(shipped_text(name))
    said = parse_yaml(found[0], f"recipe {name}") if found else {}
    return tuple(said.get("figures", ()))


def recipes_of_items() -> dict[str, tuple[str, ...]]:
    """Every figure and table → the shipped recipes that reproduce it, the one named so first."""
    found: dict[str, list[str]] = {item: [] for item in ITEMS}
    for name in shipped():
        for item in shipped_figures(name):
            found.setdefault(item, []).append(name)
    return {item: tuple(sorted(names, key=item.__ne__)) for item, names in found.items()}


def called(name: str) -> Called:
    """The recipe that a name means: a shipped name, a figure or table, or an old name.

    A figure of several recipes means the one named so. Other names, paths among them, mean
    themselves. Raises UserError: several recipes have the figure, and none is named so; none has.
    """
    if name in OLD_NAMES:
        return OLD_NAMES[name]
    if name not in ITEMS or name in shipped():
        return Called(name)
    having = recipes_of_items()[name]
    if len(having) == 1:
        return Called(having[0])
    if not having:
        reason = ITEMS[name].reason or "no recipe of this version reproduces it"
        raise UserError(f"{name} ({ITEMS[name].title}): {reason}")
    raise UserError(f"{name} is part of {_listed(having)}: name one of them")


def _folder() -> Path:
    return Path(str(resources.files("winnow") / "recipes"))


def _in_order(name: str) -> list[tuple[int, str]]:
    """``lth/4`` before ``lth/12`` before ``lth/digits``."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdigit() else (1 << 30, p) for p in parts if p]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
