"""How large what a file describes can be beside the file: shapes are words, and cost it nothing."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_ALWAYS = 1 << 26  # entries that any file may describe
_OF_A_BYTE = 10_000  # entries for each byte: deflate gives back up to 1,032 bytes for one


def check_described(entries: int, tensors: Mapping[str, Tensor]) -> None:
    """ValueError if so many entries of masks or weights are more than the tensors of a file, in
    which they are coded, can be of.
    """
    size = sum(tensor.nbytes for tensor in tensors.values())
    most = max(_ALWAYS, _OF_A_BYTE * size)
    if entries > most:
        raise ValueError(f"{entries} entries are more than the {most} that {size} bytes can be of")
