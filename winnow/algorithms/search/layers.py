"""How many weights each layer keeps in a mask search, where scores never compete across layers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from winnow.allocation import keep_for_density
from winnow.errors import UserError, unknown
from winnow.pruning import pruned

RATES = ("magnitude", "layer", "uniform", "er", "erk")


def check_rates(rates: str) -> None:
    """UserError unless there are such layer rates."""
    if rates not in RATES:
        raise unknown("layer rates:", str(rates), RATES, f"They are {', '.join(RATES)}")


def scope_of(rates: str) -> str:
    """The scope of ``wn.prune`` that shares weights out over layers as these rates do."""
    return "global" if rates == "magnitude" else rates


def counts_of(weights: Mapping[str, Tensor], density: float, rates: str) -> dict[str, int]:
    """Name → how many of its weights stay.

    ``rates``: "magnitude", what one threshold on |w| over all layers would keep of each, in total
    exactly round(density · N), as the lottery jackpots' code does by default; "layer", exactly
    round(density · n) of each; "uniform", "er" and "erk" as in ``wn.prune``. UserError when nothing
    would be left.
    """
    if rates == "magnitude":
        sizes = {name: weight.detach().abs() for name, weight in weights.items()}
        counts = pruned(sizes, density=density).kept_per_layer
    else:
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        alive = {name: weight.numel() for name, weight in weights.items()}
        shared = keep_for_density(shapes, alive, density, rates)
        assert isinstance(shared, dict)
        counts = shared
    if not any(counts.values()):
        whole = sum(weight.numel() for weight in weights.values())
        raise UserError(f"density {density:g} keeps none of {whole} weights: give a larger one")
    return counts
