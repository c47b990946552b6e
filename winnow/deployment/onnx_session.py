"""What runs ONNX files here: onnxruntime, with one thread, and what to install where it is not."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from winnow.errors import UserError

_ERRORS_ONLY = 3  # of onnxruntime's severities


def onnx_library(name: str) -> Any:
    """A module of the extra ``onnx``; UserError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"ONNX needs {error.name}, which is not installed here: pip install 'winnow[onnx]'"
        ) from error


class OnnxSession:
    """A model in onnxruntime on the processor, one thread.

    Called with the inputs in order it returns the list of outputs, all as tensors.
    """

    def __init__(self, source: Path | str | bytes) -> None:
        """``source``: a file, or its bytes. UserError for what onnxruntime cannot load."""
        runtime = onnx_library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        where = "the exported model" if isinstance(source, bytes) else str(source)
        given = source if isinstance(source, bytes) else str(source)
        try:
            self._session = runtime.InferenceSession(
                given, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors derive from Exception alone, one for each code
            raise UserError(f"onnxruntime cannot load {where}: {error}") from error
        self._names = [one.name for one in self._session.get_inputs()]

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        return [torch.from_numpy(value) for value in self._session.run(None, self._fed(inputs))]

    def prepared(self, inputs: Sequence[Tensor]) -> Callable[[], object]:
        """A call on these inputs that converts nothing: for measuring."""
        run, fed = self._session.run, self._fed(inputs)
        return lambda: run(None, fed)

    def _fed(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        values = [value.detach().contiguous().numpy() for value in inputs]
        return dict(zip(self._names, values, strict=True))
