"""Criteria by name. Adding one takes a function of a ``Subject`` and a line in this table."""

from __future__ import annotations

from winnow.criteria.base import Criterion, Subject
from winnow.criteria.data_dependent import data_dependent
from winnow.criteria.grasp import grasp
from winnow.criteria.magnitude import magnitude
from winnow.criteria.mlprune import mlprune
from winnow.criteria.obd import obd
from winnow.criteria.random import random
from winnow.criteria.snip import snip
from winnow.criteria.synflow import synflow
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
}

__all__ = ["CRITERIA", "Criterion", "Subject", "get"]


def get(name: str) -> Criterion:
    """The criterion of this name; UserError with the nearest name if there is none."""
    if name not in CRITERIA:
        raise unknown("criterion", name, CRITERIA, f"Criteria are {', '.join(CRITERIA)}")
    return CRITERIA[name]
