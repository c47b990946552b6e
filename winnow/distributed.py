"""Several processes that train one model (``torch.distributed``): one mask for all of them.

Where a process group has more than one rank, functions that agree on something are collectives, as
are `wn.score`, `wn.sparsify` and `wn.dynamic`, which call them: every rank must call them. Without
one they give back what they are given. `one_rank` is the way out.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters
from winnow.sharding import is_sharded, whole

__all__ = ["agreed_mask", "agreed_scores", "check_agreed", "one_rank"]

_ALONE = ContextVar("alone", default=False)


def ranks() -> int:
    """How many processes agree here: 1 without a process group, and inside `one_rank`."""
    if not (dist.is_available() and dist.is_initialized()) or _ALONE.get():
        return 1
    return dist.get_world_size()


@contextlib.contextmanager
def one_rank() -> Iterator[None]:
    """Inside, this process scores and prunes by itself, whatever process group there is.

    For what one rank does while the others wait, and for ranks that train different models.
    """
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def check_no_flat_parameters(model: nn.Module) -> None:
    """UserError for the older FullyShardedDataParallel, whose parameters are pieces of several."""
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise UserError(
            "FullyShardedDataParallel flattens parameters, and a mask has none of their names and "
            "shapes: shard with torch.distributed.fsdp.fully_shard (FSDP2)"
        )


def check_not_sharded(model: nn.Module) -> None:
    """UserError when the model's parameters are sharded already, for what needs them in whole."""
    sharded = [name for name, weight in parameters(model).items() if is_sharded(weight)]
    if sharded:
        raise UserError(
            f"{sharded[0]!r} is sharded (fully_shard), and scores need whole parameters: score and "
            "prune the model before it is sharded, and give the mask to wn.sparsify or wn.dynamic; "
            "or score it yourself and gather: winnow.distributed.agreed_scores(scores)"
        )


def agreed_scores(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean of all ranks' scores, the same in every bit on each; sharded ones in whole.

    Where a score is linear in the examples, that is the score on the examples of all ranks. It is
    not where it is not: SNIP's |∂L/∂w · w| of each rank's own gradient, averaged.
    Raises UserError when the ranks score different weights.
    """
    found = {name: whole(tensor) for name, tensor in scores.items()}
    number = ranks()
    if number == 1:
        return found
    _check_same_weights(found)
    return {name: _mean(tensor, number) for name, tensor in found.items()}


def agreed_mask(mask: Mask) -> Mask:
    """Rank 0's mask, on every rank. Raises UserError when the ranks mask different weights."""
    if ranks() == 1:
        return mask
    tensors = {name: mask[name] for name in sorted(mask)}
    _check_same_weights(tensors)
    agreed = {name: _from_first(keep.to(torch.uint8)).bool() for name, keep in tensors.items()}
    return Mask({name: agreed[name].to(mask[name].device) for name in mask})


def agreed_seed(seed: int) -> int:
    """Rank 0's seed, on every rank."""
    if ranks() == 1:
        return seed
    return int(_from_first(torch.tensor(seed, dtype=torch.int64)))


def check_agreed(mask: Mask, when: str = "") -> None:
    """UserError, on every rank, unless all ranks have the same mask. ``when`` says when that is."""
    number = ranks()
    if number == 1:
        return
    prints = _gathered(_fingerprint(mask), number)
    if len(set(prints)) == 1:
        return
    other = next(rank for rank, one in enumerate(prints) if one != prints[0])
    first = agreed_mask(mask)
    differing = sum(int((first[n] ^ mask[n]).count_nonzero()) for n in mask)
    told = _gathered(differing, number)[other]
    raise UserError(
        f"ranks 0 and {other} have masks that differ in {told:,} of {mask.size:,} entries{when}: "
        "each would train another network. Score on every rank with the process group initialised, "
        "or take rank 0's: winnow.distributed.agreed_mask(mask)"
    )


def _mean(scores: Tensor, number: int) -> Tensor:
    wire = _on_wire(scores).clone()
    dist.reduce(wire, 0)  # and then the sum of one rank to all, so that no bit differs
    return (_from_first(wire) / number).to(scores.device)


def _from_first(tensor: Tensor) -> Tensor:
    wire = _on_wire(tensor).contiguous()
    dist.broadcast(wire, 0)
    return wire.to(tensor.device)


def _gathered(number: int, count: int) -> list[int]:
    own = _on_wire(torch.tensor([number], dtype=torch.int64))
    every = [torch.empty_like(own) for _ in range(count)]
    dist.all_gather(every, own)
    return [int(one) for one in every]


def _on_wire(tensor: Tensor) -> Tensor:
    """Where the backend can send it from."""
    if dist.get_backend() == "nccl" and tensor.device.type != "cuda":
        return tensor.cuda()
    return tensor


def _check_same_weights(tensors: Mapping[str, Tensor]) -> None:
    shapes = [(name, list(tensor.shape)) for name, tensor in tensors.items()]
    prints = _gathered(zlib.crc32(repr(shapes).encode()), ranks())
    if len(set(prints)) > 1:
        raise UserError(
            f"the ranks have different weights here, on rank {dist.get_rank()} "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes[:3])}, …: call this with the "
            "same model on every rank, or within winnow.distributed.one_rank()"
        )


def _fingerprint(mask: Mask) -> int:
    """The same for the same mask; computed where the mask is."""
    value = 0
    for name in sorted(mask):
        keep = mask[name].reshape(-1)
        places = torch.arange(1, len(keep) + 1, device=keep.device) * 0x9E3779B97F4A7C1
        mixed = (places ^ (places >> 29)) * 0xBF58476D1CE4E5B
        value = zlib.crc32(f"{value} {name} {int((mixed * keep).sum())}".encode())
    return value
