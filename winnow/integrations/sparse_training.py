"""What the callbacks of all trainers share: their arguments, and the life of a sparse training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

from torch import nn

from winnow.algorithms.at_init import Densities
from winnow.algorithms.attach import Attach
from winnow.criteria.base import Criterion
from winnow.errors import UserError
from winnow.integrations.beginning import Beginning, held
from winnow.integrations.carried import Carried
from winnow.integrations.holding import Changing, Holding, is_held, zero_removed
from winnow.integrations.wanted import Wanted, asked_for
from winnow.mask import Mask
from winnow.selection import Params
from winnow.ticket import Ticket


class SparseTraining:
    """Arguments of every ``SparseCallback``.

    Give one of three:

    - ``mask``: a `Mask`, a `Ticket`, the path of either, or the ``attach`` of ``wn.imp``'s training
      loop. A ticket's weights are loaded before the first step: ``weights`` is "rewind", "final" or
      "none" (train the weights that the model has). A mask made for a part of the model (a network
      inside the module that trains it) is found its beginning.
    - ``criterion`` and ``density``: pruning before the first step, by the model's own loss on the
      first ``batches`` of the training data. ``options``: those of ``wn.prune_at_init`` (``scope``,
      ``rounds``, ``least``, …, and ``pattern`` in place of a density) and of the criterion.
    - ``method`` and ``density``: a mask that changes: gradual, set, deep-r, dsr, snfs or rigl.
      ``options``: those of the method, as in ``wn.dynamic``. ``steps``: the length of the training,
      "30000it"; default what the trainer plans.

    ``params``, ``ignore``: what competes, as in ``wn.prune_at_init`` and ``wn.dynamic``. ``seed``:
    of what is drawn. ``mask`` (a property): the mask now, or that of the last training.

    Raises UserError at once for what cannot be, and when the training begins for what does not fit
    it.
    """

    def __init__(
        self,
        mask: Mask | Ticket | Attach | str | os.PathLike[str] | None = None,
        *,
        criterion: str | Criterion | None = None,
        method: str | None = None,
        density: Densities | None = None,
        params: Params | None = None,
        ignore: str | Iterable[str] | None = None,
        weights: str = "rewind",
        batches: int = 1,
        steps: str | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self._adopt(
            asked_for(
                mask, criterion=criterion, method=method, density=density, params=params,
                ignore=ignore, weights=weights, batches=batches, steps=steps, seed=seed,
                options=options,
            )
        )  # fmt: skip

    @property
    def mask(self) -> Mask | None:
        """The mask now, that of the last training, or None before any."""
        if self._holding is not None:
            return self._holding.mask
        return None if self._last is None else self._last.mask

    def _adopt(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._holding: Holding | None = None
        self._last: Carried | None = None
        self._per_epoch: int | None = None
        self._global_step = 0

    def close(self) -> None:
        """Remove the hooks: for a training that failed. One that ends does it itself."""
        if self._holding is not None:
            self._last = self._carried()
            self._holding.close()
            self._holding = None

    def _begin(self, at: Beginning, carried: Carried | None = None) -> None:
        """Hold the model from here on. ``carried``: by its checkpoint, if it is resumed."""
        self.close()
        if any(is_held(optimizer) for optimizer in at.optimizers):
            raise UserError(
                "this trainer has two SparseCallbacks: give it one, with the mask of all weights "
                "(masks of several parts are one: wn.Mask({**one, **other}))"
            )
        if carried is not None:
            carried.check_same(self._wanted.told())
        self._per_epoch = at.per_epoch if carried is None else carried.per_epoch
        self._holding = held(self._wanted, at, carried)

    def _carried(self) -> Carried | None:
        """What a checkpoint is to carry; None if there is nothing yet."""
        holding = self._holding
        if holding is None:
            return self._last
        planned = holding.planned if isinstance(holding, Changing) else None
        return Carried(
            self._wanted.told(), holding.mask, holding.made, self._global_step, planned,
            self._per_epoch, **holding.memory(),
        )  # fmt: skip

    def _finish(self) -> None:
        """The training is over: keep its mask, tell what it did not reach, remove the hooks."""
        holding = self._holding
        self.close()
        if isinstance(holding, Changing) and holding.short_of is not None:
            warnings.warn(
                f"the training ended after {holding.made} steps, before {self._wanted.method} had "
                f"reached its density {holding.short_of:g}: {holding.mask.density:.4g} is left. "
                "Train for as long as planned, or give end=, e.g. end='1000it'",
                stacklevel=3,
            )

    def _check_zeros(self, model: nn.Module) -> None:
        """After a training: what others wrote over the zeros (averages of weights) is zeroed."""
        if self._last is None:
            return
        if revived := zero_removed(model, self._last.mask):
            warnings.warn(
                f"{revived} removed weights were not zero after the training and have been set to "
                "zero: something wrote to the weights beside the optimizer, e.g. averages of "
                "weights (EMA, SWA) under a mask that changed. Test the network again",
                stacklevel=3,
            )
