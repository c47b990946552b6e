"""Parameters that FSDP2 (``fully_shard``) shards: DTensors, of which a rank holds a part.

Masks are whole, on every rank. Each rank takes its part of them without asking the others.
"""

from __future__ import annotations

import sys

from torch import Tensor, nn


def is_sharded(tensor: Tensor) -> bool:
    """Whether this is a DTensor. Imports nothing: where there is one, its module is there."""
    if type(tensor) in (Tensor, nn.Parameter):
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor: of a DTensor its part, in the same memory."""
    if not is_sharded(tensor):
        return tensor
    part: Tensor = tensor.to_local()  # type: ignore[attr-defined]
    return part


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered from the ranks: every rank must call it."""
    if not is_sharded(tensor):
        return tensor
    gathered: Tensor = tensor.full_tensor()  # type: ignore[attr-defined]
    return gathered


def part_like(everything: Tensor, tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that it has in whole, cut as the other tensor is."""
    if not is_sharded(tensor):
        return everything
    from torch.distributed.tensor import DTensor, Replicate

    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]
    there = everything.to(mesh.device_type)
    same = DTensor.from_local(there, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return local(same.redistribute(placements=placements))  # of what is everywhere: a cut


def joined(part: Tensor, tensor: Tensor) -> Tensor:
    """All of a tensor from every rank's part of it, cut as the other tensor is: on every rank."""
    if not is_sharded(tensor):
        return part
    from torch.distributed.tensor import DTensor

    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]
    return whole(
        DTensor.from_local(
            part, mesh, placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
        )
    )
