"""The options by which commands change a recipe: ``-o``, ``--only``, ``--scale``, ``--yes`` …"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from winnow.cli.consent import asking
from winnow.cli.options import LineNames, NoCode, Only, Overrides, Replicates, ScaleOption, Yes

if TYPE_CHECKING:
    from winnow.experiments import Asked


@dataclass(frozen=True)
class Changes:
    """The options as they were given; in the words of `winnow.experiments.ask`."""

    overrides: tuple[str, ...] = ()
    replicates: int | None = None
    only: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    scale: str = "full"
    yes: bool = False
    no_code: bool = False

    def ask(self, recipe: str) -> Asked:
        """What is asked for of a recipe. Raises UserError."""
        from winnow.experiments import ask

        asked = ask(recipe, self.overrides, self.replicates, self.only, self.lines, self.scale)
        return replace(asked, confirmed=self.yes, code=not self.no_code)

    def of_run(self) -> dict[str, Any]:
        """The same as arguments of `winnow.run`."""
        given = dict(vars(self))
        return given | {"confirm": given.pop("yes"), "code": not given.pop("no_code")}


def _options(
    *,
    o: Overrides = None,
    replicates: Replicates = None,
    only: Only = None,
    line: LineNames = None,
    scale: ScaleOption = "full",
    yes: Yes = False,
    no_code: NoCode = False,
) -> Changes:
    parts = tuple(o or ()), replicates, tuple(only or ()), tuple(line or ())
    return Changes(*parts, scale, yes, no_code)


_OPTIONS: Mapping[str, inspect.Parameter] = inspect.signature(_options, eval_str=True).parameters


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``changes`` becomes these options, for typer, which reads them from
    a signature.
    """
    own = inspect.signature(command, eval_str=True)
    listed: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        listed += _OPTIONS.values() if name == "changes" else [parameter]

    @functools.wraps(command)
    def inner(**given: Any) -> None:
        chosen = _options(**{name: given.pop(name) for name in _OPTIONS if name in given})

        def with_answer(yes: bool) -> None:
            command(**given, changes=replace(chosen, yes=yes))

        asking(with_answer, chosen.yes)

    keyword = inspect.Parameter.KEYWORD_ONLY
    shown = own.replace(parameters=[one.replace(kind=keyword) for one in listed])
    inner.__dict__["__signature__"] = shown
    inner.__annotations__ = {one.name: one.annotation for one in listed}
    return inner
