"""Controls of a ticket's starting weights: noise added to them, or others drawn from their own.

What is changed are the weights under the mask, as the run would start with them; biases, batch norm
and layers that are never pruned stay. Each tensor draws from a stream of its own, named by the
run's seed of initial weights and the draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from winnow import rng
from winnow.experiment.runs import Run
from winnow.experiment.train.job import initial_network
from winnow.models.initialise import standard_deviation
from winnow.models.own import OWN_INIT
from winnow.state import State

_Change = Callable[[Tensor, str, torch.Size, torch.Generator], Tensor]
"""The kept weights of a tensor (1-d, row-major), its name and shape, where to draw from → other
ones."""


def disturbed(run: Run, state: State) -> State:
    """The masked state, with the change of weights that the run's start names, if any.

    ``noise``: Gaussian, of so many standard deviations of the distribution of the layer's initial
    weights (of ``init: own``, which has no formula, those of the seed's weights); levels of one
    draw differ in scale alone. ``redrawn``: the weights that survive, drawn anew from themselves
    with replacement (``survivors``, D_m of Frankle & Carbin 2019, figure 17), or in another order
    (``permuted``).
    """
    start = run.start
    if start.noise is not None:
        return _changed(run, state, "noise", _noisy(run, start.noise))
    if start.redrawn is not None:
        return _changed(run, state, start.redrawn, _REDRAWN[start.redrawn])
    return state


def _changed(run: Run, state: State, name: str, change: _Change) -> State:
    assert state.mask is not None, "only tickets are disturbed"
    weights = dict(state.weights)
    for tensor, keep in state.mask.items():
        generator = rng.torch_generator(run.seeds["init"], name, run.start.draw, tensor)
        new = weights[tensor].clone()
        new[keep] = change(new[keep], tensor, new.shape, generator)
        weights[tensor] = new
    return replace(state, weights=weights)


def _noisy(run: Run, level: float) -> _Change:
    init = run.model.init
    initial = dict(initial_network(run).named_parameters()) if init.name == OWN_INIT else {}

    def add(values: Tensor, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if name in initial:
            deviation = float(initial[name].detach().std(correction=0))
        else:
            deviation = standard_deviation(shape, init.name, std=init.std, kept=init.kept)
        return values + level * deviation * torch.randn(values.shape, generator=generator)

    return add


def _survivors(values: Tensor, _: str, __: torch.Size, generator: torch.Generator) -> Tensor:
    if not len(values):  # a layer that has collapsed
        return values
    return values[torch.randint(len(values), values.shape, generator=generator)]


def _permuted(values: Tensor, _: str, __: torch.Size, generator: torch.Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)]


_REDRAWN: dict[str, _Change] = {"survivors": _survivors, "permuted": _permuted}
