"""A network as a program of ``torch.export`` again: what ONNX and .pt2 files are made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from winnow.deployment.capture import silent
from winnow.deployment.network import Input, Network
from winnow.errors import UserError
from winnow.files import write_whole

_BATCH = 64  # of many examples
_CLOSE = 1e-4  # of the largest output: float32 sums of other orders, through tens of layers
_SMALL = 1e-3  # outputs below it are compared as if they were as large


def export_torch(network: Network, path: Path, example: Sequence[Tensor]) -> float:
    """Write a network as a file for ``torch.export.load``; give the largest difference.

    ``example``: the inputs in order, (B, …). The file is read back and run beside the network on
    them before it appears under its name, whole. It holds no values of the example.

    Raises UserError where the outputs differ by more than rounding.
    """
    buffer = io.BytesIO()
    with silent():
        torch.export.save(reexported(network, example), buffer)
        read = torch.export.load(io.BytesIO(buffer.getvalue())).module()

    def run(given: Sequence[Tensor]) -> Sequence[Tensor]:
        return list(read(*given))

    difference = verified(network, run, example, "torch.export")
    write_whole(path, buffer.getvalue())
    return difference


def reexported(network: Network, example: Sequence[Tensor]) -> ExportedProgram:
    """The program of a network, whose free sizes are free again.

    Of the example only the sizes are used: programs keep their example inputs, which are zeros
    here, not a user's data.
    """
    zeros = tuple(_zeros(one, value) for one, value in zip(network.inputs, example, strict=True))
    free = tuple(dict.fromkeys(_free(one), Dim.AUTO) for one in network.inputs)
    with silent(), torch.no_grad():
        return torch.export.export(network.runnable(), zeros, dynamic_shapes=free, strict=False)


def verified(
    network: Network,
    run: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    example: Sequence[Tensor],
    name: str,
) -> float:
    """The largest difference between what ``run`` and the network make of an example.

    Tried as it is and, where the batch is free, twice as long, so that a batch that was frozen on
    the way is noticed. UserError, with ``name``, where floats differ by more than 1e-4 of the
    largest value of their output, or other numbers at all.
    """
    largest = 0.0
    for given in (example, doubled(network, example)):
        wanted, found = outputs_of(network, given), run(given)
        for place, (a, b) in enumerate(zip(wanted, found, strict=True)):
            difference = largest_difference(a, b)
            allowed = _CLOSE * max(_size(a), _SMALL) if a.is_floating_point() else 0.0
            if not difference <= allowed:
                raise UserError(
                    f"{name} computes something else than the network: output {place} of "
                    f"{list(a.shape)} differs by {difference:.2g}, where {allowed:.2g} is "
                    "rounding; nothing was written"
                )
            largest = max(largest, difference)
    return largest


def outputs_of(network: Network, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The outputs of a network, as its graph returns them."""
    with torch.no_grad():
        result: tuple[Tensor, ...] = network.runnable()(*given)
    return result


def doubled(network: Network, example: Sequence[Tensor]) -> list[Tensor]:
    """Every example twice; as they are where a batch is fixed."""
    if any(one.shape[0] is not None for one in network.inputs):
        return list(example)
    return [torch.cat([value, value]) for value in example]


def batches(network: Network, given: Sequence[Tensor], what: str) -> Iterator[list[Tensor]]:
    """Many examples in the sizes that a network takes: 64 at once where its batch is free.

    ``given``: the inputs in order, (N, …) each. Of a fixed batch, what is left over is not used.
    UserError, with ``what`` they are, where they do not fit the network.
    """
    if len(given) != len(network.inputs):
        raise UserError(
            f"{what}: {len(given)} tensors for {len(network.inputs)} inputs "
            f"({', '.join(one.name for one in network.inputs)}): give one for each, in order"
        )
    if len(counts := {len(value) for value in given}) > 1:
        raise UserError(f"{what}: {sorted(counts)} examples: give as many for each input")
    fixed = next((one.shape[0] for one in network.inputs if one.shape[0] is not None), None)
    if len(given[0]) < (fixed or 1):
        raise UserError(f"{what}: {len(given[0])} examples, fewer than a batch of {fixed or 1}")
    for first in range(0, len(given[0]), fixed or _BATCH):
        batch = [value[first : first + (fixed or _BATCH)].detach().cpu() for value in given]
        if len(batch[0]) < (fixed or 1):
            return
        for one, value in zip(network.inputs, batch, strict=True):
            one.check(value)
        yield batch


def largest_difference(a: Tensor, b: Tensor) -> float:
    """max |a - b|; infinite for other shapes and where one is no number and the other is.

    Equal infinities, and NaN in both, differ by nothing.
    """
    if a.shape != b.shape:
        return float("inf")
    if a.numel() == 0:
        return 0.0
    one, other = a.double(), b.double()
    same = (one == other) | (one.isnan() & other.isnan())
    apart = (one - other).abs().nan_to_num(nan=float("inf"), posinf=float("inf"))
    return float(apart.masked_fill(same, 0.0).max())


def _size(a: Tensor) -> float:
    finite = a[a.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _free(one: Input) -> list[int]:
    return [i for i, size in enumerate(one.shape) if size is None]


def _zeros(one: Input, value: Tensor) -> Tensor:
    """Sizes of 1 where any is allowed become 2: ``torch.export`` would take 1 for a constant."""
    sizes: list[Any] = list(value.shape)
    for i in _free(one):
        sizes[i] = max(2, sizes[i])
    return torch.zeros(sizes, dtype=one.dtype)
