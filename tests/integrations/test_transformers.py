"""The Trainer of transformers with SparseCallback, against plain loops."""

from __future__ import annotations

import copy
import json
import logging
import shutil

import pytest
import torch
from torch import nn

import winnow as wn
from winnow.errors import UserError

transformers = pytest.importorskip("transformers", reason="needs winnow[transformers]")
pytest.importorskip("accelerate", reason="needs winnow[transformers]")

from transformers import TrainerCallback  # noqa: E402
from transformers_models import BLOCKS, Tokens, bert, gpt2, trainer  # noqa: E402

from winnow.integrations.holding import Changing  # noqa: E402
from winnow.integrations.transformers import FILE, SparseCallback  # noqa: E402

METHODS = ("rigl", "set", "deep-r", "dsr", "snfs", "gradual")


def a_mask(model: nn.Module, params=BLOCKS, density: float = 0.3) -> wn.Mask:
    return wn.prune(wn.score(model, "magnitude", params=params), density=density)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Watch(TrainerCallback):
    """Checks after each step that everything removed is zero, and keeps the masks."""

    def __init__(self, sparse: SparseCallback) -> None:
        self.sparse = sparse
        self.masks: list[wn.Mask] = []
        self.biases: list[torch.Tensor] = []

    def on_optimizer_step(self, args, state, control, *, model, optimizer, **_):
        mask = self.sparse.mask
        named = dict(model.named_parameters())
        for name in mask:
            weight, gone = named[name], ~mask[name]
            assert not weight[gone].any()
            assert weight.grad is None or not weight.grad[gone].any()
            for slot in optimizer.state.get(weight, {}).values():
                if slot.shape == weight.shape:
                    assert not slot[gone].any()
        self.masks.append(mask)
        self.biases.append(
            torch.cat([p.detach().flatten() for p in named.values() if p.dim() == 1])
        )


class Stop(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise InterruptedError


class InOrder(transformers.Trainer):
    """No shuffling, so that a loop of one's own sees the same batches."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


@pytest.mark.parametrize("method", METHODS)
def test_a_dynamic_method_is_that_of_a_loop_of_ones_own(method, tmp_path):
    """In the same bits, with accumulation over two batches, clipping and a schedule."""
    options = {"density": 0.3, "every": "3it", "params": BLOCKS}
    model = gpt2(dropout=0.0)
    expected = copy.deepcopy(model)
    sparse = SparseCallback(method=method, **options)
    given = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5}
    fit = trainer(model, tmp_path, sparse, kind=InOrder, **given)
    fit.train()
    assert fit.state.global_step == 12

    setting = trainer(expected, tmp_path, kind=InOrder, **given)
    opt = setting.create_optimizer()
    schedule = setting.create_scheduler(12, opt)
    ids = Tokens().ids.split(4)
    expected.train()
    with wn.dynamic(expected, method, optimizer=opt, steps="12it", **options) as own:
        for step in range(12):
            two = [ids[(2 * step + k) % 12] for k in range(2)]
            for one in two:
                number = torch.tensor(sum(t.numel() for t in two))
                expected(input_ids=one, labels=one, num_items_in_batch=number).loss.backward()
            nn.utils.clip_grad_norm_(expected.parameters(), 0.5)
            own.step()
            schedule.step()
            expected.zero_grad()
    assert sparse.mask == own.mask
    assert same(model, expected)


@pytest.mark.parametrize("make", [gpt2, bert])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_fixed_mask_is_exact_in_weights_gradients_and_slots(make, bf16, tmp_path):
    model = make()
    mask = a_mask(model, BLOCKS if make is gpt2 else None)
    sparse = SparseCallback(mask)
    watch = Watch(sparse)
    fit = trainer(
        model, tmp_path, sparse, watch, bf16=bf16, gradient_accumulation_steps=2,
        evaluated=Tokens(8), eval_strategy="steps", eval_steps=5,
    )  # fmt: skip
    fit.train()
    assert len(watch.masks) == 12
    named = dict(model.named_parameters())
    assert all(named[name][mask[name]].all() for name in mask), "what is kept is trained"


def test_an_update_takes_the_place_of_a_step_and_the_trainer_counts_it(tmp_path):
    sparse = SparseCallback(method="rigl", density=0.3, every="3it", end="12it", params=BLOCKS)
    watch = Watch(sparse)
    fit = trainer(gpt2(), tmp_path, sparse, watch, bf16=True)
    fit.train()
    assert fit.state.global_step == 12
    changed = [k for k in range(1, 12) if watch.masks[k] != watch.masks[k - 1]]
    still = [k for k in range(1, 12) if torch.equal(watch.biases[k], watch.biases[k - 1])]
    assert changed == still == [3, 6, 9]


def test_pruning_at_initialisation_is_by_the_models_loss_and_disturbs_nothing(tmp_path):
    model = gpt2(dropout=0.0)

    class LossAlone(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids):
            return self.model(input_ids=ids, labels=ids).loss

    names = [f"model.{name}" for name in BLOCKS]
    found = wn.prune_at_init(
        LossAlone(), "snip", density=0.3, params=names, batch=(Tokens().ids[:4], None),
        loss_fn=lambda loss, _: loss,
    )  # fmt: skip
    scored, other = copy.deepcopy(model), copy.deepcopy(model)
    sparse = SparseCallback(criterion="snip", density=0.3, params=BLOCKS)
    trainer(scored, tmp_path, sparse, kind=InOrder).train()
    assert sparse.mask == wn.Mask({n.removeprefix("model."): bits for n, bits in found.items()})
    trainer(other, tmp_path, SparseCallback(sparse.mask), kind=InOrder).train()
    assert same(scored, other)


def test_two_of_four_of_all_that_competes(tmp_path):
    """By default the matrices of GPT-2's blocks; a pattern in place of a density."""
    for options in (
        {"method": "gradual", "every": "3it"},
        {"method": "rigl", "every": "3it"},
        {"criterion": "snip"},
    ):
        sparse = SparseCallback(pattern="2:4", **options)
        trainer(gpt2(), tmp_path, sparse, Watch(sparse)).train()
        assert len(sparse.mask) == 8
        assert set(sparse.mask.densities.values()) == {0.5}
        for name in sparse.mask:  # Conv1D: (in, out); four inputs of one output are a group
            groups = sparse.mask[name].T.reshape(-1, 4)
            assert (groups.sum(1) == 2).all()


def test_scoring_takes_nothing_from_shuffled_data(tmp_path):
    first, second = gpt2(), gpt2()
    sparse = SparseCallback(criterion="snip", density=0.3, params=BLOCKS, batches=3)
    trainer(first, tmp_path, sparse).train()
    trainer(second, tmp_path, SparseCallback(sparse.mask)).train()
    assert same(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_training_goes_on_bit_identically(method, tmp_path):
    """Shuffled data and dropout included."""

    def callback():
        return SparseCallback(method=method, density=0.3, every="3it", params=BLOCKS)

    whole, of_whole = callback(), gpt2()
    trainer(of_whole, tmp_path / "whole", whole).train()

    saves = {"save_strategy": "steps", "save_steps": 5}
    with pytest.raises(InterruptedError):
        trainer(gpt2(), tmp_path, callback(), Stop(7), **saves).train()
    rest, of_rest = callback(), gpt2()
    fit = trainer(of_rest, tmp_path, rest, **saves)
    fit.train(resume_from_checkpoint=True)
    assert rest.mask == whole.mask
    assert same(of_rest, of_whole)
    assert SparseCallback.mask_of(tmp_path / "checkpoint-10").size == rest.mask.size


def interrupted(tmp_path, sparse, stop: int = 7, **options):
    """A training that has left checkpoint-5 behind."""
    saves = {"save_strategy": "steps", "save_steps": 5, **options}
    callbacks = [Stop(stop)] if sparse is None else [sparse, Stop(stop)]
    with pytest.raises(InterruptedError):
        trainer(gpt2(), tmp_path, *callbacks, **saves).train()
    return tmp_path / "checkpoint-5"


def test_a_fixed_and_a_scored_mask_come_back(tmp_path):
    mask = a_mask(gpt2())
    for name, make in {
        "given": lambda: SparseCallback(mask),
        "scored": lambda: SparseCallback(criterion="snip", density=0.3, params=BLOCKS),
    }.items():
        path = interrupted(tmp_path / name, make())
        sparse = make()
        watch = Watch(sparse)
        trainer(gpt2(), tmp_path / name, sparse, watch).train(resume_from_checkpoint=True)
        assert len(watch.masks) == 7
        assert sparse.mask == SparseCallback.mask_of(path)


def test_a_checkpoint_elsewhere_is_named(tmp_path):
    path = interrupted(tmp_path / "a", SparseCallback(a_mask(gpt2())))
    moved = tmp_path / "elsewhere"
    shutil.copytree(path, moved)
    mask = SparseCallback.mask_of(moved)
    with pytest.raises(UserError, match=r"there is no .*checkpoint-5.* resume_from="):
        trainer(gpt2(), tmp_path / "b", SparseCallback(mask)).train(
            resume_from_checkpoint=str(moved)
        )
    sparse = SparseCallback(mask, resume_from=moved)
    trainer(gpt2(), tmp_path / "b", sparse).train(resume_from_checkpoint=str(moved))
    assert sparse.mask == mask


def test_a_mask_of_another_training_is_refused(tmp_path):
    path = interrupted(tmp_path / "a", SparseCallback(a_mask(gpt2(), density=0.5)))
    other = interrupted(tmp_path / "b", SparseCallback(a_mask(gpt2())))
    shutil.copy(other / FILE, path / FILE)
    with pytest.raises(UserError, match="is of another training"):
        trainer(gpt2(), tmp_path / "a", SparseCallback(a_mask(gpt2(), density=0.5))).train(
            resume_from_checkpoint=True
        )
    (path / FILE).write_bytes(b"broken")
    with pytest.raises(UserError, match="damaged"):
        trainer(gpt2(), tmp_path / "a", SparseCallback(a_mask(gpt2(), density=0.5))).train(
            resume_from_checkpoint=True
        )


def test_another_callback_than_the_checkpoints_is_refused(tmp_path):
    interrupted(tmp_path, SparseCallback(method="set", density=0.3, params=BLOCKS))
    for other in (
        SparseCallback(method="set", density=0.2, params=BLOCKS),
        SparseCallback(a_mask(gpt2())),
    ):
        with pytest.raises(UserError, match="trained with another SparseCallback"):
            trainer(gpt2(), tmp_path, other).train(resume_from_checkpoint=True)


def test_a_resume_without_the_callback_is_logged_where_the_trainer_is_asked_to(tmp_path, caplog):
    mask = a_mask(gpt2())
    interrupted(tmp_path, SparseCallback(mask))
    model = gpt2()
    fit = trainer(model, tmp_path, restore_callback_states_from_checkpoint=True)
    with caplog.at_level(logging.WARNING), propagated("transformers.trainer"):
        fit.train(resume_from_checkpoint=True)
    assert "callbacks not included in current configuration" in caplog.text
    assert "SparseCallback" in caplog.text
    named = dict(model.named_parameters())
    assert any(named[name][~mask[name]].any() for name in mask), "this is what it warns of"


def test_a_callback_that_comes_back_after_a_training_without_it_is_refused(tmp_path):
    interrupted(tmp_path, SparseCallback(a_mask(gpt2())))
    trainer(gpt2(), tmp_path, save_strategy="steps", save_steps=8, max_steps=8).train(
        resume_from_checkpoint=True
    )
    with pytest.raises(UserError, match="step 8 was trained without SparseCallback since step 5"):
        trainer(gpt2(), tmp_path, SparseCallback(a_mask(gpt2()))).train(resume_from_checkpoint=True)


def test_a_method_does_not_begin_in_the_middle_and_a_mask_may(tmp_path):
    interrupted(tmp_path, None)
    with pytest.raises(UserError, match="checkpoint at step 5 was made without SparseCallback"):
        trainer(gpt2(), tmp_path, SparseCallback(method="set", density=0.3, params=BLOCKS)).train(
            resume_from_checkpoint=True
        )
    sparse = SparseCallback(a_mask(gpt2()))
    watch = Watch(sparse)
    fit = trainer(gpt2(), tmp_path, sparse, watch, save_strategy="steps", save_steps=10)
    fit.train(resume_from_checkpoint=True)
    assert len(watch.masks) == 7
    assert SparseCallback.mask_of(tmp_path / "checkpoint-10") == sparse.mask


@pytest.mark.parametrize("kind", ["method", "mask", "criterion"])
def test_the_trainer_may_make_the_callback_anew(kind, tmp_path):
    """restore_callback_states_from_checkpoint: from what trainer_state.json says alone."""
    mask = a_mask(gpt2())

    def callback():
        if kind == "mask":
            return SparseCallback(mask)
        options = {"criterion": "snip"} if kind == "criterion" else {"method": "set"}
        more = {} if kind == "criterion" else {"every": "3it"}
        return SparseCallback(density=0.3, params=BLOCKS, **options, **more)

    whole, of_whole = callback(), gpt2()
    trainer(of_whole, tmp_path / "whole", whole).train()
    interrupted(tmp_path, callback())
    model = gpt2()
    fit = trainer(model, tmp_path, callback(), restore_callback_states_from_checkpoint=True)
    fit.train(resume_from_checkpoint=True)
    assert fit.pop_callback(SparseCallback).mask == whole.mask
    assert same(model, of_whole)


def test_the_best_model_comes_with_its_mask(tmp_path):
    """load_best_model_at_end, where the best is not the last."""
    sparse = SparseCallback(method="set", density=0.3, every="2it", params=BLOCKS)
    model = gpt2()
    calls = []

    def metrics(_):
        calls.append(1)
        return {"score": -len(calls)}

    fit = trainer(
        model, tmp_path, sparse, evaluated=Tokens(8), eval_strategy="steps", eval_steps=4,
        save_strategy="steps", save_steps=4, load_best_model_at_end=True,
        metric_for_best_model="score", greater_is_better=True, compute_metrics=metrics,
    )  # fmt: skip
    fit.train()
    assert fit.state.best_model_checkpoint.endswith("checkpoint-4")
    assert sparse.mask == SparseCallback.mask_of(tmp_path / "checkpoint-4")
    assert sparse.mask != SparseCallback.mask_of(tmp_path / "checkpoint-12")
    named = dict(model.named_parameters())
    assert all(not named[name][~sparse.mask[name]].any() for name in sparse.mask)


def test_a_ticket_by_rounds_over_trainers(tmp_path):
    """The attach of wn.imp's loop is what the callback holds."""

    def train(model, attach):
        trainer(model, tmp_path, SparseCallback(attach), max_steps=6).train()

    ticket = wn.imp(gpt2, train, rate=0.5, rounds=2, rewind="2it", params=BLOCKS)
    assert ticket.mask.density == pytest.approx(0.25, abs=1e-3)
    assert ticket.provenance["history"][-1]["steps"] == 6
    assert all(not ticket.final[name][~ticket.mask[name]].any() for name in ticket.mask)
    sparse, model = SparseCallback(ticket), gpt2()
    trainer(model, tmp_path, sparse, max_steps=6).train()
    assert all(torch.equal(model.state_dict()[n], t) for n, t in ticket.final.items())


def test_two_callbacks_are_refused(tmp_path):
    mask = a_mask(gpt2())
    with pytest.raises(UserError, match="two SparseCallbacks"):
        trainer(gpt2(), tmp_path, SparseCallback(mask), SparseCallback(mask)).train()


def test_a_mask_of_another_model_and_a_model_without_a_loss_are_refused(tmp_path):
    with pytest.raises(UserError, match="mask is for another network"):
        trainer(bert(), tmp_path, SparseCallback(a_mask(gpt2()))).train()

    class NoLabels(Tokens):
        def __getitem__(self, index):
            return {"input_ids": self.ids[index]}

    with pytest.raises(UserError, match="own loss of a training batch is None"):
        trainer(
            gpt2(), tmp_path, SparseCallback(criterion="snip", density=0.3, params=BLOCKS),
            data=NoLabels(),
        ).train()  # fmt: skip


def test_data_without_a_length(tmp_path):
    """The Trainer itself insists on max_steps then, so that the steps are known."""

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(Tokens())

    sparse = SparseCallback(method="rigl", density=0.3, every="3it", params=BLOCKS)
    watch = Watch(sparse)
    trainer(gpt2(), tmp_path, sparse, watch, data=Stream()).train()
    assert len(watch.masks) == 12
    scored = SparseCallback(criterion="snip", density=0.3, params=BLOCKS)
    trainer(gpt2(), tmp_path, scored, data=Stream()).train()
    assert scored.mask.density == pytest.approx(0.3, abs=1e-3)


def test_a_scaler_that_has_not_unscaled_yet():
    """Half precision without clipping: accelerate unscales in the step, where no gradient is."""
    from accelerate import Accelerator

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    model = nn.Linear(8, 8, bias=False)
    inner = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    Accelerator(cpu=True)
    optimizer = __import__("accelerate").optimizer.AcceleratedOptimizer(inner, True, scaler)
    driven = Changing(
        [optimizer],
        lambda: wn.dynamic(
            model, "rigl", optimizer=optimizer, density=0.5, steps="9it", every="2it", ignore=[]
        ),
    )
    masks, weights = [], []
    for step in range(6):
        x = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
        scaler.scale(model(x).square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        masks.append(driven.mask)
        weights.append(model.weight.detach().clone())
        assert not optimizer.step_was_skipped
    assert driven.made == 6
    assert [k for k in range(1, 6) if masks[k] != masks[k - 1]] == [2, 4]
    for k in (2, 4):  # what both masks keep has not moved
        both = masks[k]["weight"] & masks[k - 1]["weight"]
        assert torch.equal(weights[k][both], weights[k - 1][both])


def test_the_state_is_plain_json(tmp_path):
    path = interrupted(tmp_path, SparseCallback(method="set", density=0.3, params=BLOCKS))
    state = json.loads((path / "trainer_state.json").read_text())["stateful_callbacks"]
    told = state["SparseCallback"]["args"]["restored"]["told"]
    assert told == {"method": "set", "density": 0.3, "seed": 0, "options": {}}


class propagated:  # noqa: N801
    """Lets pytest see what transformers logs."""

    def __init__(self, name: str) -> None:
        self.loggers = [logging.getLogger(name), logging.getLogger("transformers")]

    def __enter__(self):
        self.before = [one.propagate for one in self.loggers]
        for one in self.loggers:
            one.propagate = True

    def __exit__(self, *_):
        for one, before in zip(self.loggers, self.before, strict=True):
            one.propagate = before
