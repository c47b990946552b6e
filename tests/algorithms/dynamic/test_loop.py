"""``wn.dynamic`` in loops of one's own: the engine's trajectory, exact zeros, resuming, errors."""

from __future__ import annotations

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from dynamic_jobs import ADAM, ALL, MOMENTUM, OPTIONS, STEPS, dense_state, job, per_epoch, short
from torch import nn

import winnow as wn
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.data.order import Batches
from winnow.engine.dense import DenseEngine
from winnow.engine.learning_rate import learning_rate
from winnow.engine.optimizer import make_optimizer

ONE = job()
TOTAL = 16 * 12 + 12 * 8


class Loop:
    """A user's training of the job's network."""

    def __init__(self, name: str, spec=MOMENTUM, seed: int = 3, **more) -> None:
        state = dense_state(ONE)
        self.model = ONE.build()
        self.model.load_state_dict({**state.weights, **state.buffers})
        self.optimizer = make_optimizer(dict(self.model.named_parameters()), spec)
        usual = {"density": 0.2, "ignore": "output", "seed": seed, "steps": f"{STEPS}it"}
        self.sparse = wn.dynamic(
            self.model,
            name,
            optimizer=self.optimizer,
            per_epoch=per_epoch(ONE),
            **usual | OPTIONS[name] | more,
        )
        self.batches = Batches(47, 20, "keep", 3)

    def run(self, to: int, clip: float | None = None) -> Loop:
        while self.sparse.made < to:
            step = self.sparse.made
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(step, STEPS, group["lr"], ONE.schedule | {"drops": []})
            x, y = ONE.data.splits["train"].take(torch.tensor(self.batches.indices(step)))
            self.optimizer.zero_grad()
            F.cross_entropy(self.model((x.float() - 127.5) / 73.9), y).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            self.sparse.step()
        return self

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters()}


@pytest.mark.parametrize("spec", [MOMENTUM, ADAM], ids=lambda spec: spec["name"])
@pytest.mark.parametrize("name", ALL)
def test_it_is_the_engines_trajectory(name, spec):
    one = job(spec, schedule={"name": "constant", "drops": [], "factor": None, "warmup": 0})
    method = short(name)
    names = ["hidden.0.weight", "hidden.1.weight"]
    state = start_dynamic(method, dense_state(one), names, seed=3)
    session = Driven(DenseEngine("cpu"), method, 3).open(one, state)
    session.advance(14)
    there = session.state()
    loop = Loop(name, spec).run(14)
    assert loop.sparse.mask == there.mask
    for layer, weight in loop.weights().items():
        torch.testing.assert_close(weight, there.weights[layer], rtol=1e-4, atol=1e-6)
        for slot, tensors in there.slots.items():
            own = loop.optimizer.state[loop.model.get_parameter(layer)][slot]
            torch.testing.assert_close(own, tensors[layer], rtol=1e-3, atol=1e-6)
    assert loop.sparse.memory.scalars == there.scalars


@pytest.mark.parametrize("name", ALL)
def test_zeros_counts_and_slots_after_every_step(name):
    loop = Loop(name)
    for step in range(1, 25):
        before = loop.sparse.mask
        loop.run(step)
        mask = loop.sparse.mask
        if name != "gradual":
            assert mask.kept == round(0.2 * TOTAL)
        for layer, keep in mask.items():
            weight = loop.model.get_parameter(layer)
            assert bool((weight[~keep] == 0).all())
            slot = loop.optimizer.state.get(weight, {}).get("momentum_buffer")
            if slot is not None and name != "snfs":
                assert bool((slot[~keep] == 0).all())
                assert bool((slot[keep & ~before[layer]] == 0).all())
    assert "output.weight" not in mask


@pytest.mark.parametrize("name", ALL)
def test_saved_and_loaded_it_goes_on_bit_identically(name):
    whole = Loop(name).run(30)
    for cut in (0, 7, 8):
        part = Loop(name).run(cut)
        file = io.BytesIO()
        saved = [part.model.state_dict(), part.optimizer.state_dict(), part.sparse.state_dict()]
        torch.save(saved, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        again = Loop(name)
        again.model.load_state_dict(loaded[0])
        again.optimizer.load_state_dict(loaded[1])
        again.sparse.load_state_dict(loaded[2])
        again.run(30)
        assert again.sparse.mask == whole.sparse.mask
        for layer, weight in whole.weights().items():
            assert torch.equal(weight, again.weights()[layer])


def test_rigl_skips_the_step_of_its_updates():
    loop = Loop("rigl", every="5it")
    before = copy.deepcopy(loop.weights())
    loop.run(1)
    assert loop.optimizer.state == {}
    kept = loop.sparse.mask["hidden.0.weight"]
    assert torch.equal(
        loop.weights()["hidden.0.weight"], torch.where(kept, before["hidden.0.weight"], 0.0)
    )
    assert torch.equal(loop.weights()["output.weight"], before["output.weight"])
    loop.run(5)
    five = copy.deepcopy(loop.weights())
    loop.run(6)
    assert torch.equal(loop.weights()["output.bias"], five["output.bias"])
    assert not torch.equal(loop.weights()["hidden.0.weight"], five["hidden.0.weight"])


def test_gradients_are_masked_before_clipping_but_where_they_are_read():
    loop = Loop("rigl")
    x, y = ONE.data.splits["train"].take(torch.arange(20))
    weight, keep = loop.model.get_parameter("hidden.0.weight"), loop.sparse.mask["hidden.0.weight"]
    for step in range(3):
        loop.optimizer.zero_grad()
        for half in (slice(0, 10), slice(10, 20)):  # accumulated in two parts
            F.cross_entropy(loop.model((x[half].float() - 127.5) / 73.9), y[half]).backward()
        keep = loop.sparse.mask["hidden.0.weight"]
        assert bool((weight.grad[~keep] != 0).any()) == (step == 0)
        loop.sparse.step()
    loop.run(12, clip=0.01)


def test_a_scheduler_does_not_mind_the_skipped_step():
    loop = Loop("rigl")
    scheduler = torch.optim.lr_scheduler.StepLR(loop.optimizer, 10)  # warns of a missing step
    for step in range(1, 4):
        loop.run(step)
        scheduler.step()


def test_a_step_of_ones_own():
    calls = []
    loop = Loop("set", every="2it")
    first = loop.sparse.mask
    for _ in range(3):
        loop.sparse.step(lambda: calls.append(loop.optimizer.step()))
    assert len(calls) == 3
    assert loop.sparse.made == 3
    assert loop.sparse.mask != first
    loop.sparse.step(lambda: None)  # no optimizer moved
    assert loop.sparse.made == 3


def test_closing_ends_it():
    loop = Loop("set")
    with loop.sparse:
        loop.run(5)
    weight, keep = loop.model.get_parameter("hidden.0.weight"), loop.sparse.mask["hidden.0.weight"]
    assert bool((weight[~keep] == 0).all())
    x, y = ONE.data.splits["train"].take(torch.arange(20))
    loop.optimizer.zero_grad()
    F.cross_entropy(loop.model(x.float() / 255), y).backward()
    loop.optimizer.step()
    assert bool((weight[~keep] != 0).any())


def test_what_the_originals_leave_dense():
    assert set(Loop("rigl", ignore=None).sparse.mask) == {
        "hidden.0.weight",
        "hidden.1.weight",
        "output.weight",
    }
    assert "output.weight" not in Loop("set", ignore=None).sparse.mask
    assert set(Loop("dsr", ignore=None).sparse.mask) == {"hidden.1.weight"}
    assert set(Loop("rigl", ignore=None, distribution="uniform").sparse.mask) == {
        "hidden.1.weight",
        "output.weight",
    }


def test_a_mask_of_ones_own():
    mask = Loop("set").sparse.mask
    assert Loop("rigl", mask=mask).sparse.mask == mask
    with pytest.raises(wn.UserError, match="keeps 58 of 288"):
        Loop("rigl", mask=mask, density=0.3)


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("rigl", {"steps": 100}, 'steps is 100: write iterations as "500it"'),
        ("rigl", {"drops": 0.1}, "unknown option of rigl: 'drops'"),
        ("rigl", {"ignore": ["*"]}, r"nothing is left to rigl: pass ignore=\[\]"),
        ("rigl", {"density": 1e-4}, r"density 0\.0001 keeps none of 288 weights; reachable are"),
        ("snfs", {"spec": MOMENTUM | {"momentum": 0.0}}, "snfs grows by momentum"),
        ("dsr", {"density": 0.005, "ignore": []}, "needs 1 in each layer to go on from"),
        ("gradual", {"end": "50it"}, "to 50 of 40"),
    ],
)
def test_bad_input_is_told(name, more, told):
    with pytest.raises(wn.UserError, match=told):
        Loop(name, **more)


def test_another_models_optimizer_and_a_missing_gradient():
    model, other = ONE.build(), ONE.build()
    with pytest.raises(wn.UserError, match="does not hold the masked"):
        wn.dynamic(
            model,
            "set",
            optimizer=torch.optim.SGD(other.parameters()),
            density=0.1,
            steps="9it",
            per_epoch=3,
        )
    with pytest.raises(wn.UserError, match="pass per_epoch="):
        wn.dynamic(
            model, "set", optimizer=torch.optim.SGD(model.parameters()), density=0.1, steps="9it"
        )
    loop = Loop("rigl")
    with pytest.raises(wn.UserError, match="has no gradient for rigl at iteration 0"):
        loop.sparse.step()
