"""The order of the training images: which images make the batch of any step."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from winnow import rng
from winnow.errors import UserError

Last = Literal["keep", "drop"]  # what becomes of an epoch's last batch when it is not full


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation (n,) of epoch ``epoch`` (from 0): the stream (seed, "order", epoch)."""
    return rng.stream(seed, "order", epoch).permutation(n).astype(np.int64, copy=False)


def steps_per_epoch(n: int, batch: int, last: Last) -> int:
    """Batches of ``batch`` in ``n`` images; UserError when a value is wrong or there are none."""
    if last not in ("keep", "drop"):
        raise UserError(f"last={last!r} must be 'keep' or 'drop'")
    if batch < 1 or n < 1:
        raise UserError(f"batch={batch} and the number of images, {n}, must be at least 1")
    steps = -(-n // batch) if last == "keep" else n // batch
    if steps == 0:
        raise UserError(
            f"batch={batch} is larger than the number of images, {n}, and last='drop' leaves no "
            f"batch; take batch <= {n} or last='keep'"
        )
    return steps


class Batches:
    """The batch of any step at once; each epoch is a new permutation, cut into batches."""

    def __init__(self, n: int, batch: int, last: Last, seed: int) -> None:
        """``n`` images in batches of ``batch``; the errors are those of ``steps_per_epoch``."""
        self.n = n
        self.batch = batch
        self.steps_per_epoch = steps_per_epoch(n, batch, last)
        self.seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def indices(self, step: int) -> NDArray[np.int64]:
        """The images of step ``step`` (from 0), a read-only array of at most ``batch``."""
        if step < 0:
            raise UserError(f"step={step} must be at least 0")
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = epoch_order(self.n, self.seed, epoch)
            self._order.flags.writeable = False
            self._epoch = epoch
        return self._order[position * self.batch : (position + 1) * self.batch]
