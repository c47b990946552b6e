"""Trained weights from modules, dictionaries and files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from winnow import Mask, Ticket, UserError, statefile
from winnow.mask import to_bytes
from winnow.pretrained import load_pretrained
from winnow.state import fresh_state


def network(seed: int = 0, width: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))


@pytest.fixture
def trained() -> nn.Module:
    model = network(1)
    model(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    return model


def check_same(model: nn.Module, other: nn.Module) -> None:
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_modules_dictionaries_and_states(trained: nn.Module) -> None:
    weights = trained.state_dict()
    for source in (
        trained,
        weights,
        {"state_dict": weights, "epoch": 3},
        {f"module.{name}": value for name, value in weights.items()},
        {"model": {f"module._orig_mod.{name}": value for name, value in weights.items()}},
        fresh_state(trained),
    ):
        model = network()
        load_pretrained(model, source)
        check_same(model, trained)


def test_files(trained: nn.Module, tmp_path: Path) -> None:
    save_file(trained.state_dict(), tmp_path / "plain.safetensors")
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "weights.pth")
    tensors, about = statefile.pack_state(fresh_state(trained))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "final.safetensors").write_bytes(to_bytes("state", tensors, about))
    mask = Mask.dense({"0.weight": trained.state_dict()["0.weight"]})
    other = network(2).state_dict()
    Ticket(mask, other, trained.state_dict()).save(tmp_path / "trained.safetensors")
    Ticket(mask, trained.state_dict()).save(tmp_path / "fresh.safetensors", removed=True)
    for name in (
        "plain.safetensors", "weights.pth", "run", "run/final.safetensors",
        "trained.safetensors", "fresh.safetensors",
    ):  # fmt: skip
        model = network()
        load_pretrained(model, tmp_path / name)
        check_same(model, trained)


def test_values_become_those_of_the_models_dtype(trained: nn.Module) -> None:
    model = network().double()
    load_pretrained(model, trained)
    assert torch.equal(model[0].weight, trained[0].weight.double())


def test_files_of_early_torch_have_no_counter_of_batches(trained: nn.Module) -> None:
    weights = {n: v for n, v in trained.state_dict().items() if "num_batches" not in n}
    model = network()
    load_pretrained(model, weights)
    assert torch.equal(model[1].running_mean, trained[1].running_mean)


def test_all_faults_are_told_and_the_model_is_untouched(trained: nn.Module) -> None:
    weights = trained.state_dict()
    weights["head"] = weights.pop("2.weight")
    weights["0.weight"] = torch.zeros(6, 5)
    model = network()
    with pytest.raises(UserError) as error:
        load_pretrained(model, weights)
    text = str(error.value)
    assert "missing '2.weight'; unexpected 'head'" in text
    assert "'0.weight' is [6, 5] there and [6, 4] in the model" in text
    check_same(model, network())
    with pytest.raises(UserError, match="'lr' is a float, not a tensor"):
        load_pretrained(model, {**trained.state_dict(), "lr": 0.1})


def test_files_that_hold_no_weights(trained: nn.Module, tmp_path: Path) -> None:
    mask = tmp_path / "mask.safetensors"
    Mask.dense({"0.weight": trained.state_dict()["0.weight"]}).save(mask)
    with pytest.raises(UserError, match="holds a mask, which has no weights"):
        load_pretrained(network(), mask)
    for name in ("broken.safetensors", "broken.pt"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(UserError, match="broken"):
            load_pretrained(network(), tmp_path / name)
        with pytest.raises(FileNotFoundError):
            load_pretrained(network(), tmp_path / f"no-{name}")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="holds a list"):
        load_pretrained(network(), tmp_path / "list.pt")
