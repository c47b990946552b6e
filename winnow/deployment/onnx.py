"""A network as an ONNX file. Runtimes for ONNX gain no speed from zeros.

They multiply by a zero as by any other number, and their files hold it: sparsity makes an ONNX
file neither faster nor smaller than a dense one. What does: units that were removed whole, and
int8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from winnow.deployment.capture import silent
from winnow.deployment.exporting import (
    batches,
    largest_difference,
    outputs_of,
    reexported,
    verified,
)
from winnow.deployment.network import Network
from winnow.deployment.onnx_int8 import Int8, to_int8
from winnow.deployment.onnx_session import OnnxSession, onnx_library
from winnow.errors import UserError
from winnow.files import write_whole

ZEROS = (
    "Runtimes for ONNX gain no speed from zeros: they multiply by them as by any other number, and "
    "the file holds them. What makes this file faster or smaller is units that were removed whole, "
    "and int8."
)
_AXES = ("batch", "tokens")  # what free sizes are called, by their place
_MOST_BYTES = 2**31 - 1  # of a protobuf message


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file that was written.

    ``difference``: the largest one between its outputs and the network's, on the examples it was
    checked on. ``int8``: how it was quantised, None for float32. ``agreement``: the share of
    examples (or tokens) in which the largest entry of the first output is the same; 1 for float32.
    ``examples``: how many of them there were.
    """

    path: Path
    size: int  # bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float
    agreement: float
    examples: int
    int8: Int8 | None = None

    def notes(self) -> list[str]:
        """Sentences for whoever uses the file."""
        if self.int8 is None:
            return [ZEROS]
        told = (
            f"{self.int8}. The largest difference from float32 is {self.difference:.2g}; the "
            f"largest output is the same in {100 * self.agreement:.4g} % of {self.examples:,} "
            "examples."
        )
        return [ZEROS, told]


def export_onnx(
    network: Network,
    path: Path,
    example: Sequence[Tensor],
    *,
    int8: bool = False,
    calibration: Sequence[Tensor] | None = None,
) -> OnnxExport:
    """Write a network as one ONNX file, by ``torch.onnx``; it appears whole or not at all.

    ``example``: the inputs in order, (B, …): onnxruntime's outputs are compared with the network's
    on them before the file appears under its name. The file holds no values of them. Inputs have
    the names of forward's arguments, outputs those of the dict that forward returns, else
    ``output``.

    ``int8``: weights of 8 bits, see `winnow.deployment.onnx_int8`, made of the float32 model after
    that was checked. ``calibration``: inputs like the example, more of them (100 to 1,000), which
    convolutions need; the difference is measured on them where they are given.

    Raises UserError for what is not installed, what ``torch.onnx`` cannot write, a file of over
    2 GB, and outputs that differ by more than rounding (float32).
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        onnx_library(library)
    model = _model(network, example)
    data = _bytes(model)
    session = OnnxSession(data)
    difference = verified(network, lambda given: session(*given), example, "onnxruntime")
    how, agreement, seen = None, 1.0, len(example[0])
    if int8:
        how, data = to_int8(data, network, calibration)
        given = example if calibration is None else calibration
        difference, agreement, seen = _compared(network, OnnxSession(data), given)
    write_whole(path, data)
    return OnnxExport(
        path, len(data), _names(model.graph.input), _names(model.graph.output), difference,
        agreement, seen, how,
    )  # fmt: skip


def output_names(structure: Any, where: str = "") -> list[str]:
    """Names for the tensors that forward returns, in order: the keys that lead to them.

    {"logits": …} gives ``logits``; a tuple ``output_0``, ``output_1``; a tensor alone ``output``.
    """
    if structure is None:
        return []
    if isinstance(structure, int):
        return [where or "output"]
    ((kind, inside),) = structure.items()
    parts = inside.items() if kind == "dict" else enumerate(inside)
    begun = where or ("" if kind == "dict" else "output")
    return [
        name
        for key, one in parts
        for name in output_names(one, f"{begun}_{key}" if begun else str(key))
    ]


def _model(network: Network, example: Sequence[Tensor]) -> Any:
    """The ``onnx.ModelProto`` of a network."""
    inputs = [one.name for one in network.inputs]
    outputs = [f"{name}_out" if name in inputs else name for name in output_names(network.outputs)]
    try:
        with silent(), torch.no_grad():
            program = torch.onnx.export(
                reexported(network, example),
                dynamo=True,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:  # its errors share no base
        raise UserError(
            f"torch.onnx cannot write this network ({_cause(error)}): deploy it with --format "
            "sparse or torch"
        ) from error
    _strip(model)
    _name_axes(model)
    return model


def _cause(error: BaseException) -> str:
    """What the exporter's own advice, of many lines, hides: the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _bytes(model: Any) -> bytes:
    if model.ByteSize() > _MOST_BYTES:
        raise UserError(
            f"one ONNX file holds at most 2 GB, this network takes {model.ByteSize() / 1e9:.1f} "
            "GB: deploy it with --format sparse or torch"
        )
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _strip(model: Any) -> None:
    """Without notes on how it was traced: paths and code of this machine, most of a small file."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for one in [model, graph, *graph.node, *values]:
        one.doc_string = ""
        del one.metadata_props[:]


def _name_axes(model: Any) -> None:
    """``batch`` and ``tokens`` for what ``torch.export`` calls s77, as readers of files expect."""
    known: dict[str, str] = {}
    for size, place in _free_sizes(model.graph.input):
        name = _AXES[place] if place < len(_AXES) else size
        if size not in known and name not in known.values():
            known[size] = name
    if not known:
        return
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, known)) + r")\b")
    graph = model.graph
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = pattern.sub(lambda m: known[m[0]], size.dim_param)


def _free_sizes(inputs: Any) -> Iterator[tuple[str, int]]:
    for value in inputs:
        for place, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                yield size.dim_param, place


def _names(values: Any) -> tuple[str, ...]:
    return tuple(one.name for one in values)


def _compared(
    network: Network, session: OnnxSession, given: Sequence[Tensor]
) -> tuple[float, float, int]:
    """The largest difference of any output, how often the first one's largest entry agrees, of how
    many it is one.
    """
    difference, same, seen = 0.0, 0, 0
    for batch in batches(network, given, "example"):
        wanted, found = outputs_of(network, batch), session(*batch)
        apart = [largest_difference(a, b) for a, b in zip(wanted, found, strict=True)]
        difference = max(difference, *apart)
        agreeing = wanted[0].argmax(-1) == found[0].argmax(-1)
        same, seen = same + int(agreeing.sum()), seen + agreeing.numel()
    return difference, same / seen, seen
