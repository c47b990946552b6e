"""Writes what pages of docs/ take from the code: ``make docs``. A test compares them.

A page marks the place with ``<!-- generated: NAME -->`` and ``<!-- end -->``; what stands between
is replaced by the part of that name. ``FIGURES`` are drawn whole, into ``docs/figures``.
"""

from __future__ import annotations

import ast
import functools
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from making.api import api
from making.command_line import command_line
from making.gallery import gallery
from making.picture import picture
from making.speed import PARTS as SPEED
from making.tables import table
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from winnow.algorithms.catalogue import METHODS
from winnow.amounts import checked_steps
from winnow.claims import judged_claims
from winnow.experiment.plan.kinds import cost_of_method, options_of_method
from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.recipe.names import recipes_of_items, shipped
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.store.store import Store
from winnow.experiments import ask
from winnow.report.claims.by_item import by_item, items_seen
from winnow.report.claims.judge import Judged, Verdict
from winnow.report.claims.score import (
    PAPERS,
    SCORE_HEAD,
    chance,
    counts_in_words,
    score_lines,
    scoreboard,
)

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "winnow"
_PLACE = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
_WORDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def page(text: str) -> str:
    """A page with its generated parts made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}{PARTS[place[2]]()}\n{place[3]}", text)


def recipes() -> str:
    """The recipes that come with Winnow."""
    rows = [(f"`{name}`", load_recipe(name).title) for name in shipped()]
    return table(("recipe", "what it is"), rows)


def fields() -> str:
    """A section for each part of a recipe: what its docstring says, and its keys."""
    return "\n\n".join(_sections(Recipe, "", {}))


def methods() -> str:
    """The methods that recipes can compare, with their options."""
    rows = []
    for name, entry in METHODS.items():
        options = {key: as_yaml(value) for key, value in options_of_method(entry).items()}
        shown = ", ".join(f"`{key}: {value}`" for key, value in options.items())
        rows.append((f"`{name}`", entry.citation, cost_of_method(entry), shown))
    return table(("method", "source", "cost of a density", "options and their defaults"), rows)


def tree() -> str:
    """The package, two levels deep: each file and folder with the first sentence of its text."""
    lines = [("winnow/", "")]
    for path in _listed(PACKAGE):
        lines.append((f"  {_name(path)}", _sentence(path)))
        if path.is_dir():
            lines += [(f"    {_name(inner)}", _sentence(inner)) for inner in _listed(path)]
    width = max(len(name) for name, _ in lines)
    return "\n".join(
        ["```", *(f"{name:<{width}}  {about}".rstrip() for name, about in lines), "```"]
    )


@functools.cache
def judged(scale: str) -> tuple[Judged, ...]:
    """The claims of all recipes at a scale, by the results that this folder keeps."""
    asked = [ask(name, scale=scale) for name in shipped()]
    store = Store(DOCS / "results")
    return tuple(judged_claims(asked, store, lambda _: None, named=False))


def reproduction_summary() -> str:
    """For each paper how many claims have which verdict."""
    boards = {scale: scoreboard(judged(scale)) for scale in ("full", "small")}
    verdicts = [v for v in get_args(Verdict) if v not in ("seen", "not seen")]
    rows = []
    small = {p.paper: p.counts for p in boards["small"].papers}
    for paper in boards["full"].papers:
        counted = [paper.counts.get(verdict, 0) for verdict in verdicts]
        seen = [small.get(paper.paper, {}).get(verdict, 0) for verdict in ("seen", "not seen")]
        good, given = paper.numbers
        cells = [*counted, f"{good} of {given}", *seen]
        rows.append((paper.paper, *(str(cell) for cell in cells)))
    head = ("paper", *verdicts, "numbers reproduced", "small: seen", "small: not seen")
    return f"{table(head, rows)}\n\n{chance(boards['full'])}"


def papers() -> str:
    """The five papers, a row each: figures and tables with a recipe, verdicts, what small saw."""
    boards = {
        scale: {one.paper: one for one in scoreboard(judged(scale)).papers}
        for scale in ("full", "small")
    }
    counts = Counter(PAPERS[item.partition("/")[0]] for item in recipes_of_items())
    rows = []
    for paper in PAPERS.values():
        full, small = (boards[scale][paper].counts for scale in ("full", "small"))
        given = [full.get(verdict, 0) for verdict in ("confirmed", "contradicted", "undecided")]
        seen = [small.get(verdict, 0) for verdict in ("seen", "not seen")]
        claims = sum(full.values())
        rows.append((paper, *map(str, (counts[paper], claims, *given, *seen))))
    head = ("paper", "figures and tables", "claims", "confirmed", "contradicted", "undecided",
            "small scale: seen", "not seen")  # fmt: skip
    return table(head, rows)


def reproduction_items() -> str:
    """Every figure and table: its recipes, and the verdicts of its claims at both scales."""
    small, recipes_of = by_item(judged("small")), recipes_of_items()
    rows = [
        (
            f"`{full.item}`",
            ITEMS[full.item].title,
            ", ".join(f"`{name}`" for name in recipes_of[full.item]),
            counts_in_words(full.counts),
            counts_in_words(little.counts),
        )
        for full, little in zip(by_item(judged("full")), small, strict=True)
    ]
    head = ("figure or table", "what it shows", "recipes", "full", "small")
    return f"{items_seen(small)} at scale small.\n\n{table(head, rows)}"


def reproduction_of(scale: str) -> str:
    """The claims of a scale that any result speaks of, and why they came out differently."""
    reasons = yaml.safe_load((DOCS / "results" / "reasons.yaml").read_text("utf-8"))
    parts = []
    for paper in scoreboard(judged(scale)).papers:
        rows = []
        for one, line in zip(paper.judged, score_lines(paper), strict=True):
            if one.verdict in ("not run", "no data"):
                continue
            differs = one.verdict in ("contradicted", "not seen") or (
                one.number is not None and one.number.answer == "differs"
            )
            why = reasons.get(one.claim.id, "unexplained") if differs else ""
            rows.append((*line, why))
        if rows:
            parts.append(f"### {paper.paper}\n{table((*SCORE_HEAD, 'reason'), rows)}")
    return "\n\n".join(parts) or "Nothing is stored yet."


PARTS: dict[str, Callable[[], str]] = {
    "papers": papers,
    "recipes": recipes,
    "fields": fields,
    "methods": methods,
    "tree": tree,
    "command-line": command_line,
    "api": api,
    "gallery": gallery,
    "reproduction-summary": reproduction_summary,
    "reproduction-items": reproduction_items,
    "reproduction-full": functools.partial(reproduction_of, "full"),
    "reproduction-small": functools.partial(reproduction_of, "small"),
    **SPEED,
}
FIGURES: dict[str, Callable[[], str]] = {"architecture.svg": picture}


def _listed(folder: Path) -> list[Path]:
    """Files, then folders, without what every package has."""
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(("_", "."))]
    folders = [path for path in inside if path.is_dir()]
    return [*(path for path in inside if path.suffix == ".py"), *folders]


def _name(path: Path) -> str:
    return f"{path.name}/" if path.is_dir() else path.name


def _sentence(path: Path) -> str:
    """The first sentence of a module's docstring; of a folder without one, nothing."""
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        return ""
    about = " ".join((ast.get_docstring(ast.parse(source.read_text("utf-8"))) or "").split())
    return re.split(r"(?<=[\w)`|])\.(?: |$)", about, maxsplit=1)[0].replace("``", "")


Paths = dict[type[BaseModel], str]  # where each part stands first


def _sections(part: type[BaseModel], path: str, seen: Paths) -> Iterator[str]:
    """The section of a part, then those of the parts in it. ``path``: its dotted key."""
    seen[part] = path
    rows, inside = [], []
    for name, info in part.model_fields.items():
        key = info.alias or name
        within = f"{path}.{key}" if path else key
        for inner in _parts(info.annotation):
            if inner not in seen:
                seen[inner] = within
                inside.append((inner, within))
        rows.append((f"`{key}`", _value(info, seen), _default(info), _example(info)))
    title = f"### `{path}`" if path else "### At the top"
    about = (getdoc(part) or "").replace("``", "`")
    yield f"{title}\n{about}\n\n{table(('key', 'value', 'default', 'example'), rows)}"
    for inner, within in inside:
        yield from _sections(inner, within, seen)


def _parts(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for argument in get_args(annotation) for inner in _parts(argument)]


def _value(info: FieldInfo, seen: Paths) -> str:
    """What a key takes: a part of its own, or a plain value."""
    if not (inner := _parts(info.annotation)):
        return in_words(info.annotation, info.metadata)
    where = f"see `{seen[inner[0]]}`"
    short = ", or its `name` alone" if _has_short_form(info.annotation, info.metadata) else ""
    listed = get_origin(info.annotation) is tuple
    return f"a list, for each {where}{short}" if listed else f"{where}{short}"


def _has_short_form(annotation: Any, metadata: Sequence[Any]) -> bool:
    own = [*metadata, *getattr(annotation, "__metadata__", ())]
    inner = [argument for argument in get_args(annotation) if get_origin(argument) is Annotated]
    return any(isinstance(m, BeforeValidator) for m in own) or any(
        _has_short_form(argument, ()) for argument in inner
    )


def in_words(annotation: Any, metadata: Sequence[Any] = (), s: str = "") -> str:
    """A type with its limits: "whole number ≥ 1". ``s``: the ending of a plural."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(arguments[0], [*arguments[1:], *metadata], s)
    if any(isinstance(m, BeforeValidator) and m.func is checked_steps for m in metadata):
        return f"amount{s} of training"
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin in (Union, types.UnionType):
        chosen = [inner for inner in arguments if inner is not type(None)]
        return " or ".join(in_words(inner, metadata, s) for inner in chosen)
    if origin is tuple:
        count = "" if arguments[-1] is ... else f"{len(arguments)} "
        return f"list of {count}{in_words(arguments[0], s='s')}"
    if origin is dict:
        return f"mapping from names to {in_words(arguments[1], s='s')}"
    if annotation is Any:
        return "whatever it takes"
    return " ".join([_WORDS[annotation] + s, " and ".join(_limits(metadata))]).strip()


def _limits(metadata: Sequence[Any]) -> Iterator[str]:
    for limit in metadata:
        if isinstance(limit, FieldInfo):
            yield from _limits(limit.metadata)
        for name, sign in _SIGNS.items():
            value = getattr(limit, name, None)
            if isinstance(limit, annotated_types.BaseMetadata) and value is not None:
                yield f"{sign} {value}"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None or isinstance(info.default, BaseModel) or info.default in ({}, (), ""):
        return ""
    return f"`{as_yaml(info.default)}`"


def _example(info: FieldInfo) -> str:
    return ", ".join(
        f"`{as_yaml(example)}`" for example in info.examples or _nested(info.annotation)
    )


def _nested(annotation: Any) -> list[Any]:
    """The examples that stand in a type instead of in the field."""
    for inner in [annotation, *get_args(annotation)]:
        for told in getattr(inner, "__metadata__", ()):
            if isinstance(told, FieldInfo) and told.examples:
                return list(told.examples)
    return []


def as_yaml(value: Any) -> str:
    """A value as it is written in a recipe, on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def main() -> None:
    for path in (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))):
        path.write_text(page(path.read_text("utf-8")), "utf-8")
    for name, draw in FIGURES.items():
        (DOCS / "figures" / name).write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
