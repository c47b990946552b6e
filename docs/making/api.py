"""The public names by module, as directives that Sphinx fills from their docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable

MODULES = (
    "winnow", "winnow.criteria", "winnow.structure", "winnow.analysis", "winnow.data",
    "winnow.distributed",
)  # fmt: skip
HANDED_OUT = (
    "winnow.algorithms.attach.Attach",
    "winnow.algorithms.dynamic.loop.Dynamic",
    "winnow.coverage.Coverage",
    "winnow.coverage.LeftOut",
    "winnow.criteria.traits.Pruned",
    "winnow.deployment.deploying.PlainModule",
    "winnow.deployment.network.Input",
    "winnow.deployment.network.Network",
    "winnow.deployment.runtime.choose.BatchChoice",
    "winnow.deployment.runtime.choose.LayerChoice",
    "winnow.deployment.runtime.plan.SparseNetwork",
    "winnow.deployment.runtime.recognise.Known",
    "winnow.deployment.runtime.steps.SparseWeights",
    "winnow.experiment.arms.Arm",
    "winnow.experiments.Outcome",
    "winnow.layers.LayerWeight",
    "winnow.patterns.grains.NofM",
    "winnow.report.Curve",
    "winnow.report.Paths",
    "winnow.report.Results",
    "winnow.report.Row",
    "winnow.report.results.Finding",
    "winnow.sparsifying.Sparsified",
    "winnow.structure.coupling.UnitAxes",
)
"""What functions of these modules return or hand over, and nobody makes by hand."""


def api() -> str:
    """A section for each module, and one for what is handed out."""
    parts = [f"## {module}\n{_block(public(module))}" for module in MODULES]
    return "\n\n".join([*parts, f"## What these hand out\n{_block(HANDED_OUT)}"])


def public(module: str) -> list[str]:
    """The full names of what a module offers, functions first, without its version."""
    named = [f"{module}.{name}" for name in importlib.import_module(module).__all__]
    kept = [name for name in named if not name.endswith(".__version__")]
    return sorted(kept, key=lambda name: (_directive(name) != "autofunction", name.lower()))


def _block(names: Iterable[str]) -> str:
    return "\n".join(["```{eval-rst}", *(_entry(name) for name in names), "```"])


def _entry(name: str) -> str:
    options = {
        "autofunction": [],
        "autodata": ["   :no-value:"],
        "autoexception": [],
        "autoclass": ["   :members:", "   :special-members: __and__, __or__"],
    }
    kind = _directive(name)
    return "\n".join([f".. {kind}:: {name}", *options[kind]])


def _directive(name: str) -> str:
    module, _, own = name.rpartition(".")
    found = getattr(importlib.import_module(module), own)
    if inspect.isclass(found):
        return "autoexception" if issubclass(found, BaseException) else "autoclass"
    return "autofunction" if inspect.isfunction(found) else "autodata"
