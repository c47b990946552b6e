"""A network as a function of many sets of weights at once, through torch.func."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from winnow.engine.dropout import Dropouts

Stacked = Mapping[str, Tensor]
"""Parameter or buffer → its values for all rows (R, …)."""


class Batched:
    """The structure of a network; its weights, buffers and images come with each call, by row.

    Buffers change in place, as they do in a module: batch norm writes each row's own running
    statistics.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        """``shape``: of one image. The model is taken over."""
        self.shape = shape
        self.dropouts = Dropouts(model, shape)
        self.model = model.to("meta")

    def losses(
        self, weights: Stacked, buffers: Stacked, x: Tensor, y: Tensor, drops: Sequence[Tensor]
    ) -> Tensor:
        """Each row's mean cross-entropy (R,) in training mode: x (R, B, C, H, W), y (R, B).

        ``drops``: the factors of each call of dropout, (R, …).
        """
        self.model.train()

        def one(
            weights: Stacked, buffers: Stacked, x: Tensor, y: Tensor, drops: Sequence[Tensor]
        ) -> Tensor:
            self.dropouts.give(drops)
            return F.cross_entropy(functional_call(self.model, {**weights, **buffers}, (x,)), y)

        losses: Tensor = vmap(one)(weights, buffers, x, y, drops)
        return losses

    @torch.no_grad()
    def logits(self, weights: Stacked, buffers: Stacked, x: Tensor) -> Tensor:
        """Each row's logits (R, B, classes) in evaluation mode."""
        self.model.eval()

        def one(weights: Stacked, buffers: Stacked, x: Tensor) -> Tensor:
            logits: Tensor = functional_call(self.model, {**weights, **buffers}, (x,))
            return logits

        logits: Tensor = vmap(one)(weights, buffers, x)
        return logits

    def rehearse(self, batch: int) -> None:
        """One pass of two rows in shapes alone: raises what torch.func cannot do."""
        weights, buffers = (
            {n: torch.stack([t.detach()] * 2) for n, t in named}
            for named in (self.model.named_parameters(), self.model.named_buffers())
        )
        drops = self.dropouts.draw(0, batch, torch.device("meta"))
        x = torch.empty((2, batch, *self.shape), device="meta")
        y = torch.empty((2, batch), dtype=torch.int64, device="meta")
        self.losses(weights, buffers, x, y, [torch.stack([d] * 2) for d in drops])
