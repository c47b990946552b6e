"""An ONNX model with weights of 8 bits, by onnxruntime's own tools.

Static quantisation scales activations by what they are on calibration data, dynamic one by what
they are in each call. Measured on one core of an AMD EPYC with VNNI (onnxruntime 1.32; float32 →
dynamic, static; batch 1 and 64; agreement: the same class as float32 gives, 5,000 test images):

- LeNet-300-100, MNIST: 25 → 15, 16 µs and 345 → 120, 116 µs; agreement 99.9 and 99.8 %, largest
  difference 0.4 and 8 (outliers are cut off). As fast, more exact, and it needs no data: dynamic.
- ResNet-20, CIFAR-10: 0.85 → 5.4, 0.39 ms and 48 → 315, 21 ms; agreement 99.0 and 98.3 %. Dynamic
  convolutions take six times as long as float32 (unsigned weights: twice): static.

So networks with convolutions are quantised statically, others dynamically; without calibration
data, convolutions stay float32. Weights are signed, activations not: unsigned weights take twice as
long here (LeNet), signed activations three times (ResNet-20). Each output channel has a scale of
its own. Weights take 7 of the 8 bits: products of pairs of 8-bit numbers overflow where a processor
has no VNNI, and the file may go there; agreement with 7 bits differed by 0.1 % here, either way.
Ranges by entropy or percentiles instead of minimum and maximum changed agreement by under 0.1 %.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from winnow.deployment.capture import silent
from winnow.deployment.exporting import batches
from winnow.deployment.network import Network
from winnow.deployment.onnx_session import onnx_library
from winnow.errors import UserError

_CONVOLUTION = "Conv"
_PRODUCTS = (_CONVOLUTION, "Gemm", "MatMul")
_DYNAMIC = ["MatMul", "Gemm", "Gather"]  # not Conv, see above; Gather: embeddings
_END, _TURNED = "_quantized", "_Transposed"  # of names of weights, where onnxruntime changed them


@dataclass(frozen=True)
class Int8:
    """How a model was quantised, and how many of its layers (products with weights) were."""

    static: bool
    layers: int
    of: int
    calibrated_on: int  # examples

    def __str__(self) -> str:
        how = f"static, calibrated on {self.calibrated_on:,} examples" if self.static else "dynamic"
        told = f"int8 ({how}) in {self.layers} of {self.of} layers"
        if self.layers < self.of and not self.static:
            told += "; convolutions stay float32 without calibration data"
        return told


def to_int8(
    data: bytes, network: Network, calibration: Sequence[Tensor] | None
) -> tuple[Int8, bytes]:
    """A quantised copy of a network's float32 ONNX file, both as bytes.

    ``calibration``: the network's inputs in order, (N, …) each. UserError where that does not fit,
    and where no layer can be quantised.
    """
    model = onnx_library("onnx").ModelProto.FromString(data)
    given = [] if calibration is None else list(batches(network, calibration, "calibration"))
    static = bool(given) and _has_convolutions(model)
    with tempfile.TemporaryDirectory() as folder, silent():
        source, path = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(data)  # of a model in memory it would take the weights away
        if static:
            _static(source, path, [_fed(network, batch) for batch in given])
        else:
            _dynamic(source, path)
        made = path.read_bytes()
    weights = _weights(model)
    count = len(weights & _quantised_names(made))
    if not count:
        raise UserError(_nothing(model))
    examples = sum(len(batch[0]) for batch in given) if static else 0
    return Int8(static, count, len(weights), examples), made


def _nothing(model: Any) -> str:
    if _has_convolutions(model):
        return (
            "int8: the weights of this network are in convolutions, which need calibration data: "
            "give 100 to 1,000 examples of the training data"
        )
    return "int8: this network has no product with weights, so that there is nothing to quantise"


def _static(source: Path, path: Path, given: list[dict[str, Any]]) -> None:
    tools = onnx_library("onnxruntime.quantization")
    tools.quantize_static(
        str(source),
        str(path),
        _Reader(given),
        quant_format=tools.QuantFormat.QDQ,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )


def _dynamic(source: Path, path: Path) -> None:
    tools = onnx_library("onnxruntime.quantization")
    tools.quantize_dynamic(
        str(source),
        str(path),
        op_types_to_quantize=_DYNAMIC,
        weight_type=tools.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )


class _Reader:
    """Hands out batches until there are none, as onnxruntime's CalibrationDataReader does."""

    def __init__(self, given: list[dict[str, Any]]) -> None:
        self._remaining = iter(given)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._remaining, None)


def _fed(network: Network, batch: Sequence[Tensor]) -> dict[str, Any]:
    pairs = zip(network.inputs, batch, strict=True)
    return {one.name: value.contiguous().numpy() for one, value in pairs}


def _has_convolutions(model: Any) -> bool:
    return any(node.op_type == _CONVOLUTION for node in model.graph.node)


def _weights(model: Any) -> set[str]:
    """The constants that its convolutions and matrix products multiply by."""
    constants = {one.name for one in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    return {name for node in products for name in node.input[:2] if name in constants}


def _quantised_names(data: bytes) -> set[str]:
    """The float32 weights of which a model has an 8-bit copy instead."""
    held = onnx_library("onnx").ModelProto.FromString(data).graph.initializer
    names = {one.name.removesuffix(_END) for one in held if one.name.endswith(_END)}
    return names | {name.removesuffix(_TURNED) for name in names}
