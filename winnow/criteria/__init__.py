"""Criteria by name. Adding one takes a function of a ``Subject`` and a line in this table.

``docs/add-a-criterion.md`` shows it.
"""

from __future__ import annotations

from winnow.criteria import own
from winnow.criteria.base import Criterion, Subject
from winnow.criteria.data_dependent import data_dependent
from winnow.criteria.grasp import grasp
from winnow.criteria.magnitude import magnitude
from winnow.criteria.mlprune import mlprune
from winnow.criteria.obd import obd
from winnow.criteria.random import random
from winnow.criteria.snip import snip
from winnow.criteria.sparsegpt import sparsegpt
from winnow.criteria.synflow import synflow
from winnow.criteria.traits import Traits, traits, traits_of
from winnow.criteria.wanda import wanda
from winnow.errors import unknown

CRITERIA: dict[str, Criterion] = {
    "magnitude": magnitude,
    "random": random,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
    "data-dependent": data_dependent,
    "obd": obd,
    "mlprune": mlprune,
    "wanda": wanda,
    "sparsegpt": sparsegpt,
}
"""The built-in criteria: name -> function."""

__all__ = [
    "CRITERIA",
    "Criterion",
    "Subject",
    "Traits",
    "get_criterion",
    "source_of",
    "traits",
    "traits_of",
]


def get_criterion(name: str) -> Criterion:
    """The criterion of this name, or of ``module:function`` (see ``own.load_own``).

    UserError with the nearest name if there is none.
    """
    if own.is_own(name):
        return own.load_own(name)
    if name not in CRITERIA:
        raise unknown("criterion", name, CRITERIA, f"Criteria are {', '.join(CRITERIA)}")
    return CRITERIA[name]


def source_of(name: str) -> str | None:
    """What tells versions of a criterion outside Winnow apart; None for those in the table."""
    return own.source_hash(name) if own.is_own(name) else None
