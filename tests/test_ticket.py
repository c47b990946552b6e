"""Tickets: whole files, strict fit, exact weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError
from winnow.mask import Mask, to_bytes
from winnow.models import build
from winnow.pretrained import load_pretrained
from winnow.ticketfile import TicketParts, pack_ticket


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


def survivors(made: wn.Ticket, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with 0 where the ticket's mask removes."""
    kept = {n: torch.where(made.mask[n], weights[n], 0) for n in made.mask}
    return {**weights, **kept}


@pytest.mark.parametrize("final", [True, False])
def test_save_and_load(tmp_path: Path, final: bool) -> None:
    saved = ticket(final)
    saved.save(tmp_path / "ticket.safetensors", removed=True)
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
    assert saved.removed_known
    assert loaded.removed_known
    assert saved.digest is None
    assert loaded.digest is not None


@pytest.mark.parametrize("final", [True, False])
def test_a_file_holds_what_the_mask_keeps(tmp_path: Path, final: bool) -> None:
    saved = ticket(final)
    saved.save(tmp_path / "t")
    loaded = wn.load(tmp_path / "t")
    assert loaded.mask == saved.mask
    assert same(dict(loaded.rewind), survivors(saved, saved.rewind))
    assert not loaded.removed_known
    assert "removed weights left out" in repr(loaded)
    if loaded.final is not None and saved.final is not None:
        assert same(dict(loaded.final), survivors(saved, saved.final))
    for weights in ("rewind", "final") if final else ("rewind",):
        one, other = network(3), network(4)
        loaded.apply(one, weights)
        saved.apply(other, weights)
        assert same(dict(one.state_dict()), dict(other.state_dict()))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "t").read_bytes()
    with pytest.raises(UserError, match=r"rewind weights: .* are wanted that are not known"):
        loaded.save(tmp_path / "whole", removed=True)
    assert not (tmp_path / "whole").exists()


def test_removed_weights_that_are_zero_are_known_without_being_written(tmp_path: Path) -> None:
    made = ticket(final=False)
    zeroed = wn.Ticket(made.mask, survivors(made, made.rewind))
    zeroed.save(tmp_path / "t")
    loaded = wn.load(tmp_path / "t")
    assert loaded.removed_known
    loaded.save(tmp_path / "whole", removed=True)
    assert same(dict(wn.load(tmp_path / "whole").rewind), dict(zeroed.rewind))


def test_negative_zeros_come_back(tmp_path: Path) -> None:
    mask = Mask({"w": torch.tensor([True, False])})
    wn.Ticket(mask, {"w": torch.tensor([-0.0, -0.0])}).save(tmp_path / "t", removed=True)
    assert wn.load(tmp_path / "t").rewind["w"].signbit().all()
    wn.Ticket(mask, {"w": torch.tensor([-0.0, -0.0])}).save(tmp_path / "t")
    loaded = wn.load(tmp_path / "t")
    assert loaded.removed_known  # it is 0 either way
    assert loaded.rewind["w"].signbit().tolist() == [True, False]


def test_half_rounds_and_comes_back_in_its_dtype(tmp_path: Path) -> None:
    made = ticket()
    made.save(tmp_path / "t", half=True)
    loaded = wn.load(tmp_path / "t")
    for name, tensor in survivors(made, made.rewind).items():
        assert loaded.rewind[name].dtype == tensor.dtype
        expected = tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.rewind[name], expected)


def test_a_lenet_at_3_6_percent_is_small(tmp_path: Path) -> None:
    """Both copies of the weights, of another distribution each: 2,169 KB before."""
    model = build("lenet-300-100", inputs=(1, 28, 28), classes=10)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            torch.nn.init.xavier_normal_(
                parameter, generator=torch.Generator().manual_seed(len(name))
            )
    begun = {n: t.detach().clone() for n, t in model.state_dict().items()}
    final = {n: 2 * t + 0.01 * torch.randn(t.shape) for n, t in begun.items()}
    mask = wn.prune(wn.score(model, "magnitude"), density=0.036)
    wn.Ticket(mask, begun, final).save(tmp_path / "t")
    assert (tmp_path / "t").stat().st_size <= 80_000
    wn.Ticket(mask, begun, final).save(tmp_path / "half", half=True)
    assert (tmp_path / "half").stat().st_size <= 50_000


def test_files_of_before_there_were_digests_load(tmp_path: Path) -> None:
    made = ticket()
    packed, shapes = made.mask.pack()
    tensors = {f"mask/{n}": t for n, t in packed.items()}
    tensors |= {f"rewind/{n}": t for n, t in made.rewind.items()}
    tensors |= {f"final/{n}": t for n, t in (made.final or {}).items()}
    about = {"shapes": shapes, "provenance": dict(made.provenance), "final": True}
    (tmp_path / "old").write_bytes(to_bytes("ticket", tensors, about, digest=False))
    loaded = wn.load(tmp_path / "old")
    assert loaded.digest is None
    assert loaded.removed_known
    assert loaded.mask == made.mask
    assert loaded.provenance == made.provenance
    assert same(dict(loaded.rewind), dict(made.rewind))
    assert loaded.final is not None
    assert same(dict(loaded.final), dict(made.final or {}))


def test_dtypes_tied_and_strided_weights_survive(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3).to(torch.bfloat16), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[1].weight
    model[0].weight = nn.Parameter(torch.arange(9.0).reshape(3, 3).t().to(torch.bfloat16))
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    wn.Ticket(mask, model.state_dict()).save(tmp_path / "t", removed=True)
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


def test_no_bit_can_flip_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit of the file: its header, its metadata and its tensors."""
    mask = Mask({"w": torch.tensor([[True, False, True]] * 3)})
    weights = {"w": torch.randn(3, 3), "n": torch.tensor(7)}
    wn.Ticket(mask, weights, None, {"from": "é", "n": 1.5}).save(tmp_path / "t")
    good = wn.load(tmp_path / "t")
    whole, read = (tmp_path / "t").read_bytes(), bytearray()
    monkeypatch.setattr(Path, "read_bytes", lambda _: bytes(read))
    unseen = []
    for bit in range(8 * len(whole)):
        read = bytearray(whole)
        read[bit // 8] ^= 1 << bit % 8
        try:
            loaded = wn.load("flipped")
        except UserError as error:
            assert "flipped" in str(error)  # noqa: PT017 - almost all of them
            continue
        unseen.append(bit)
        assert loaded.mask == good.mask
        assert same(dict(loaded.rewind), dict(good.rewind))
        assert (loaded.provenance, loaded.digest) == (good.provenance, good.digest)
    assert len(unseen) < 8  # JSON can say the same in other ways: 1.5 and 1.50


def test_shapes_larger_than_memory_are_refused(tmp_path: Path) -> None:
    """A file whose digest is right, and which holds next to nothing of what it tells of."""
    mask = Mask({"w": torch.zeros(4, dtype=torch.bool)})
    parts = TicketParts(mask, {"w": torch.zeros(4)}, None, {})
    for size in (2**62, 2**63 - 1):
        _, about = pack_ticket(parts, removed=False, half=False)
        about["mask"][0][1:] = [[size], "gaps", 0]
        about["rewind"]["layout"][0][2] = [size]
        (tmp_path / "t").write_bytes(to_bytes("ticket", {}, about))
        with pytest.raises(UserError, match="t is damaged"):
            wn.load(tmp_path / "t")


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


def meta(part: str) -> nn.Module:
    """A network of which all, a layer's weight, or a buffer holds no numbers."""
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    if part == "all":
        return network.to("meta")
    if part == "weight":
        network[2].weight = nn.Parameter(network[2].weight.to("meta"))
    if part == "bias":
        network[0].bias = nn.Parameter(network[0].bias.to("meta"))
    if part == "buffer":
        network[1].running_mean = network[1].running_mean.to("meta")
    return network


@pytest.mark.parametrize("part", ["all", "weight", "bias", "buffer"])
def test_a_model_without_memory_is_refused_and_untouched(part: str) -> None:
    source = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    mask = wn.Mask({"2.weight": torch.ones(2, 3, dtype=torch.bool)})
    ticket = wn.Ticket(mask, source.state_dict(), source.state_dict())
    model = meta(part)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    for weights in ("rewind", "final", "none"):
        if weights == "none" and part in ("bias", "buffer"):  # which it does not write to
            ticket.apply(model, weights=weights)
            continue
        with pytest.raises(UserError, match=r"on the meta device.*to_empty"):
            ticket.apply(model, weights=weights)
    for name, tensor in model.state_dict().items():
        assert tensor.is_meta == before[name].is_meta
        assert tensor.is_meta or torch.equal(tensor, before[name])
    ticket.apply(model.to_empty(device="cpu"))
    assert all(torch.equal(t, source.state_dict()[n]) for n, t in model.state_dict().items())


def test_other_ways_into_a_meta_model() -> None:
    source = nn.Linear(4, 3)
    with pytest.raises(UserError, match="on the meta device"):
        load_pretrained(nn.Linear(4, 3, device="meta"), source)
    mask = wn.Mask({"weight": torch.ones(3, 4, dtype=torch.bool)})
    with pytest.raises(UserError, match="'weight' is on the meta device"):
        wn.Ticket(mask, nn.Linear(4, 3, device="meta").state_dict())
    with pytest.raises(UserError, match="on the meta device"):
        wn.sparsify(nn.Linear(4, 3, device="meta"), mask)


def test_a_fake_or_expanded_model_is_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    source = nn.Linear(4, 3)
    mask = wn.Mask({"weight": torch.ones(3, 4, dtype=torch.bool)})
    ticket = wn.Ticket(mask, source.state_dict())
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = nn.Linear(4, 3)
    with pytest.raises(UserError, match="hold no numbers"):
        ticket.apply(fake)
    expanded = nn.Linear(4, 3)
    expanded.weight = nn.Parameter(torch.zeros(1, 4).expand(3, 4))
    with pytest.raises(UserError, match="'weight' of the model is expanded"):
        ticket.apply(expanded)
