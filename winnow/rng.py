"""Named seeds and the counter-based generator: every random number of a run comes from here.

A stream is named by a seed and a path of names, e.g. ``(seed, "order", epoch)``. What it gives
depends on that name alone, never on how many numbers something else has drawn. That makes
rewinding, resuming, "same ticket, other order" and the agreement of backends exact.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_key(seed: int, *names: str | int) -> int:
    """The 128-bit key of a stream: a hash of the seed and its names; equal on every machine."""
    text = "/".join([str(int(seed)), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator (Philox, counter-based) at the start of the named stream."""
    return np.random.Generator(np.random.Philox(key=stream_key(seed, *names)))


def torch_seed(seed: int, *names: str | int) -> int:
    """The named stream as a seed for torch: 63 bits."""
    return stream_key(seed, *names) >> 65


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU torch generator at the start of the named stream."""
    import torch

    return torch.Generator().manual_seed(torch_seed(seed, *names))
