"""Torch files, read without running code from them.

Everything goes through ``torch.load(weights_only=True)``, which builds tensors and plain
containers only. GraSP's checkpoints hold whole pickled modules; for the classes listed here, and
no others, an empty class takes the place of the real one: it stores what the file says its
attributes are and has no methods. A file that asks for any other class or function is refused,
and so are modules in the format of torch before 1.6, which ``weights_only`` does not read.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from winnow.errors import UserError
from winnow.importing.archive import check_torch_file

_TORCH = (
    "activation.ReLU",
    "batchnorm.BatchNorm2d",
    "container.Sequential",
    "conv.Conv2d",
    "linear.Linear",
    "pooling.AdaptiveAvgPool2d",
    "pooling.AvgPool2d",
    "pooling.MaxPool2d",
)
_OTHERS = (
    "builtins.getattr",  # how a pickle refers to a method: GraSP's forward hooks
    "models.base.resnet.BasicBlock",
    "models.base.resnet.ResNet",
    "models.base.vgg.VGG",
    "models.model_base.ModelBase",
    "torchvision.models.resnet.BasicBlock",
    "torchvision.models.resnet.Bottleneck",
    "torchvision.models.resnet.ResNet",
)
_CONVERSION = (
    "names = {m: n for n, m in old['net'].named_modules()}; torch.save({'net': "
    "old['net'].state_dict(), 'mask': {names[m]: t for m, t in old['mask'].items()}}, path)"
)


class Inert:
    """An object of a pickled class: its attributes, and nothing that could run."""

    dump_patches = False  # torch asks for it when a file carries the source of a class

    def __init__(self, *arguments: object) -> None:
        pass


def _stand_ins() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    names = [*(f"torch.nn.modules.{name}" for name in _TORCH), *_OTHERS]
    inert = [(type(name.rpartition(".")[2], (Inert,), {}), name) for name in names]
    return [*inert, (OrderedDict, "easydict.EasyDict")]


def read_torch(data: bytes, path: Path) -> Any:
    """The content of a torch file, on the CPU; modules as ``Inert``. UserError names ``path``.

    What it takes in memory is bounded by the length of ``data``.
    """
    check_torch_file(data, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the source of a class in an old file cannot be compared
        with torch.serialization.safe_globals(_stand_ins()):
            try:
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            except pickle.UnpicklingError as error:
                raise UserError(_refusal(path, str(error))) from error
            except Exception as error:  # damaged bytes end in errors of a dozen kinds
                raise UserError(f"{path} is damaged or no torch file: {_line(error)}") from error


def _refusal(path: Path, message: str) -> str:
    asked = re.search(r"GLOBAL ([\w.]+)", message)
    if asked is not None:
        held = f"a pickled {asked[1]}"
    elif "persistent_load" in message:
        held = "pickled classes in the format of torch before 1.6"
    else:
        return f"{path} is damaged or no torch file of tensors"
    return (
        f"{path} holds {held}, and loading that could run code, so it is not read. If you trust "
        "it, load it with the code that wrote it, as old, and save tensors by name: "
        f"`{_CONVERSION}`"
    )


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
