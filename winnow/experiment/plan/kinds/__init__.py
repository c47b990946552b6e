"""The kinds of methods that recipes compare, a file for each.

`kind` has the protocol: what a comparison asks of a kind, and of a method of that kind once it is
planned. A new kind is a file here, a line in `METHOD_KINDS` and a word in the catalogue's
`KindName`; nothing else asks what kind a method is.
"""

from __future__ import annotations

from collections.abc import Mapping

from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.experiment.plan.kinds.at_init import AtInitKind
from winnow.experiment.plan.kinds.dynamic import DynamicKind
from winnow.experiment.plan.kinds.kind import MethodKind
from winnow.experiment.plan.kinds.search import SearchKind
from winnow.experiment.plan.kinds.trained import FINE_TUNED, ITERATIVE, PRUNED_ONCE

_ALL: tuple[MethodKind, ...] = (
    AtInitKind(),
    FINE_TUNED,
    ITERATIVE,
    PRUNED_ONCE,
    DynamicKind(),
    SearchKind(),
)

METHOD_KINDS: Mapping[KindName, MethodKind] = {kind.name: kind for kind in _ALL}


def cost_of_method(entry: CatalogueEntry) -> str:
    """What one density of a method costs."""
    cost = METHOD_KINDS[entry.kind].cost
    return f"{cost}, {entry.extra_cost}" if entry.extra_cost else cost


def text_of_method(entry: CatalogueEntry) -> str:
    """Formula, source and departures of a method, as its code says, and what comparisons add."""
    return "\n\n".join(text for text in (entry.text, METHOD_KINDS[entry.kind].text(entry)) if text)


def options_of_method(entry: CatalogueEntry) -> dict[str, object]:
    """Every option of a method → its default in a comparison."""
    return METHOD_KINDS[entry.kind].options(entry)
