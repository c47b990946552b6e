"""Tickets: whole files, strict fit, exact weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError
from winnow.mask import Mask


def network(seed: int = 0, width: int = 6) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))


def ticket(final: bool = True) -> wn.Ticket:
    mask = wn.prune(wn.score(network(), "magnitude"), density=0.3)
    trained = network(1).state_dict() if final else None
    return wn.Ticket(mask, network().state_dict(), trained, {"criterion": "magnitude", "round": 3})


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[n], other[n]) and one[n].dtype == other[n].dtype for n in one
    )


@pytest.mark.parametrize("final", [True, False])
def test_save_and_load(tmp_path: Path, final: bool) -> None:
    saved = ticket(final)
    saved.save(tmp_path / "ticket.safetensors")
    loaded = wn.load(str(tmp_path / "ticket.safetensors"))
    assert loaded.mask == saved.mask
    assert list(loaded.mask) == list(saved.mask)
    assert same(dict(loaded.rewind), dict(saved.rewind))
    assert (loaded.final is None) == (not final)
    if loaded.final is not None and saved.final is not None:
        assert same(dict(loaded.final), dict(saved.final))
    assert loaded.provenance == {"criterion": "magnitude", "round": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["ticket.safetensors"]
    assert repr(loaded).startswith("Ticket(Mask(2 tensors, 13 of 42")


def test_any_safetensors_reader_sees_the_tensors(tmp_path: Path) -> None:
    from safetensors import safe_open

    ticket().save(tmp_path / "t")
    with safe_open(str(tmp_path / "t"), "pt") as file:
        assert file.get_tensor("mask/0.weight").dtype == torch.uint8
        assert torch.equal(file.get_tensor("rewind/0.weight"), network()[0].weight)
        assert "checksum" in file.metadata()["winnow"]


def test_dtypes_tied_and_strided_weights_survive(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3).to(torch.bfloat16), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[1].weight
    model[0].weight = nn.Parameter(torch.arange(9.0).reshape(3, 3).t().to(torch.bfloat16))
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    wn.Ticket(mask, model.state_dict()).save(tmp_path / "t")
    loaded = wn.load(tmp_path / "t")
    assert same(dict(loaded.rewind), dict(model.state_dict()))
    loaded.apply(model)
    assert model[2].weight is model[1].weight
    assert int((model[1].weight != 0).sum()) == mask.kept_per_layer["1.weight"]


@pytest.mark.parametrize("weights", ["rewind", "final", "none"])
def test_apply(weights: str) -> None:
    made, model = ticket(), network(5)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    source = {"rewind": made.rewind, "final": made.final, "none": before}[weights]
    assert source is not None
    assert made.apply(model, weights=weights) is made.mask
    for name, tensor in model.state_dict().items():
        expected = source[name]
        if name in made.mask:
            expected = torch.where(made.mask[name], expected, torch.zeros(()))
        assert torch.equal(tensor, expected)
        assert not tensor[tensor == 0].signbit().any() if tensor.is_floating_point() else True


def test_apply_keeps_the_models_dtype_and_a_compiled_models_names() -> None:
    model = network(5).double()
    ticket().apply(model)
    assert model[0].weight.dtype == torch.float64
    compiled = torch.compile(network(5), backend="eager")
    assert isinstance(compiled, nn.Module)
    ticket().apply(compiled)


def test_a_ticket_for_another_network_leaves_the_model_untouched() -> None:
    wider = network(2, width=7)
    other = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    for model, weights, said in (
        (wider, "rewind", r"'0\.weight' is \[6, 4\] in the ticket, \[7, 4\] in the model.*more"),
        (other, "final", r"'1\.running_mean' is not in the model"),
        (nn.Sequential(*network(), nn.ReLU(), nn.Linear(1, 1)), "rewind", "not in the ticket"),
        (wider, "none", r"'0\.weight' is \[6, 4\] in the mask and is \[7, 4\] there"),
    ):
        before = {n: t.clone() for n, t in model.state_dict().items()}
        with pytest.raises(UserError, match=said):
            ticket().apply(model, weights=weights)
        assert same(dict(model.state_dict()), before)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown weights 'rewnd'.*'rewind'"):
        ticket().apply(network(), weights="rewnd")
    with pytest.raises(UserError, match="no final weights"):
        ticket(final=False).apply(network(), weights="final")
    with pytest.raises(UserError, match=r"'q'.*not there"):
        wn.Ticket(Mask({"q": torch.ones(1).bool()}), network().state_dict())
    with pytest.raises(UserError, match="'extra' is a dict, not a tensor"):
        wn.Ticket(Mask({}), {"extra": {}})  # type: ignore[dict-item]
    for value in (float("nan"), object()):
        with pytest.raises(UserError, match="plain JSON"):
            wn.Ticket(Mask({}), {}, None, {"x": value}).save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_the_tensors_are_copies() -> None:
    model = network()
    made = wn.Ticket(Mask({}), model.state_dict())
    with torch.no_grad():
        model[0].weight.zero_()
    assert made.rewind["0.weight"].any()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    ticket().save(tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    for place in range(0, len(good), 97):
        broken = bytearray(good)
        broken[place] ^= 0x55
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(UserError, match="broken"):
            wn.load(tmp_path / "broken")
    (tmp_path / "short").write_bytes(good[:-3])
    with pytest.raises(UserError, match="short is damaged"):
        wn.load(tmp_path / "short")
    ticket().mask.save(tmp_path / "mask")
    with pytest.raises(UserError, match="holds a mask, not a ticket"):
        wn.load(tmp_path / "mask")
    with pytest.raises(FileNotFoundError):
        wn.load(tmp_path / "none")
