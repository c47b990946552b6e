"""The validation set: a random part of the training images."""

from __future__ import annotations

import torch

from winnow import rng
from winnow.errors import UserError


def split(n_train: int, validation: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (training, validation), int64 and sorted, of ``n_train`` images.

    The ``validation`` ones are drawn uniformly, without replacement, from the stream
    (seed, "split"). Raises UserError unless 0 <= validation < n_train.
    """
    if not 0 <= validation < n_train:
        raise UserError(
            f"validation={validation} must be at least 0 and less than the number of training "
            f"images, {n_train}"
        )
    order = torch.from_numpy(rng.stream(seed, "split").permutation(n_train))
    return order[validation:].sort().values, order[:validation].sort().values
