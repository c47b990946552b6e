"""What a trainer's callback is asked for, as a value: a mask, a criterion or a dynamic method."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from winnow.algorithms.at_init import Densities, prune_at_init
from winnow.algorithms.attach import Attach
from winnow.algorithms.dynamic import make_dynamic
from winnow.allocation import check_density
from winnow.amounts import checked_steps
from winnow.criteria import get_criterion
from winnow.criteria.base import Criterion
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.patterns.grains import parse_pattern
from winnow.scoring import check_options
from winnow.selection import Params
from winnow.ticket import WEIGHTS, Ticket, load

GivenMask = Mask | Ticket | Attach
PRUNING = {
    name
    for name, parameter in inspect.signature(prune_at_init).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
} - {"density", "batch", "loader", "loss_fn", "forward", "params", "ignore", "seed", "on_round"}
"""The options of ``wn.prune_at_init`` that are no criterion's and no trainer's."""


@dataclass(frozen=True)
class Wanted:
    """The arguments of a ``SparseCallback``, checked: see ``SparseTraining``.

    ``restored``: nothing but what a checkpoint carries.
    """

    given: GivenMask | None = None
    criterion: str | Criterion | None = None
    method: str | None = None
    density: Densities | None = None
    params: Params | None = None
    ignore: Any = None
    weights: str = "rewind"
    batches: int = 1
    steps: str | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    restored: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.restored is not None:
            return
        _check_one(self)
        if self.weights not in WEIGHTS:
            raise unknown(
                "weights", str(self.weights), WEIGHTS, f"Choose from {', '.join(WEIGHTS)}"
            )
        if isinstance(self.batches, bool) or not isinstance(self.batches, int) or self.batches < 1:
            raise UserError(f"batches is {self.batches!r}: give how many are scored, 1 or more")
        _check_steps(self)
        if self.method is not None:
            make_dynamic(self.method, self.number, **self.options)
        elif self.criterion is not None:
            _check_criterion(self)
        elif self.options:
            raise UserError(
                f"{', '.join(map(repr, self.options))} is no option of a mask that is given: "
                "options are those of a criterion= or a method="
            )

    @property
    def number(self) -> float:
        """The density of a dynamic method, or that of its pattern. UserError if it is no number."""
        if isinstance(self.density, Mapping):
            raise UserError(f"method={self.method!r} takes one density for all, e.g. density=0.1")
        if self.density is None:
            return parse_pattern(self.options["pattern"]).density
        return check_density(self.density)

    def told(self) -> dict[str, Any]:
        """What it asks for as plain JSON values, for a checkpoint to carry and to compare."""
        if self.restored is not None:
            return dict(self.restored)
        if isinstance(self.given, Mask):
            return {"mask": str(hash(self.given))}
        if isinstance(self.given, Ticket):
            return {"mask": str(hash(self.given.mask))}
        if self.given is not None:
            return {"round": self.given.round}
        name = "method" if self.method is not None else "criterion"
        options = {key: _plain(value) for key, value in sorted(self.options.items())}
        density = _plain(self.density)
        value = self.method or _name(self.criterion)
        return {name: value, "density": density, "seed": self.seed, "options": options}


def asked_for(mask: Any = None, **arguments: Any) -> Wanted:
    """The arguments of a callback, checked. UserError for what cannot be, at once."""
    return Wanted(given=_given(mask), **arguments)


def again(told: Mapping[str, Any]) -> Wanted:
    """What a checkpoint tells of; its mask is the checkpoint's."""
    if "method" not in told:
        return Wanted(restored=dict(told))
    return Wanted(
        method=told["method"],
        density=told["density"],
        seed=told["seed"],
        options=told["options"],
    )


def loaded(path: str | os.PathLike[str]) -> Mask | Ticket:
    """The ticket or the mask of a file. UserError when it holds neither."""
    try:
        return load(path)
    except UserError as error:
        try:
            return Mask.load(path)
        except ValueError:
            raise error from None


def _given(mask: Any) -> GivenMask | None:
    if isinstance(mask, str | os.PathLike):
        return loaded(mask)
    if mask is None or isinstance(mask, Mask | Ticket | Attach):
        return mask
    if isinstance(mask, Mapping):
        return Mask(mask)
    raise UserError(
        f"the mask is a {type(mask).__name__}: give a Mask, a Ticket, the path of one, the attach "
        "of wn.imp's training loop, or criterion= or method="
    )


def _check_one(wanted: Wanted) -> None:
    named = {"a mask": wanted.given, "criterion=": wanted.criterion, "method=": wanted.method}
    given = [name for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise UserError(
            f"got {' and '.join(given) or 'nothing to hold'}: give a mask (or a ticket), or "
            "criterion= to prune before the first step, or method= for a mask that changes"
        )
    if wanted.given is None and wanted.density is None and "pattern" not in wanted.options:
        name = wanted.method or _name(wanted.criterion)
        what = f"{'criterion' if wanted.criterion else 'method'}={name!r}"
        raise UserError(
            f"{what} needs density=, the fraction that is kept, e.g. density=0.1, or pattern='2:4'"
        )
    if wanted.given is not None and wanted.density is not None:
        raise UserError(f"density={wanted.density!r} with a mask: what a mask keeps is its own")


def _check_steps(wanted: Wanted) -> None:
    if wanted.steps is None:
        return
    if wanted.method is None:
        raise UserError(f"steps={wanted.steps!r} is of method=: a mask that stays has no schedule")
    try:
        checked_steps(wanted.steps)
    except UserError as error:
        raise UserError(f"steps {error}") from None


def _check_criterion(wanted: Wanted) -> None:
    criterion = wanted.criterion
    function = get_criterion(criterion) if isinstance(criterion, str) else criterion
    own = {key: value for key, value in wanted.options.items() if key not in PRUNING}
    density = wanted.density
    for one in density.values() if isinstance(density, Mapping) else [density]:
        if one is not None:
            check_density(one)
    check_options(function, _name(criterion), own)  # type: ignore[arg-type]


def _name(criterion: str | Criterion | None) -> str:
    if isinstance(criterion, str):
        return criterion
    return getattr(criterion, "__name__", type(criterion).__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float) else repr(value)
