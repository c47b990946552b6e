"""The first mask: batches that nobody misses, the place of a mask in a model, one for all ranks."""

from __future__ import annotations

import os
import random
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import winnow as wn
from winnow.errors import UserError
from winnow.integrations.first import LossOf, agreed, first_batches, placed, scored_mask
from winnow.integrations.wanted import asked_for
from winnow.mask import Mask

X = torch.arange(24.0).reshape(12, 2)


class Noisy(TensorDataset):
    """Draws from every global generator, as augmentations do."""

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        return super().__getitem__(index)[0] + noise


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


def states() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.mark.parametrize("own", [False, True])
def test_batches_are_drawn_without_a_trace(own):
    def loader():
        draws = torch.Generator().manual_seed(1) if own else None
        return DataLoader(Noisy(X), batch_size=3, shuffle=True, generator=draws)

    def epoch(given):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        return torch.cat(list(given))

    untouched, read = loader(), loader()
    before = states()
    found = first_batches(read, 2, seed=5)
    assert states() == before
    assert torch.equal(epoch(untouched), epoch(read))
    assert len(found) == 2
    if own:
        return
    again, other = first_batches(loader(), 2, seed=5), first_batches(loader(), 2, seed=6)
    order = [batch[:, 1] - batch[:, 0] for batch in found]
    assert all(len(part) == 3 for part in order)
    assert [b[:, 0].floor().tolist() for b in found] == [b[:, 0].floor().tolist() for b in again]
    assert [b[:, 0].floor().tolist() for b in found] != [b[:, 0].floor().tolist() for b in other]


def test_persistent_workers_go_on_with_their_epoch():
    """A DataLoader has one iterator for its workers: asking for another would start it anew."""
    loader = DataLoader(TensorDataset(X), batch_size=3, num_workers=1, persistent_workers=True)
    training = iter(loader)
    first = next(training)[0]
    assert torch.equal(first_batches(loader, 2, seed=0)[1][0], X[3:6])
    rest = [batch[0] for batch in training]
    assert torch.equal(torch.cat([first, *rest]), X)
    stream = DataLoader(Stream(), batch_size=3, num_workers=1)
    assert torch.equal(first_batches(stream, 2, seed=0)[1], X[3:6])


def test_what_can_be_read_once_only_or_is_too_short_is_refused():
    with pytest.raises(UserError, match="can be read only once"):
        first_batches(iter([1, 2]), 1, seed=0)
    with pytest.raises(UserError, match="batches=3, but the train dataloader gives 2"):
        first_batches([1, 2], 3, seed=0)


class Inside(nn.Module):
    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
        if twice:
            self.other = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))


def test_a_mask_finds_its_place():
    mask = wn.prune(wn.score(Inside().net, "magnitude"), density=0.5)
    model = Inside()
    found, part = placed(mask, model)
    assert part is model.net
    assert {n: found[n].tolist() for n in found} == {f"net.{n}": mask[n].tolist() for n in mask}
    whole, part = placed(found, model)
    assert part is model
    assert whole == found
    with pytest.raises(UserError, match="the mask fits net and other: name its tensors"):
        placed(mask, Inside(twice=True))
    with pytest.raises(UserError, match="the mask is for another network"):
        placed(Mask({"0.weight": torch.ones(1, 1, dtype=torch.bool)}), model)
    with pytest.raises(UserError, match="empty"):
        placed(Mask({}), model)


def test_scores_by_a_models_own_loss():
    """Against wn.prune_at_init with a loss function; densities by name, ignored tensors."""
    model = Inside()
    target = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))

    def loss(outputs, _=None):
        return (outputs - target).square().mean()

    def own():
        return LossOf(model, lambda module, batch: loss(module.net(batch)))

    density = {"net.0.*": 0.5, "net.1.*": 0.25}
    wanted = asked_for(criterion="snip", density=density)
    mask = scored_mask(wanted, model, own, [X])
    expected = wn.prune_at_init(
        model.net, "snip", density={"0.*": 0.5, "1.*": 0.25}, batch=(X, target), loss_fn=loss
    )
    assert all(torch.equal(mask[f"net.{name}"], expected[name]) for name in expected)
    one = scored_mask(asked_for(criterion="snip", density=0.5, ignore="*.0.*"), model, own, [X])
    assert list(one) == ["net.1.weight"]
    assert one.kept == round(0.5 * 9)
    with pytest.raises(UserError, match="covers all that competes"):
        scored_mask(asked_for(criterion="snip", density=0.5, ignore="*"), model, own, [X])
    free = scored_mask(asked_for(criterion="magnitude", density=0.5), model, own, [])
    assert free == wn.prune_at_init(model, "magnitude", density=0.5)


@pytest.mark.parametrize("criterion", ["snip", "obd", "data-dependent", "mlprune"])
@pytest.mark.parametrize("kind", ["pair", "mapping"])
def test_every_criterion_that_a_loss_is_enough_for(criterion, kind):
    """Batches as loaders give them, against tensors and a loss function."""
    model = Inside()
    target = torch.arange(12) % 3
    batch = [X, target] if kind == "pair" else {"x": X, "y": target}

    def training_step(module, given):
        x, y = given if kind == "pair" else (given["x"], given["y"])
        return F.cross_entropy(module.net(x), y)

    wanted = asked_for(criterion=criterion, density=0.4)
    mask = scored_mask(wanted, model, lambda: LossOf(model, training_step), [batch])
    expected = wn.prune_at_init(
        model.net, criterion, density=0.4, batch=(X, target), loss_fn=F.cross_entropy
    )
    assert all(torch.equal(mask[f"net.{name}"], expected[name]) for name in expected)


def test_grasp_divides_logits_and_a_loss_has_none():
    model = Inside()

    def training_step(module, batch):
        return F.cross_entropy(module.net(batch[0]), batch[1])

    with pytest.raises(UserError, match=r"make the mask with wn\.prune_at_init and pass it"):
        scored_mask(
            asked_for(criterion="grasp", density=0.5), model, lambda: LossOf(model, training_step),
            [[X, torch.arange(12) % 3]],
        )  # fmt: skip


@pytest.mark.parametrize("given", [None, torch.ones(2), "loss"])
def test_a_loss_is_one_number(given):
    with pytest.raises(UserError, match="the model's own loss of a training batch is"):
        LossOf(Inside(), lambda *_: given)([X])


def _rank(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mask = Mask({"w": torch.arange(6) % 3 == rank})
    agreed(mask).save(f"{folder}/{rank}.safetensors")
    dist.destroy_process_group()


def test_all_processes_hold_the_mask_of_the_first(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_rank, (port, str(tmp_path)), nprocs=2, start_method="fork")
    first, second = (Mask.load(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert first == second == Mask({"w": torch.arange(6) % 3 == 0})
    alone = Mask({"w": torch.tensor([True])})
    assert agreed(alone) is alone
