"""Small files that ask for much are refused at once, with memory that their length bounds."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import foreign_files
import pytest
import torch
from foreign_networks import Fc, grown, random_masks
from hostile_files import BIG, checkpoint, hostile, shared

import winnow as wn
from winnow.cli import main
from winnow.errors import UserError
from winnow.importing import layouts

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Bytes that this process has held at most, since `forget_peak`."""
    (line,) = (one for one in STATUS.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the types of tensors that are made
        return hostile(tmp_path_factory.mktemp("hostile"))


def answer(path: Path, layout: str | None) -> str:
    """The error; '' for none."""
    try:
        wn.import_ticket(path, layout)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_what_a_file_takes_is_bounded_by_its_length(files, monkeypatch):
    """2^40 modules, tuples whose hash takes 2^60 steps, 32 GB of copies of a number, and so on."""
    assert len(files) >= 39
    for name, path in files.items():
        forget_peak()
        before = peak()
        for layout in (None, *layouts()):
            told = answer(path, layout)
            assert told.startswith(str(path)) or "digits" in name, name
            assert len(told) < 1000 + len(str(path)) * 3, name
        assert peak() - before < 2**26 + 8 * path.stat().st_size, name
    path = files["deflated"]
    monkeypatch.setattr(sys, "argv", ["winnow", "import", str(path), "--to", f"{path}.ticket"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert not Path(f"{path}.ticket").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("expanded mask, zip", r"8,100,000,000 elements, copies of 1 stored ones .*contiguous\(\)"),
        ("shared modules, zip", r"more than 10000 names, as they share each other"),
        ("deflated", r"compressed parts.*torch writes none: save it again"),
        ("many names, old", r"4,001,000,000 bytes by name, 1,000,000 stored ones"),
        ("changed later, zip", r"changes a tensor after it was made"),
        ("two directories", r"two lists of its parts"),
        ("tuples as a key, zip", r"tuples in tuples, more than 10000 in one"),
    ],
)
def test_it_is_said_what_is_wrong(files, name, told):
    with pytest.raises(UserError, match=told):
        wn.import_ticket(files[name])


def test_tied_weights_and_shared_modules_are_read(tmp_path):
    """What honest files share: a few names of one tensor, a module that is there twice."""
    masks = {"a": torch.ones(500, 500), "b": torch.ones(500, 500)}
    torch.save({"net": {"a.weight": BIG, "b.weight": BIG}, "mask": masks}, tmp_path / "tied")
    assert wn.import_ticket(tmp_path / "tied").mask.density == 1
    net = shared(3)
    layer = net[0][0][0][0]
    torch.save({"net": net, "mask": {layer: torch.ones(2, 2)}}, tmp_path / "shared")
    assert len(wn.import_ticket(tmp_path / "shared").rewind) == 16
    torch.save({"net": {"a.weight": BIG[:, ::2]}, "mask": {"a": BIG[:, ::2]}}, tmp_path / "strided")
    assert wn.import_ticket(tmp_path / "strided").mask.density == 1


def test_every_way_in_which_torch_saves_tensors_is_read(tmp_path):
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.bool)
    for kind in kinds:
        masks = {"a": torch.ones(3, 2, dtype=kind)}
        weights = {"a.weight": torch.nn.Parameter(torch.ones(3, 2))}
        for new in (True, False):
            torch.save(
                {"net": weights, "mask": masks}, tmp_path / "a", _use_new_zipfile_serialization=new
            )
            assert wn.import_ticket(tmp_path / "a").mask.density == 1
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"net": weights, "mask": masks}, tmp_path / "a")
    finally:
        torch.serialization.set_crc32_options(True)
    assert wn.import_ticket(tmp_path / "a").mask.density == 1


def test_pipes_and_devices_are_not_waited_on(tmp_path):
    os.mkfifo(tmp_path / "mask.pth")
    (tmp_path / "endless.pt").symlink_to("/dev/zero")
    for name in ("mask.pth", "endless.pt"):
        with pytest.raises(UserError, match=rf"{name} is no regular file but a pipe, a device"):
            wn.import_ticket(tmp_path / name)


@pytest.mark.parametrize(
    "report",
    [
        "[" * 100_000,
        '{"total": 1e999, "unpruned": 1}',
        '{"total": ' + "9" * 400 + ', "unpruned": 1}',
    ],
)
def test_reports_that_are_damaged(tmp_path, report):
    model = grown(Fc([4, 3, 2]))
    folder = foreign_files.open_lth(
        tmp_path / "a", {"ep0_it0": model.state_dict()}, random_masks(model)
    )
    (folder / "sparsity_report.json").write_text(report)
    with pytest.raises(UserError, match=r"sparsity_report.json (is damaged|says)"):
        wn.import_ticket(folder)
    (folder / "sparsity_report.json").unlink()
    os.mkfifo(folder / "sparsity_report.json")
    with pytest.raises(UserError, match=r"sparsity_report.json is no regular file"):
        wn.import_ticket(folder)


ODD = {"int": 10**600, "inf": float("inf"), "list": [[]], "text": "x" * 10**5, "set": {1}}


@pytest.mark.parametrize("epoch", ODD.values(), ids=ODD)
def test_odd_epochs_do_not_get_into_tickets(tmp_path, epoch):
    torch.save(checkpoint(epoch), tmp_path / "a")
    ticket = wn.import_ticket(tmp_path / "a")
    assert len(json.dumps(ticket.provenance)) < 2000
    masks = {"fc": torch.ones(2, 2)}
    content = {"net": {"fc.weight": torch.ones(2, 2)}, "mask": masks, "epoch": epoch, "acc": epoch}
    torch.save(content, tmp_path / "a")
    ticket = wn.import_ticket(tmp_path / "a")
    assert len(json.dumps(ticket.provenance)) < 2000
    ticket.save(tmp_path / "ticket")


@pytest.mark.parametrize("network", ["lenet-300-100", "resnet-20", "vgg-11"])
@pytest.mark.parametrize(
    "shape", [(0, 10**12), (10**12, 0), (0, 0), (0, 3, 3, 3), (3, 0, 10**9, 1)]
)
def test_layers_of_nothing_are_no_network(tmp_path, network, shape):
    names = ("fc_layers.0", "fc", "conv", "layers.0.conv", "blocks.0.conv1")
    weights = {f"model.{name}.weight": torch.empty(shape) for name in names}
    masks = {f"mask_{name.replace('.', '___')}___weight": torch.empty(shape) for name in names}
    torch.save({"model_state_dict": weights | masks}, tmp_path / "a")
    with pytest.raises(UserError):
        wn.import_ticket(tmp_path / "a", model=network)
