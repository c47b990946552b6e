"""How a mask spreads what it keeps over the layers.

Where layers are pruned together, those that matter less keep less: Frankle & Carbin 2019, section 4
(VGG-19, ResNet-18), and the papers on pruning at initialisation look at these numbers. A layer that
keeps nothing has collapsed: no signal passes it (Tanaka et al. 2020, SynFlow).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from winnow.mask import Mask


@dataclass(frozen=True)
class LayerDensity:
    """Of one layer: ``density``, the kept fraction of its weights; ``kept``, how many; ``ratio``,
    its density over that of the whole mask, nan where the mask keeps nothing at all.
    """

    density: float
    kept: int
    ratio: float


def layer_densities(mask: Mask) -> dict[str, LayerDensity]:
    """Name → density of that layer, in the order of the mask."""
    whole, kept = mask.density, mask.kept_per_layer
    return {
        name: LayerDensity(density, kept[name], density / whole if whole else math.nan)
        for name, density in mask.densities.items()
    }


def collapsed_layers(mask: Mask) -> list[str]:
    """Names of the layers that keep nothing, in the order of the mask."""
    return [name for name, kept in mask.kept_per_layer.items() if kept == 0]
