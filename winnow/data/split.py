"""Which training images are trained on, and which are held out for validation."""

from __future__ import annotations

import torch

from winnow import rng
from winnow.errors import UserError


def split(
    n_train: int, validation: int, seed: int, train: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (training, validation), int64 and sorted, of ``n_train`` images.

    The ``validation`` ones are drawn uniformly, without replacement, from the stream
    (seed, "split"). ``train``: so many of the others, drawn in the same way (None: all of them);
    a smaller number takes a part of what a larger one takes. Raises UserError unless
    0 <= validation < n_train and 1 <= train <= n_train - validation.
    """
    if not 0 <= validation < n_train:
        raise UserError(
            f"validation={validation} must be at least 0 and less than the number of training "
            f"images, {n_train}"
        )
    left = n_train - validation
    if train is not None and not 1 <= train <= left:
        raise UserError(
            f"train={train} must be at least 1 and at most the number of training images that are "
            f"not held out, {left}"
        )
    order = torch.from_numpy(rng.stream(seed, "split").permutation(n_train))
    end = n_train if train is None else validation + train
    return order[validation:end].sort().values, order[:validation].sort().values
