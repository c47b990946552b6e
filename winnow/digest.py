"""One digest over all that a file holds: tensors and their metadata, or JSON.

It finds damage: a bit that has flipped, a part that is cut off. It proves no author. This file
imports nothing of the project, so that `winnow.mask` can use it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = "digest"
"""The key of a JSON file under which its digest stands, the last one."""


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
    import torch  # here, as reports read JSON files alone

    names = sorted(tensors)
    told = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(canonical_json([dict(about), told]).encode("ascii") + b"\n")
    for name in names:
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_json(text: str | bytes) -> Any:
    """What a JSON text says. ValueError for all that is none: NaN and numbers that are too large
    (1e999) as well, a key that stands twice, and what is nested too deeply.
    """
    try:
        return json.loads(
            text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once_each
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def sealed_json(plain: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    """A mapping as a JSON file with a digest over every byte, for `unsealed_json`.

    SHA-256, in hex, of the file without the digest's digits. Raises ValueError or TypeError for
    what JSON cannot hold.
    """
    if DIGEST in plain or not plain:
        raise ValueError(f"a sealed mapping has other keys than {DIGEST!r}, and is not empty")
    body = json.dumps(plain, indent=1, sort_keys=sort_keys, allow_nan=False).removesuffix("\n}")
    begin, end = f'{body},\n "{DIGEST}": "', '"\n}\n'
    return begin + hashlib.sha256((begin + end).encode()).hexdigest() + end


def unsealed_json(data: bytes, known: Collection[str]) -> tuple[dict[str, Any], str | None]:
    """The mapping of `sealed_json`, and the digest; None for a file of before digests.

    ``known``: the keys that such a file can have; with others it is one that has lost its digest.
    ValueError unless each byte is as it was written.
    """
    plain = read_json(data)
    if not isinstance(plain, dict):
        raise ValueError("it is no JSON object")
    if DIGEST not in plain:
        if strange := sorted(plain.keys() - set(known)):
            raise ValueError(f"it has {strange[0]!r}, and no digest")
        return plain, None
    digest, end = plain.pop(DIGEST), b'"\n}\n'
    begin = data.removesuffix(end)[:-64]
    made = hashlib.sha256(begin + end).hexdigest()
    if begin + made.encode() + end != data or digest != made:
        raise ValueError("what it holds does not match its digest")
    return plain, made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no number that a file can hold")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in it")
    return found
