"""Masks that are none, files that are wrong, damaged or hostile; and the command."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import foreign_files
import pytest
import torch
from foreign_networks import VGG, Fc, State, grown, pruned, random_masks
from torch import nn

import winnow as wn
from winnow.cli import main
from winnow.errors import UserError
from winnow.importing import layouts


def same(one: Any, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, float("nan"), 1 + 2**-20])
def test_masks_are_exactly_0_or_1(tmp_path, wrong):
    model = grown(Fc([4, 3, 2]))
    masks = random_masks(model)
    masks["fc.weight"][1, 2] = wrong
    path = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    with pytest.raises(UserError, match=r"'fc.weight' must be 0 or 1: 1 of its 6 entries") as error:
        wn.import_ticket(path)
    assert str(path) in str(error.value)


def test_masks_fit_the_weights(tmp_path):
    model = grown(Fc([4, 3, 2]))
    state, masks = model.state_dict(), random_masks(model)
    for change, told in (
        ({"fc.weight": torch.ones(3, 2)}, r"'fc.weight' is \[3, 2\] in the mask"),
        ({"other.weight": torch.ones(3, 2)}, "'other.weight' is .* not there"),
    ):
        torch.save({"net": state, "mask": masks | change}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")
    for mask, told in (
        (None, "nothing was pruned"),
        ({}, "no mask"),
        ({"fc": None}, "is a NoneType"),
        ({"fc": torch.ones(2, 3).to_sparse()}, "no plain tensor"),
    ):
        torch.save({"net": state, "mask": mask}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")


def test_a_folder_of_two_runs(tmp_path):
    model = grown(Fc([4, 3, 2]))
    folder = foreign_files.open_lth(
        tmp_path / "a", {"ep0_it0": model.state_dict()}, random_masks(model)
    )
    other = {name: torch.ones_like(mask) for name, mask in random_masks(model).items()}
    torch.save(other, folder / "mask.pth")
    with pytest.raises(UserError, match=r"keeps 18 of 18 weights, but sparsity_report.json says"):
        wn.import_ticket(folder)
    (folder / "sparsity_report.json").write_text('{"total": 18')
    with pytest.raises(UserError, match=r"sparsity_report.json is damaged"):
        wn.import_ticket(folder)
    (folder / "sparsity_report.json").unlink()
    assert wn.import_ticket(folder).mask.density == 1
    (folder / "model_ep0_it0.pth").unlink()
    with pytest.raises(UserError, match=r"no model_ep\*_it\*.pth stands beside"):
        wn.import_ticket(folder)


def test_files_of_no_layout(tmp_path):
    for content, told in (
        (torch.ones(3), "holds a Tensor"),
        ({}, r"keys \(none\)"),
        (grown(Fc([4, 3, 2])).state_dict(), "keys 'fc_layers.0.weight', 'fc_layers.0.bias'"),
        ({"state_dict": {"a": torch.ones(2)}}, "keys 'state_dict'"),
        ({"fc.weight": torch.ones(2, 2).to_sparse()}, "keys 'fc.weight'"),
        ({"fc.weight": torch.ones(2, 2, device="meta")}, "keys 'fc.weight'"),
    ):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a.pt")
        for layout in layouts():
            with pytest.raises(UserError, match=f"a.pt, read as {layout}"):
                wn.import_ticket(tmp_path / "a.pt", layout)
    with pytest.raises(UserError, match="Did you mean 'open_lth'"):
        wn.import_ticket(tmp_path / "a.pt", "open-lth")
    with pytest.raises(UserError, match=r"no mask.pth and no model.pt. Name a folder level_N/main"):
        wn.import_ticket(tmp_path)
    with pytest.raises(UserError, match="a folder with many files"):
        wn.import_ticket(tmp_path, "grasp")
    with pytest.raises(FileNotFoundError):
        wn.import_ticket(tmp_path / "none.pt")


def test_damaged_files_are_named(tmp_path):
    model = grown(Fc([4, 3, 2]))
    good = foreign_files.synaptic_flow(
        tmp_path / "good.pt", model.state_dict(), random_masks(model)
    ).read_bytes()
    path = tmp_path / "broken.pt"
    for data in (b"", b"no torch file", good[:100], good[: len(good) // 2], good[:-30], good[300:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"broken.pt is damaged or no torch file"):
            wn.import_ticket(path)
    for place in range(0, len(good), 211):  # refused, or read: never another error
        broken = bytearray(good)
        broken[place] ^= 0x55
        path.write_bytes(broken)
        with contextlib.suppress(UserError):
            wn.import_ticket(path)


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(tmp_path, zipped):
    victim = tmp_path / "victim"
    for index, trap in enumerate(
        (
            Evil(os.mkdir, str(victim)),
            Evil(eval, f"__import__('os').mkdir({str(victim)!r})"),
            Evil(Path.mkdir, victim),
            Evil(getattr, "text", "upper"),
        )
    ):
        path = tmp_path / f"{index}.pth.tar"
        content = {"net": trap, "mask": {"a": torch.ones(2)}}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match=rf"{index}\.pth\.tar"):
            wn.import_ticket(path)
        assert not victim.exists()


def test_another_pickled_class_is_named(tmp_path):
    torch.save({"net": nn.Sequential(nn.Tanh()), "mask": {}}, tmp_path / "a")
    with pytest.raises(UserError, match=r"a pickled torch.nn.modules.activation.Tanh, .* not read"):
        wn.import_ticket(tmp_path / "a")


def test_reading_leaves_torch_as_it_was(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    model = grown(VGG(grasp=True))
    path = foreign_files.grasp(tmp_path / "prune_a.pth.tar", model, random_masks(model), -1)
    wn.import_ticket(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path, weights_only=True)


def test_pickled_modules_that_are_none(tmp_path):
    def layer(**attributes: Any) -> nn.Module:
        made = nn.Linear(2, 2)
        made.__dict__.update(attributes)
        return made

    inner = nn.Sequential(nn.Linear(2, 2))
    inner._modules["0"] = {"weight": torch.ones(2, 2)}
    for net, mask, told in (
        (layer(_parameters=[1]), {}, "the _parameters of a pickled Linear are no dictionary"),
        (layer(_buffers={"a": 3}), {}, "is no dictionary of plain tensors"),
        (inner, {}, "'0' is a dict, not a module"),
        (layer(), {layer(): torch.ones(2, 2)}, "belongs to a module that is not in its 'net'"),
        (3, {"a": torch.ones(2)}, "'net' is no dictionary of plain tensors"),
    ):
        torch.save({"net": net, "mask": mask}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")


def test_a_module_inside_itself(tmp_path):
    outer = nn.Sequential(nn.Linear(2, 2))
    outer._modules["self"] = outer
    torch.save({"net": outer, "mask": {}}, tmp_path / "a")
    with pytest.raises(UserError, match="nested more than 50 deep"):
        wn.import_ticket(tmp_path / "a")


def command(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["winnow", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command_writes_the_ticket(tmp_path, capsys):
    model = grown(Fc([784, 30, 10, 10]))
    masks = random_masks(model)
    folder = foreign_files.open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    to = tmp_path / "new" / "ticket.safetensors"
    assert command(folder, "--to", to, "--model", "lenet-300-100", "--layout", "open_lth") == 0
    told = capsys.readouterr().out
    assert "open_lth: mask.pth, model_ep0_it0.pth\n" in told
    assert f"{sum(int(m.sum()) for m in masks.values())} of 23920 kept" in told
    assert "  hidden: [30, 10]\n" in told
    assert f"ticket: {to}\n" in told
    written = wn.load(to)
    expected = wn.import_ticket(folder, model="lenet-300-100")
    assert written.mask == expected.mask
    assert same(written.rewind, dict(expected.rewind))


def test_the_command_writes_nothing_of_a_wrong_file(tmp_path, capsys):
    torch.save({"a": torch.randn(3)}, tmp_path / "a.pt")
    assert command(tmp_path / "a.pt", "--to", tmp_path / "ticket") == 2
    assert "no mask or masked network of open_lth, grasp, synaptic-flow" in capsys.readouterr().err
    assert command(tmp_path / "none.pt", "--to", tmp_path / "ticket") == 1
    assert "none.pt: No such file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
