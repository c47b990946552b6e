"""What a mask search is, as a value: how scores decide the mask over frozen weights.

`winnow.engine.search` computes with it, `winnow.algorithms.search` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rule = Literal["top-k", "bernoulli"]
Statistics = Literal["updated", "fixed"]

SCORES = "scores"
"""The kind of ``State.extras`` that holds the scores: weight name → tensor of its shape."""


@dataclass(frozen=True)
class Search:
    """How scores decide a mask over the weights ``names``; everything else is frozen as well.

    ``rule``: "top-k" keeps the ``keep[name]`` largest scores of each layer (largest |score| if
    ``absolute``), exactly, in every step; of equal ones the lower index. "bernoulli" keeps each
    weight with probability σ(score), drawn anew in every step from the stream (``seed``,
    "supermask", step, name); ``rescale``: a layer's kept weights are multiplied by its number of
    weights over the number kept. Outside training its mask is one more draw, (``seed``,
    "supermask", "final", name), or the ``keep[name]`` largest scores where ``keep`` is given.

    ``statistics`` of batch normalisation: "updated" as in training, or "fixed": it normalises
    by the running ones, which stay.
    """

    rule: Rule
    names: tuple[str, ...]
    keep: Mapping[str, int] | None = None
    absolute: bool = False
    rescale: bool = False
    statistics: Statistics = "updated"
    seed: int = 0
