"""`deploy`: a network as a module, and as a folder with one file and its card."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from winnow.deployment.card import (
    Card,
    LayerUnits,
    card_inputs,
    densities,
    loading_code,
    this_machine,
)
from winnow.deployment.card_files import write_card
from winnow.deployment.deploying import (
    Format,
    PlainModule,
    Prepared,
    int8_difference,
    module_of,
    prepared,
)
from winnow.deployment.exporting import export_torch
from winnow.deployment.loading import FILE_NAME
from winnow.deployment.measure import BATCH_SIZES, Rival, accuracy_of, latencies, module_rival
from winnow.deployment.onnx import export_onnx
from winnow.deployment.onnx_session import OnnxSession
from winnow.deployment.runtime.module import SparseModule, Ways
from winnow.errors import UserError
from winnow.files import whole_folder
from winnow.ticket import Ticket

FILE_NAMES: Mapping[Format, str] = {
    "sparse": FILE_NAME,
    "torch": "network.pt2",
    "onnx": "network.onnx",
}
BESIDE = ("onnx", "onnx-int8")
_CALIBRATION = 256  # examples that the ranges of int8 activations are measured on


@dataclass(frozen=True, eq=False)
class CardSources:
    """What a card can say beyond the network: test data, rivals, and whose it is.

    ``data``: inputs in order and labels; ``name``: of the data. ``calibration``: inputs in order,
    others than those, on which the ranges of int8 activations are measured. ``beside``: further
    rivals, of `BESIDE`. ``title``, ``license``, ``date``: as `winnow.deployment.card.Card` has
    them.
    """

    data: tuple[tuple[Tensor, ...], Tensor] | None = None
    calibration: tuple[Tensor, ...] | None = None
    name: str | None = None
    beside: Sequence[str] = ()
    title: str | None = None
    license: str | None = None
    date: str | None = None


def deploy(
    model: nn.Module,
    mask: Mapping[str, Tensor] | Ticket,
    example_input: Any,
    *,
    to: str | os.PathLike[str] | None = None,
    format: Format = "sparse",
    int8: bool = False,
    shrink: bool = True,
    data: tuple[Any, Tensor] | None = None,
    calibration: Any = None,
    beside: Sequence[str] = (),
    run: Ways = "measured",
    title: str | None = None,
) -> SparseModule | PlainModule:
    """A masked model as a smaller or faster network for inference, and as a folder to ship.

    ``mask``: of a model with trained weights, or a ticket, whose trained weights are taken.
    ``example_input``: (B, …), a tuple of forward's arguments, or a mapping of them by name.

    ``format``: "sparse", a `SparseModule`, whose layers with zeros run on their nonzeros wherever
    that is faster; "torch", torch's own operations; "onnx", the same, as a file for runtimes.
    ``int8``: weights of one byte (sparse), or all of it (onnx). ``shrink``: leave out units that
    decide nothing. ``run``: as `load_deployed` has it.

    ``to``: a new folder for the file, ``README.md`` (a model card) and ``card.json``, which say its
    size, latency on one thread, accuracy before and after on ``data`` (inputs and labels), and
    density by layer. ``calibration``: inputs on which int8 ONNX files measure the ranges of their
    activations, others than those; without them convolutions stay float32. ``beside``: what else is
    timed, "onnx" and "onnx-int8".

    The model stays as it is. Raises UserError where a mask does not fit, where ``torch.export``
    cannot follow the forward pass, and where outputs differ from the masked model's on the example:
    then nothing is written.
    """
    made = prepared(model, mask, example_input, shrink)
    module = module_of(made, format, int8=int8, run=run)
    if to is not None:
        given = None if data is None else (_inputs(data[0]), data[1])
        ranges = None if calibration is None else _inputs(calibration)
        told = CardSources(given, ranges, None, beside, title)
        write_folder(Path(to), made, module, format, int8=int8, given=told)
    elif format == "onnx":
        raise UserError("format='onnx' is a file: say where it goes, deploy(…, to=FOLDER)")
    return module


def write_folder(
    to: Path,
    made: Prepared,
    module: SparseModule | PlainModule,
    format: Format,
    *,
    int8: bool = False,
    given: CardSources | None = None,
) -> Card:
    """Write a deployed network and its card as a new folder, whole or not at all.

    UserError for a folder that exists, and for what cannot be exported or measured.
    """
    given = given or CardSources()
    if to.exists() or to.is_symlink():
        raise UserError(f"{to} is there already: name another folder, or remove it first")
    if unknown := [name for name in given.beside if name not in BESIDE]:
        raise UserError(f"beside: {unknown[0]!r} is none of {', '.join(BESIDE)}")
    with whole_folder(to) as folder:
        file = folder / FILE_NAMES[format]
        notes, runner = _write_file(file, made, module, format, int8, given)
        card = _card(made, format, file, notes, given)
        card = _measured(card, made, runner, module, given)
        write_card(folder, card)
    return card


def _write_file(
    file: Path,
    made: Prepared,
    module: SparseModule | PlainModule,
    format: Format,
    int8: bool,
    given: CardSources,
) -> tuple[list[str], nn.Module | OnnxSession]:
    """Write the network; what a card says of it, and what runs the file."""
    if isinstance(module, SparseModule):
        module.save(file)
        notes = [_WHERE]
        if int8:
            notes.append(
                "Weights have one byte and a scale for each output; the largest difference that "
                f"makes in an output on the example is {int8_difference(made, module):.2g}."
            )
        return notes, module
    if format == "torch":
        export_torch(made.network, file, made.example)
        return [_ZEROS], module
    written = export_onnx(
        made.network, file, made.example, int8=int8, calibration=_calibration(given)
    )
    return written.notes(), OnnxSession(file)


_WHERE = (
    "Each layer runs on its nonzeros or in torch, whichever was faster for batches of this size on "
    "the machine below; on another one that is measured again when the file is loaded."
)
_ZEROS = "torch multiplies by zeros as by any other number: what is smaller here is whole units."


def _calibration(given: CardSources) -> tuple[Tensor, ...] | None:
    return None if given.calibration is None else tuple(v[:_CALIBRATION] for v in given.calibration)


def _card(made: Prepared, format: Format, file: Path, notes: list[str], given: CardSources) -> Card:
    dense = sum(t.numel() * t.element_size() for t in made.model.state_dict().values())
    inputs = card_inputs(made.network.inputs)
    units: tuple[LayerUnits, ...] = ()
    if made.went is not None:
        after = made.went.after
        units = tuple(
            LayerUnits(name, size.outputs, after[name].outputs if name in after else 0)
            for name, size in made.went.before.items()
        )
    title = given.title or f"A sparse {type(made.model).__name__}"
    return Card(
        title, format, file.name, file.stat().st_size, dense, inputs, densities(made.mask),
        loading_code(format, file.name, inputs), this_machine(), units=units,
        difference=made.difference, notes=tuple(notes), provenance=made.provenance,
        data=given.name, license=given.license, date=given.date,
    )  # fmt: skip


def _measured(
    card: Card,
    made: Prepared,
    runner: nn.Module | OnnxSession,
    module: nn.Module,
    given: CardSources,
) -> Card:
    """The card with times, and with accuracy where there is data."""
    names = [one.name for one in made.network.inputs]
    ours = runner.prepared if isinstance(runner, OnnxSession) else module_rival(module, names)
    rivals: dict[str, Rival] = {"this file": ours, "dense, torch": module_rival(made.model, names)}
    rivals |= _onnx_rivals(made, given)
    sizes = {one.shape[0] for one in made.network.inputs} - {None}
    batches = tuple(size for size in sizes if size is not None) or BATCH_SIZES
    card = replace(card, latencies=latencies(rivals, made.example, batches))
    if given.data is None:
        return card
    inputs, labels = given.data
    called = runner if isinstance(runner, OnnxSession) else module
    return replace(
        card,
        before=accuracy_of(_by_name(made.model, names), inputs, labels),
        after=accuracy_of(called, inputs, labels),
    )


def _by_name(model: nn.Module, names: Sequence[str]) -> Any:
    return lambda *inputs: model(**dict(zip(names, inputs, strict=True)))


def _onnx_rivals(made: Prepared, given: CardSources) -> dict[str, Rival]:
    """The dense network in ONNX Runtime, float32 and int8, as far as is asked for."""
    dense = made.captured
    rivals: dict[str, Rival] = {}
    with TemporaryDirectory() as folder:
        for name in given.beside:
            file = Path(folder) / f"{name}.onnx"
            export_onnx(
                dense, file, made.example, int8=name == "onnx-int8",
                calibration=_calibration(given),
            )  # fmt: skip
            label = "dense, ONNX Runtime" + (" int8" if name == "onnx-int8" else "")
            rivals[label] = OnnxSession(file.read_bytes()).prepared
    return rivals


def _inputs(value: Any) -> tuple[Tensor, ...]:
    if isinstance(value, Mapping):
        return tuple(value.values())
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
