"""Mask search as a reparametrisation: scores train, weights are frozen, and the network computes
with weights times the mask that the scores decide.

With effective weights e = w ⊙ m(s), the straight-through estimator takes ∂m/∂s for 1, so that
∂L/∂s = ∂L/∂e ⊙ w, in removed places too. Ramanujan et al. 2020, "What's Hidden in a Randomly
Weighted Neural Network?", equations 3 to 5; Zhang et al. 2021, "Lottery Jackpots Exist in
Pre-trained Models", equations 4 to 6. Bernoulli masks are Zhou et al. 2019, "Deconstructing Lottery
Tickets", section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from winnow import rng
from winnow.mask import Mask
from winnow.reparametrisation import SCORES, Search
from winnow.state import State, Tensors
from winnow.topk import largest


def kept_by_scores(search: Search, name: str, score: Tensor, step: int | None) -> Tensor:
    """The mask (bool) of one weight in training step ``step``; None: outside training."""
    if search.rule == "top-k" or (step is None and search.keep is not None):
        assert search.keep is not None
        return largest(score.abs() if search.absolute else score, search.keep[name])
    when = "final" if step is None else step
    generator = rng.torch_generator(search.seed, "supermask", when, name)
    uniform = torch.rand(score.shape, generator=generator).to(score.device)
    return uniform < torch.sigmoid(score)


def factor(keep: Tensor) -> float:
    """Zhou et al.'s dynamic rescaling: the size of a layer over the number of ones in its mask."""
    return keep.numel() / max(int(keep.count_nonzero()), 1)


def mask_of(search: Search, scores: Tensors) -> Mask:
    """The mask that scores stand for."""
    return Mask({name: kept_by_scores(search, name, scores[name], None) for name in search.names})


def found_network(search: Search, state: State) -> State:
    """What a search has found, as a network to evaluate, prune or train: its mask, and the frozen
    weights that it keeps (rescaled where the search rescales). The optimizer is fresh.
    """
    mask = mask_of(search, state.extras[SCORES])
    weights = dict(state.weights)
    for name in mask:
        keep = mask[name]
        scale = factor(keep) if search.rescale else 1.0
        weights[name] = torch.where(keep, weights[name] * scale, 0.0)
    extras = {kind: tensors for kind, tensors in state.extras.items() if kind != SCORES}
    return replace(state, weights=weights, mask=mask, slots={}, updates=0, extras=extras)


class Searched:
    """A network in search: its own parameters hold the effective weights."""

    def __init__(self, model: nn.Module, search: Search, scores: Tensors) -> None:
        """``model`` holds the frozen weights; no gradient but those of the effective weights."""
        self.model, self.search = model, search
        named = dict(model.named_parameters())
        for parameter in named.values():
            parameter.requires_grad_(False)
        self.effective = {name: named[name].requires_grad_() for name in search.names}
        self.weights = {name: p.detach().clone() for name, p in self.effective.items()}
        self.scores = {name: _placed(scores[name], p) for name, p in self.effective.items()}
        self._scales: dict[str, float] = {}

    def train(self) -> None:
        """Training mode, but for batch normalisation whose statistics are fixed."""
        self.model.train()
        if self.search.statistics == "fixed":
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    @torch.no_grad()
    def apply(self, step: int | None) -> None:
        """Put the effective weights of a training step (None: of evaluation) in place."""
        for name, weight in self.effective.items():
            keep = kept_by_scores(self.search, name, self.scores[name], step)
            torch.mul(self.weights[name], keep.to(weight.dtype), out=weight)
            if self.search.rescale:
                self._scales[name] = factor(keep)
                weight.mul_(self._scales[name])

    @torch.no_grad()
    def chain(self, gradients: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """From the gradients by the effective weights of `apply`, in their order, the scores'."""
        return tuple(map(self._by_score, self.effective, gradients))

    def _by_score(self, name: str, gradient: Tensor) -> Tensor:
        score, scale = self.scores[name], self._scales.get(name)
        result = gradient * self.weights[name]
        if scale is not None:  # e = w m n / Σm: through the sum as well, as in the authors' code
            through_sum = torch.sum(gradient * self.effective[name]) * (scale / gradient.numel())
            result.mul_(scale).sub_(through_sum)
        result = result.to(score.dtype)
        if self.search.rule == "bernoulli":
            probability = torch.sigmoid(score)
            result.mul_(probability * (1 - probability))
        elif self.search.absolute:
            result.mul_(score.sign())
        return result

    @torch.no_grad()
    def restore(self) -> None:
        """Put the frozen weights back, bit by bit."""
        for name, weight in self.effective.items():
            weight.copy_(self.weights[name])


def _placed(score: Tensor, like: Tensor) -> nn.Parameter:
    """A score to train: float32 at least, on the device and in the layout of its weight."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    values = torch.empty_like(like, dtype=dtype, requires_grad=False)
    return nn.Parameter(values.copy_(score))
