"""One digest over all that a file of tensors holds.

It finds damage: a bit that has flipped, a part that is cut off. It proves no author. This file
imports nothing of the project, so that `winnow.mask` can use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def canonical_json(value: Any) -> str:
    """JSON as ASCII without spaces, keys in the order in which they stand (layers are in order).

    Equal for a value and for what is read back from it, as keys become text first. Raises
    ValueError or TypeError for what JSON cannot hold (NaN, objects).
    """
    plain = json.loads(json.dumps(value, allow_nan=False))
    return json.dumps(plain, separators=(",", ":"), allow_nan=False)


def digest_of(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over metadata and names, dtypes, shapes and bytes of contiguous tensors.

    In the order of the names, as files have another order than mappings. What is hashed is one
    line of canonical JSON, which says how many bytes follow, and these bytes. Raises ValueError
    or TypeError for metadata that JSON cannot hold.
    """
    names = sorted(tensors)
    told = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(canonical_json([dict(about), told]).encode("ascii") + b"\n")
    for name in names:
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
