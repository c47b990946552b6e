"""Lightning's Trainer with SparseCallback, against plain loops with wn.sparsify and wn.dynamic."""

from __future__ import annotations

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow.errors import UserError

pl = pytest.importorskip("lightning.pytorch", reason="needs winnow[lightning]")

from lightning_modules import (  # noqa: E402
    Module,
    Resumable,
    batches,
    loader,
    network,
    optimizer,
    trainer,
)

from winnow.integrations.lightning import SparseCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]
METHODS = ("rigl", "set", "deep-r", "dsr", "snfs", "gradual")


def a_mask(model: nn.Module, density: float = 0.3) -> wn.Mask:
    return wn.prune(wn.score(model, "magnitude"), density=density)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def slots(opt: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [v for s in opt.state.values() for v in s.values() if isinstance(v, torch.Tensor)]


class Watch(pl.Callback):
    """Checks after each step that everything removed is zero; keeps masks and what moved."""

    def __init__(self, sparse: SparseCallback, gradients: bool = True) -> None:
        self.sparse = sparse
        self.gradients = gradients
        self.masks: list[wn.Mask] = []
        self.weights: list[list[torch.Tensor]] = []
        self.global_steps: list[int] = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        mask = self.sparse.mask
        named = dict(pl_module.named_parameters())
        for name in mask:
            gone = ~mask[name]
            weight = named[name]
            assert not weight[gone].any()
            assert not weight[gone].signbit().any()
            for opt in trainer.optimizers:
                for slot in opt.state.get(weight, {}).values():
                    if slot.shape == weight.shape:
                        assert not slot[gone].any()
            if weight.grad is not None and self.gradients:
                assert not weight.grad[gone].any()
        self.masks.append(mask)
        self.weights.append([p.detach().clone() for p in pl_module.parameters()])
        self.global_steps.append(trainer.global_step)


class Stop(pl.Callback):
    """Interrupts a training."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise InterruptedError


def by_hand(method: str, accumulated: int = 1, clip: float | None = None) -> tuple:
    """The same training in a loop of one's own."""
    model = Module()
    opt, schedule = model.configure_optimizers()
    opt, schedule = opt[0], schedule[0]["scheduler"]
    steps = 24 // accumulated
    with wn.dynamic(
        model, method, optimizer=opt, density=0.3, steps=f"{steps}it", every="3it"
    ) as sparse:
        for _ in range(2):
            for index, (x, y) in enumerate(batches()):
                if index % accumulated == 0:
                    opt.zero_grad()
                (F.cross_entropy(model.net(x), y) / accumulated).backward()
                if (index + 1) % accumulated == 0:
                    if clip:
                        nn.utils.clip_grad_norm_(model.parameters(), clip)
                    sparse.step()
                    schedule.step()
    return model, opt, sparse.mask


@pytest.mark.parametrize(("accumulated", "clip"), [(1, None), (2, 0.5)])
@pytest.mark.parametrize("method", METHODS)
def test_a_dynamic_method_is_that_of_a_loop_of_ones_own(method, accumulated, clip):
    """Weights, slots and masks in the same bits, with accumulation and clipping too."""
    expected, its_optimizer, mask = by_hand(method, accumulated, clip)
    sparse, module = SparseCallback(method=method, density=0.3, every="3it"), Module()
    fit = trainer(sparse, accumulate_grad_batches=accumulated, gradient_clip_val=clip)
    fit.fit(module, loader())
    assert sparse.mask == mask
    assert same(module, expected)
    pairs = zip(slots(fit.optimizers[0]), slots(its_optimizer), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_update_takes_the_place_of_a_step_and_the_trainer_counts_it():
    sparse = SparseCallback(method="rigl", density=0.3, every="3it", end="12it")
    watch, module = Watch(sparse), Module("adamw")
    trainer(sparse, watch).fit(module, loader())
    assert watch.global_steps == list(range(1, 25))
    for step in range(1, 24):
        pairs = zip(watch.weights[step], watch.weights[step - 1], strict=True)
        biases = [torch.equal(now, before) for now, before in pairs if now.dim() == 1]
        assert all(biases) == any(biases) == (step in (3, 6, 9)), "nothing moves in an update"
    changed = [k for k in range(1, 24) if watch.masks[k] != watch.masks[k - 1]]
    assert changed == [3, 6, 9]


def test_value_clipping_does_not_reach_what_rigl_reads():
    """Clipped to 1e-6 nearly all gradients are equal; RigL grows by what they were."""

    def masks(clip):
        sparse = SparseCallback(method="rigl", density=0.3, every="2it", end="1it")
        fit = trainer(sparse, max_steps=1, gradient_clip_val=clip, gradient_clip_algorithm="value")
        fit.fit(Module(), loader())
        return sparse.mask

    assert masks(1e-6) == masks(None)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_fixed_mask_is_exact_in_weights_gradients_and_slots(kind):
    module = Module(kind)
    mask = a_mask(module)
    sparse = SparseCallback(mask)
    watch = Watch(sparse)
    trainer(sparse, watch, gradient_clip_val=0.5).fit(module, loader())
    assert len(watch.masks) == 24
    assert sparse.mask == mask
    expected = Module(kind)
    opt, schedule = (one[0] for one in expected.configure_optimizers())
    with wn.sparsify(expected, mask, opt):
        for _ in range(2):
            for x, y in batches():
                opt.zero_grad()
                F.cross_entropy(expected.net(x), y).backward()
                nn.utils.clip_grad_norm_(expected.parameters(), 0.5)
                opt.step()
                schedule["scheduler"].step()
    assert same(module, expected)


def test_tickets_masks_and_paths_of_a_network_find_their_place_in_the_module(tmp_path):
    """Made for the network, trained inside of a module; a ticket brings its weights."""
    net = network()
    mask = a_mask(net)
    other = {name: torch.randn_like(t) if t.is_floating_point() else t.clone()
             for name, t in net.state_dict().items()}  # fmt: skip
    ticket = wn.Ticket(mask, other)
    ticket.save(tmp_path / "t.safetensors")
    mask.save(tmp_path / "m.safetensors")
    runs = []
    for given in (ticket, tmp_path / "t.safetensors", mask, str(tmp_path / "m.safetensors")):
        sparse, module = SparseCallback(given), Module()
        trainer(sparse, max_steps=1).fit(module, loader())
        assert set(sparse.mask) == {f"net.{name}" for name in mask}
        assert all(torch.equal(sparse.mask[f"net.{name}"], mask[name]) for name in mask)
        runs.append(module)
    assert same(runs[0], runs[1])
    assert same(runs[2], runs[3])
    assert not same(runs[0], runs[2])
    expected = Module()
    ticket.apply(expected.net)
    trainer(SparseCallback(mask), max_steps=1).fit(expected, loader())
    assert same(runs[0], expected)


def test_pruning_at_initialisation_scores_training_step_and_disturbs_nothing():
    reference = Module()
    found = wn.prune_at_init(
        reference.net, "snip", density=0.2, loader=batches()[:2], loss_fn=F.cross_entropy
    )
    sparse, module = SparseCallback(criterion="snip", density=0.2, batches=2), Module()
    trainer(sparse).fit(module, loader())
    assert all(torch.equal(sparse.mask[f"net.{name}"], found[name]) for name in found)
    assert module.calls == 24, "scoring is no step of the training"
    given = Module()
    trainer(SparseCallback(found)).fit(given, loader())
    assert same(module, given)


def test_scoring_takes_nothing_from_a_shuffled_loader():
    def trained(*callbacks):
        torch.manual_seed(5)
        module = Module()
        trainer(*callbacks).fit(module, loader(shuffle=True))
        return module

    first = SparseCallback(criterion="snip", density=0.3)
    with_scores = trained(first)
    again = SparseCallback(criterion="snip", density=0.3)
    trained(again)
    assert again.mask == first.mask
    assert same(with_scores, trained(SparseCallback(first.mask)))


def test_criteria_without_data_and_own_ones_are_options_of_the_callback():
    for criterion, options in (("magnitude", {"scope": "layer"}), ("random", {"seed": 3})):
        sparse = SparseCallback(criterion=criterion, density=0.25, **options)
        module = Module()
        expected = wn.prune_at_init(module, criterion, density=0.25, **options)
        trainer(sparse, max_steps=1).fit(module, loader())
        assert sparse.mask == expected
    only = SparseCallback(criterion="snip", density={"*.0.weight": 0.5, "*.4.weight": 0.25},
                          ignore="*.3.weight")  # fmt: skip
    trainer(only, max_steps=1).fit(Module(), loader())
    assert only.mask.densities == {"net.0.weight": 0.5, "net.4.weight": 0.25}


@pytest.mark.parametrize("mid_epoch", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_training_goes_on_bit_identically(method, mid_epoch, tmp_path):
    """In the middle of an epoch as well, where the loader tells where it is."""

    def callback():
        return SparseCallback(method=method, density=0.3, every="3it")

    def data():
        return Resumable() if mid_epoch else loader()

    whole, of_whole = callback(), Module()
    trainer(whole, epochs=3).fit(of_whole, data())

    save = pl.callbacks.ModelCheckpoint(
        tmp_path, every_n_train_steps=17 if mid_epoch else 12, save_top_k=-1
    )
    cut = trainer(callback(), save, Stop(20), epochs=3, enable_checkpointing=True)
    with pytest.raises(InterruptedError):
        cut.fit(Module(), data())
    (path,) = tmp_path.iterdir()
    save = copy.deepcopy(save)
    rest, of_rest = callback(), Module()
    trainer(rest, save, epochs=3, enable_checkpointing=True).fit(of_rest, data(), ckpt_path=path)
    assert rest.mask == whole.mask
    assert same(of_rest, of_whole)
    saved = SparseCallback.mask_of(path)
    weights = torch.load(path, weights_only=True)["state_dict"]
    assert all(not weights[name][~saved[name]].any() for name in saved)
    assert saved.kept == rest.mask.kept or method in ("gradual", "dsr")


def checkpoint(tmp_path, *callbacks, epochs=1):
    module = Module()
    fit = trainer(*callbacks, epochs=epochs)
    fit.fit(module, loader())
    path = tmp_path / "last.ckpt"
    fit.save_checkpoint(path)
    return path, module


def test_a_resume_without_the_callback_is_told_by_lightning(tmp_path):
    mask = a_mask(Module())
    path, _ = checkpoint(tmp_path, SparseCallback(mask))
    module = Module()
    with pytest.warns(UserWarning, match="add the following callbacks: .'SparseCallback'"):
        trainer(epochs=2).fit(module, loader(), ckpt_path=path)
    named = dict(module.named_parameters())
    assert any(named[name][~mask[name]].any() for name in mask), "this is what it warns of"


def test_a_fixed_mask_comes_back_from_the_checkpoint(tmp_path):
    path, _ = checkpoint(tmp_path, SparseCallback(criterion="snip", density=0.2))
    resumed = SparseCallback(criterion="snip", density=0.2)
    watch, module = Watch(resumed), Module()
    trainer(resumed, watch, epochs=2).fit(module, loader(), ckpt_path=path)
    assert len(watch.masks) == 12
    assert resumed.mask == SparseCallback.mask_of(path)


def test_another_callback_than_the_checkpoints_is_refused(tmp_path):
    path, _ = checkpoint(tmp_path, SparseCallback(method="set", density=0.3))
    for other in (
        SparseCallback(method="set", density=0.2),
        SparseCallback(method="rigl", density=0.3),
        SparseCallback(a_mask(Module())),
    ):
        with pytest.raises(UserError, match="trained with another SparseCallback"):
            trainer(other, epochs=2).fit(Module(), loader(), ckpt_path=path)


def test_a_schedule_goes_on_as_planned_when_the_training_is_made_longer(tmp_path):
    path, _ = checkpoint(tmp_path, SparseCallback(method="gradual", density=0.3, every="3it"))
    sparse = SparseCallback(method="gradual", density=0.3, every="3it")
    with pytest.warns(UserWarning, match=r"planned for 12 steps .* the trainer now plans 24"):
        trainer(sparse, epochs=2).fit(Module(), loader(), ckpt_path=path)
    assert sparse.mask == SparseCallback.mask_of(path)


def test_a_second_fit_of_the_same_trainer_goes_on():
    sparse, module = SparseCallback(method="set", density=0.3, every="3it", steps="24it"), Module()
    fit = trainer(sparse, epochs=1)
    fit.fit(module, loader())
    first = sparse.mask
    fit.fit_loop.max_epochs = 2
    watch = Watch(sparse)
    fit.callbacks.append(watch)
    fit.fit(module, loader())
    assert watch.masks[0] == first, "no new start"
    assert sparse.mask != first


def test_a_method_does_not_begin_in_the_middle(tmp_path):
    path, _ = checkpoint(tmp_path)
    with pytest.raises(UserError, match="resumed at step 12, from a checkpoint that was made with"):
        trainer(SparseCallback(method="set", density=0.3), epochs=2).fit(
            Module(), loader(), ckpt_path=path
        )
    sparse = SparseCallback(a_mask(Module()))  # a mask that is given can begin anywhere
    module = Module()
    trainer(sparse, Watch(sparse), epochs=2).fit(module, loader(), ckpt_path=path)


class ByHand(Module):
    """Two optimizers, stepped by the module itself; every other batch by the first."""

    automatic_optimization = False

    def __init__(self, kind: str = "sgd") -> None:
        super().__init__(kind)
        self.automatic_optimization = False
        self.head = nn.Linear(4, 4)

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        x, y = batch
        loss = F.cross_entropy(self.head(self.net(x)), y)
        self.manual_backward(loss)
        second.step()
        second.zero_grad()
        if batch_idx % 2:
            first.step()
            first.zero_grad()

    def configure_optimizers(self):
        return [optimizer(self.net, self.kind), optimizer(self.head, "adamw")]


def test_manual_optimization_with_two_optimizers():
    torch.manual_seed(0)
    module = ByHand()
    expected = copy.deepcopy(module)
    sparse = SparseCallback(
        method="rigl", density=0.3, every="3it", steps="12it", params="net.*.weight",
        ignore=[],
    )  # fmt: skip
    trainer(sparse).fit(module, loader())
    first, second = expected.configure_optimizers()
    with wn.dynamic(
        expected, "rigl", density=0.3, optimizer=first, every="3it", steps="12it",
        params="net.*.weight", ignore=[],
    ) as own:  # fmt: skip
        for index, (x, y) in enumerate(batches() * 2):
            F.cross_entropy(expected.head(expected.net(x)), y).backward()
            second.step()
            second.zero_grad()
            if index % 2:
                own.step()
                first.zero_grad()
    assert same(module, expected)
    assert sparse.mask == own.mask

    fixed = SparseCallback(a_mask(module))  # over both optimizers
    trainer(fixed, Watch(fixed)).fit(module, loader())


def test_manual_optimization_says_what_it_cannot_know():
    with pytest.raises(UserError, match=r"manual optimization .* Pass steps="):
        trainer(SparseCallback(method="set", density=0.3, params="net.*")).fit(ByHand(), loader())
    with pytest.raises(UserError, match="SGD and AdamW hold weights"):
        trainer(SparseCallback(method="set", density=0.3, steps="9it")).fit(ByHand(), loader())
    with pytest.raises(UserError, match="training_step trains the module"):
        trainer(SparseCallback(criterion="snip", density=0.3)).fit(ByHand(), loader())


def test_a_skipped_batch_lets_an_update_wait():
    """training_step may return None; RigL then reads the next batch that has a gradient."""

    class Skips(Module):
        def training_step(self, batch, batch_idx):
            return None if batch_idx in (0, 3) else super().training_step(batch, batch_idx)

    sparse = SparseCallback(method="rigl", density=0.3, every="3it", end="9it", ignore=[])
    watch = Watch(sparse)
    with pytest.warns(UserWarning, match="`training_step` returned `None`"):
        trainer(sparse, watch, epochs=1).fit(Skips(), loader())
    assert watch.global_steps[-1] == 12
    changed = [k for k in range(1, 12) if watch.masks[k] != watch.masks[k - 1]]
    assert changed[:1] == [1], "the update of step 0 is made on the second batch"


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_half_precision_reads_unscaled_gradients_and_lets_overflows_wait():
    """A GradScaler that starts too high: the first steps overflow and are left out."""
    from lightning.pytorch.plugins import MixedPrecision

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18, growth_interval=1000)
    scales = []

    class Scales(pl.Callback):
        def on_train_batch_end(self, *_):
            scales.append(scaler.get_scale())

    sparse = SparseCallback(method="rigl", density=0.3, every="2it", ignore=[], steps="12it")
    watch, module = Watch(sparse, gradients=False), Module()
    trainer(
        sparse, watch, Scales(), epochs=1, plugins=MixedPrecision("16-mixed", "cpu", scaler)
    ).fit(module, loader())
    fine = [a == b for a, b in zip([2.0**18, *scales], scales, strict=False)]
    assert 3 < sum(fine) < 10
    changed = [k for k in range(1, 12) if watch.masks[k] != watch.masks[k - 1]]
    expected = [k for k in range(1, 12) if fine[k] and sum(fine[:k]) % 2 == 0]
    assert not fine[0], "the first update waits"
    assert changed[:3] == expected[:3]
    assert set(changed) <= set(expected)
    assert all(p.isfinite().all() for p in module.parameters())


def test_bfloat16():
    sparse = SparseCallback(method="rigl", density=0.3, every="3it")
    trainer(sparse, Watch(sparse), precision="bf16-mixed").fit(Module("adamw"), loader())
    sparse = SparseCallback(method="rigl", density=0.3, every="3it")
    trainer(sparse, Watch(sparse), precision="bf16-true").fit(Module("adamw"), loader())


def test_a_ticket_by_rounds_over_trainers():
    """The attach of wn.imp's loop is what the callback holds."""

    def train(module, attach):
        trainer(SparseCallback(attach), epochs=1).fit(module, loader())

    def own(module, attach):
        opt, schedule = (one[0] for one in module.configure_optimizers())
        attach(opt)
        for x, y in batches():
            opt.zero_grad()
            F.cross_entropy(module.net(x), y).backward()
            opt.step()
            schedule["scheduler"].step()

    options = {"rate": 0.5, "rounds": 2, "rewind": "5it"}
    ticket = wn.imp(Module, train, **options)
    expected = wn.imp(Module, own, **options)
    assert ticket.mask == expected.mask
    assert ticket.mask.density == pytest.approx(0.25, abs=0.01)
    for part in ("rewind", "final"):
        pairs = getattr(ticket, part), getattr(expected, part)
        assert all(torch.equal(pairs[0][name], pairs[1][name]) for name in pairs[0])


def test_averaged_weights_are_told_and_zeroed_after_the_training():
    averaging = getattr(pl.callbacks, "WeightAveraging", None)
    if averaging is None:
        pytest.skip("WeightAveraging is in Lightning 2.6 and newer")
    mask = a_mask(Module())
    fixed, module = SparseCallback(mask), Module()
    trainer(fixed, averaging()).fit(module, loader())  # nothing to tell: warnings are errors
    named = dict(module.named_parameters())
    assert all(not named[name][~mask[name]].any() for name in mask)

    sparse, module = SparseCallback(method="set", density=0.3, every="3it"), Module()
    with pytest.warns(UserWarning, match="averag") as told:
        trainer(sparse, averaging()).fit(module, loader())
    words = [str(one.message) for one in told]
    assert any("averages weights over masks that change" in one for one in words)
    assert any(re.search(r"\d+ removed weights were not zero after the training", one)
               for one in words)  # fmt: skip
    named = dict(module.named_parameters())
    assert all(not named[name][~sparse.mask[name]].any() for name in sparse.mask)


def test_a_training_that_ends_before_its_density_is_told():
    sparse = SparseCallback(method="gradual", density=0.1, every="3it", steps="100it")
    with pytest.warns(UserWarning, match="ended after 24 steps, before gradual had reached"):
        trainer(sparse).fit(Module(), loader())


def test_two_callbacks_are_refused():
    mask = a_mask(Module())
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `SparseC"):
        trainer(SparseCallback(mask), SparseCallback(mask))

    class Mine(SparseCallback):
        pass

    with pytest.raises(UserError, match="two SparseCallbacks"):
        trainer(SparseCallback(mask), Mine(mask)).fit(Module(), loader())


def test_strategies_with_shards_are_refused():
    class FSDPStrategy:
        pass

    class Its:
        callbacks = ()
        strategy = FSDPStrategy()

    with pytest.raises(UserError, match="FSDPStrategy splits parameters into shards"):
        SparseCallback(a_mask(Module())).setup(Its(), None, "fit")


def test_the_other_package_of_lightning():
    """pytorch_lightning has a Trainer of its own."""
    other = pytest.importorskip("pytorch_lightning")

    class Its(other.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = network()

        training_step, configure_optimizers = Module.training_step, Module.configure_optimizers
        kind, calls = "sgd", 0

    runs = []
    for kind, package in ((Its, other), (Module, pl)):
        sparse, module = SparseCallback(method="rigl", density=0.3, every="3it"), kind()
        trainer(sparse, package=package).fit(module, loader())
        runs.append((sparse.mask, module))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


def test_unknown_steps_are_told():
    sparse = SparseCallback(method="set", density=0.3)
    with pytest.raises(UserError, match="length of the training, which is not known"):
        trainer(sparse, epochs=-1).fit(Module(), loader())
    trainer(SparseCallback(method="set", density=0.3, steps="5it"), epochs=-1, max_steps=5).fit(
        Module(), loader()
    )
    schedule = pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 2})
    with pytest.raises(UserError, match="changes how many batches make a step"):
        trainer(sparse, schedule).fit(Module(), loader())


def test_a_mask_of_another_model_is_refused():
    mask = wn.Mask({"0.weight": torch.ones(3, 8, dtype=torch.bool)})
    with pytest.raises(UserError, match="mask is for another network"):
        trainer(SparseCallback(mask)).fit(Module(), loader())


class Written(pl.Callback):
    """What each process has at the end, in a file of its own."""

    def __init__(self, sparse: SparseCallback, folder) -> None:
        self.sparse = sparse
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        wn.Ticket(self.sparse.mask, pl_module.state_dict()).save(
            self.folder / f"{trainer.global_rank}.safetensors"
        )


class Shares(Module):
    """Each process sees its share of a batch."""

    def training_step(self, batch, batch_idx):
        rank, world = self.trainer.global_rank, self.trainer.world_size
        return super().training_step([part[rank::world] for part in batch], batch_idx)


@pytest.mark.parametrize("given", ["rigl", "snip"])
def test_two_processes_hold_one_mask(given, tmp_path):
    """DDP with 8 examples each is one process with 16: RigL reads what both have seen."""

    def callback():
        if given == "snip":
            return SparseCallback(criterion="snip", density=0.3)
        return SparseCallback(method="rigl", density=0.3, every="2it", ignore=[])

    sparse = callback()
    watch, written = Watch(sparse), Written(sparse, tmp_path)
    fit = trainer(
        sparse, watch, written, devices=2, strategy="ddp_fork", use_distributed_sampler=False
    )
    fit.fit(Shares(norm=False), loader(size=16))
    first, second = (wn.load(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert first.mask == second.mask
    assert all(torch.equal(first.rewind[name], second.rewind[name]) for name in first.rewind)
    if given == "snip":
        return
    whole, module = callback(), Shares(norm=False)
    trainer(whole, Watch(whole)).fit(module, loader(size=16))
    assert whole.mask == first.mask
    for name, weight in module.state_dict().items():
        torch.testing.assert_close(first.rewind[name], weight)


def test_a_failed_training_leaves_no_hooks():
    sparse, module = SparseCallback(a_mask(Module())), Module()
    made = []
    module.configure_optimizers = lambda: made.append(optimizer(module)) or made[0]
    with pytest.raises(InterruptedError):
        trainer(sparse, Stop(3)).fit(module, loader())
    opt = made[0]
    opt.zero_grad()
    F.cross_entropy(module.net(batches()[0][0]), batches()[0][1]).backward()
    opt.step()
    assert any(module.get_parameter(name)[~sparse.mask[name]].any() for name in sparse.mask)
