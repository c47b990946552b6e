"""What is fuzzed: each loader, what it is given, and what its input begins with."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from files import old_ticket, whole_files
from hostile import envelope, of_envelope, run_files, sealed, table
from PIL import Image
from readers import READERS
from torch import nn

import winnow as wn
from winnow.amounts import checked_steps, iterations
from winnow.data.image_files import read_square
from winnow.errors import UserError
from winnow.experiment.recipe.load import load_recipe
from winnow.importing import import_ticket
from winnow.pretrained import load_pretrained

Target = Callable[[bytes], None]
"""Reads an input as a loader does. Raises nothing but for a defect."""

OF_TENSORS = {
    "ticket": "ticket",
    "mask": "mask",
    "network": "deployed network",
    "state": "state",
    "checkpoint": "checkpoint",
}
OF_JSON = ("card", "experiment", "analysis", "calibration", "source", "store")
_MODEL = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
_RECIPE = "winnow/recipes/lth/digits.yaml"


class Targets:
    """All targets by name, on files of their own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = whole_files(folder)
        self.whole = {kind: file.read_bytes() for kind, file in self.files.items()}
        self.by_name: Mapping[str, Target] = {
            **{kind: partial(self._tensors, kind) for kind in OF_TENSORS},
            **{kind: partial(self._json, kind) for kind in OF_JSON},
            "run": self._run,
            "table": lambda data: self._read("table", table(data)),
            "images": lambda data: self._read("images", data),
            "pretrained": self._pretrained,
            "foreign": self._foreign,
            "image": self._image,
            "recipe": self._recipe,
            "amount": self._amount,
        }

    def seeds(self, name: str) -> list[bytes]:
        """What fuzzing of a target begins with."""
        if name in OF_TENSORS:
            more = [old_ticket(), self.whole["ticket with removed weights"]]
            whole = [self.whole[name], *(more if name == "ticket" else [])]
            return whole + [envelope(OF_TENSORS[name], data) for data in whole]
        if name in self.whole and name != "run":
            return [self.whole[name]]
        if name == "run":
            lines = (json.dumps(json.loads(self.whole[k])).encode() for k in ("run", "result"))
            return [b"\n".join(lines)]
        return self._other_seeds(name)

    def _other_seeds(self, name: str) -> list[bytes]:
        if name in ("pretrained", "foreign"):
            masks = {f"{n}_mask": torch.ones_like(t) for n, t in _MODEL.state_dict().items()}
            return [_pickled(_MODEL.state_dict()), _pickled({**_MODEL.state_dict(), **masks})]
        if name == "image":
            image = Image.new("RGB", (9, 7), (200, 100, 50))
            return [_encoded(image, kind) for kind in ("JPEG", "PNG")]
        if name == "recipe":
            return [(Path(wn.__file__).parent.parent / _RECIPE).read_bytes()]
        return [b"500it", b"5ep", b"0.5ep"]

    def _read(self, kind: str, data: bytes, place: str | None = None) -> None:
        file = self.files[place or kind]
        file.write_bytes(data)
        try:
            READERS[kind].read(file)
        except READERS[kind].raises:
            pass
        finally:
            file.write_bytes(self.whole[place or kind])

    def _tensors(self, kind: str, data: bytes) -> None:
        made = of_envelope(OF_TENSORS[kind], data) if data[:1] == b"{" else data
        if kind == "state":
            self._guarded(lambda file: load_pretrained(_MODEL, file), made, "a.safetensors")
        else:
            self._read(kind, made)

    def _json(self, kind: str, data: bytes) -> None:
        self._read(kind, sealed(data))

    def _run(self, data: bytes) -> None:
        about, numbers = run_files(data)
        self.files["result"].write_bytes(numbers)
        try:
            self._read("run", about)
        finally:
            self.files["result"].write_bytes(self.whole["result"])

    def _pretrained(self, data: bytes) -> None:
        for name in ("a.pt", "b.safetensors"):
            self._guarded(lambda file: load_pretrained(_MODEL, file), data, name)

    def _foreign(self, data: bytes) -> None:
        self._guarded(import_ticket, data, "model.pt")

    def _image(self, data: bytes) -> None:
        self._guarded(lambda file: read_square(file, 8, None), data, "a.png")

    def _recipe(self, data: bytes) -> None:
        self._guarded(lambda file: load_recipe(str(file)), data, "r.yaml")

    def _amount(self, data: bytes) -> None:
        with contextlib.suppress(UserError):
            iterations(checked_steps(data.decode("utf-8", "replace")), 100)

    def _guarded(self, read: Callable[[Path], object], data: bytes, name: str) -> None:
        file = self.folder / name
        file.write_bytes(data)
        with contextlib.suppress(UserError):
            read(file)


def _pickled(value: object) -> bytes:
    written = io.BytesIO()
    torch.save(value, written)
    return written.getvalue()


def _encoded(image: Image.Image, kind: str) -> bytes:
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()
