"""The one stored run with a mask that a name means: of a run, a folder, or a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.experiment.expected import ExpectedPoint, Experiment
    from winnow.experiment.store.store import Found, Store

_SHOWN = 20


def masked_run(place: Store, name: str) -> Found:
    """A run with a mask: by its folder anywhere, by its name or hash as ``winnow show`` takes it,
    or by its recipe, where that has only one.

    Raises UserError, which lists those that the name could mean; or the run is dense or damaged.
    """
    from winnow.cli.store import one_run, runs_named
    from winnow.experiment.recipe.load import is_recipe
    from winnow.experiment.store.store import read_found

    if (Path(name) / "run.json").is_file():
        try:
            return _checked(read_found(Path(name), None))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{name} is no folder of a stored run: {error}") from None
    found = runs_named(place, name)
    if len(found) > 1:
        found = [one for one in found if one.run.keep is not None] or found
    elif not found and is_recipe(name):
        found = list(_of_recipe(place, name))
        if not found:
            raise UserError(
                f"no run of {name} that has a mask is finished in {place.path}: "
                f"winnow run {name} trains them"
            )
    if len(found) > 1:
        raise UserError("\n".join(_listed(place, name, found)))
    return _checked(found[0] if found else one_run(place, name))


def _checked(found: Found) -> Found:
    if found.run.keep is None:
        raise UserError(
            f"{found.folder.name} has no mask: it is a dense network. `winnow ls` lists all runs: "
            "those with a mask have the number of their weights in place of dense"
        )
    return found


def _of_recipe(place: Store, name: str) -> Iterator[Found]:
    """The finished runs with a mask of all that was run of a recipe."""
    from winnow.experiment.recipe.names import called
    from winnow.experiment.store.experiments import stored_experiments

    names = dict.fromkeys([name, called(name).recipe])
    stored = [one for each in names for one in stored_experiments(place, each)]
    points = {point.run for one in stored for point in one.points}
    runs = {run.id: run.folder for one in stored for run in one.runs if run.id in points}
    for identity, folder in runs.items():
        found = place.find_named(folder, identity)
        if found is not None and found.run.keep is not None:
            yield found


def _listed(place: Store, name: str, found: list[Found]) -> Iterable[str]:
    from winnow.experiment.store.experiments import points_of_runs

    points = points_of_runs(place, [one.run.id for one in found])
    told = [(points.get(one.run.id), one) for one in found]
    told.sort(key=lambda pair: _order(pair[0]))
    yield f"{name} could be any of {len(found)} runs with a mask. Name one by its folder or hash:"
    for place_of, one in told[:_SHOWN]:
        yield f"  {one.folder.name}  {_place(place_of, one)}"
    if len(told) > _SHOWN:
        yield f"  and {len(told) - _SHOWN} more: winnow ls --store {place.path}"


def _order(place: tuple[Experiment, ExpectedPoint] | None) -> tuple[object, ...]:
    if place is None:
        return (1,)
    experiment, point = place
    arms = [arm.name for arm in experiment.arms].index(point.arm)
    density = -point.density_total
    return (0, experiment.name, point.line, arms, density, point.replicate, point.draw)


def _place(place: tuple[Experiment, ExpectedPoint] | None, found: Found) -> str:
    if place is None:
        keep = found.run.keep
        count = keep if isinstance(keep, int) else sum((keep or {}).values())
        return f"{count:,} weights kept"
    experiment, point = place
    line = [f"line {point.line}"] if point.line else []
    draw = [f"draw {point.draw}"] if point.draw else []
    density = f"density {100 * point.density_total:.3g} %"
    return ", ".join(
        [experiment.name, *line, point.arm, density, f"replicate {point.replicate}", *draw]
    )
