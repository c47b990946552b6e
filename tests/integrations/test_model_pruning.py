"""What docs/trainers.md says of Lightning's own ModelPruning, measured beside SparseCallback."""

from __future__ import annotations

import pytest
import torch

import winnow as wn

pl = pytest.importorskip("lightning.pytorch", reason="needs winnow[lightning]")

from lightning_modules import Module, loader, trainer  # noqa: E402

from winnow.integrations.lightning import SparseCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
]


def theirs(module: Module, lottery: bool = False) -> pl.callbacks.ModelPruning:
    layers = [(module.net[k], "weight") for k in (0, 3, 4)]
    return pl.callbacks.ModelPruning(
        "l1_unstructured", layers, amount=0.5, use_lottery_ticket_hypothesis=lottery,
        make_pruning_permanent=True,
    )  # fmt: skip


class Seen(pl.Callback):
    """The first layer's weight and momentum after the first batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 0:
            self.names = list(pl_module.state_dict())
            self.weight = pl_module.net[0].weight.detach().clone()
            (opt,) = trainer.optimizers
            named = dict(pl_module.named_parameters())
            held = named.get("net.0.weight_orig", named.get("net.0.weight"))
            self.held = held.detach().clone()
            self.momentum = opt.state[held]["momentum_buffer"].clone()


def test_it_keeps_removed_weights_and_their_momenta_beside_a_mask_of_other_names():
    module, seen = Module(), Seen(1)
    trainer(theirs(module), seen).fit(module, loader())
    gone = seen.weight == 0
    assert 0.3 < gone.float().mean() < 0.7
    assert seen.held[gone].all(), "weight_orig lives on"
    assert seen.momentum[gone].all(), "and so does its momentum"
    assert "net.0.weight_orig" in seen.names
    assert "net.0.weight" not in seen.names

    module, seen = Module(), Seen(1)
    mask = wn.prune(wn.score(module, "magnitude"), density=0.5)
    trainer(SparseCallback(mask), seen).fit(module, loader())
    gone = ~mask["net.0.weight"]
    assert not seen.held[gone].any()
    assert not seen.momentum[gone].any()
    assert seen.names == list(Module().state_dict())


@pytest.mark.skipif(pl.__version__ < "2.6", reason="before, its resets did not find the weights")
def test_its_lottery_resets_weights_and_nothing_else():
    """Momenta, batch norm and schedule go on from the training before."""
    start = {name: t.clone() for name, t in Module().state_dict().items()}

    class AtTheReset(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                held = dict(pl_module.named_parameters())["net.0.weight_orig"]
                self.momentum = trainer.optimizers[0].state[held]["momentum_buffer"].clone()
                self.reset = torch.equal(held, start["net.0.weight"])
                self.batches = int(pl_module.net[1].num_batches_tracked)
                self.last = trainer.lr_scheduler_configs[0].scheduler.last_epoch

    module, seen = Module(), AtTheReset()
    trainer(theirs(module, lottery=True), seen).fit(module, loader())
    assert seen.reset
    assert seen.momentum.any()
    assert seen.batches == seen.last == 12

    class AtTheStart(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            self.fresh = not trainer.optimizers[0].state
            self.batches = int(pl_module.net[1].num_batches_tracked)
            self.last = trainer.lr_scheduler_configs[0].scheduler.last_epoch
            self.weight = pl_module.net[0].weight.detach().clone()

    ours = AtTheStart()

    def train(module, attach):
        trainer(SparseCallback(attach), ours, epochs=1).fit(module, loader())

    ticket = wn.imp(Module, train, rate=0.5, rounds=1)
    assert ours.fresh
    assert ours.batches == ours.last == 0
    assert torch.equal(ours.weight, start["net.0.weight"] * ticket.mask["net.0.weight"])


def test_its_mask_does_not_travel_in_the_checkpoint(tmp_path):
    """A resume trains what was removed, until the epoch ends and another half of all goes."""
    module = Module()
    fit = trainer(theirs(module), epochs=1)
    fit.fit(module, loader())
    fit.save_checkpoint(tmp_path / "theirs.ckpt")
    gone = torch.load(tmp_path / "theirs.ckpt", weights_only=True)["state_dict"]
    gone = gone["net.0.weight"] == 0
    resumed, seen = Module(), Seen(1)
    trainer(theirs(resumed), seen, epochs=2).fit(
        resumed, loader(), ckpt_path=tmp_path / "theirs.ckpt"
    )
    assert seen.held[gone].any(), "revived, without a warning: warnings are errors here"
