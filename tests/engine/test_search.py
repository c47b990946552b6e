"""Searching masks over frozen weights, on the dense engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conformance import lenet, make_job, training_data
from torch import Tensor, nn

from winnow import statefile
from winnow.engine import make_engine
from winnow.engine.base import Job
from winnow.engine.dense import DenseEngine
from winnow.engine.feed import Feed
from winnow.engine.search import Searched, factor, found_network, kept_by_scores, mask_of
from winnow.errors import UserError
from winnow.mask import Mask, from_bytes, to_bytes
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.reparametrisation import SCORES, Search
from winnow.state import State, fresh_state
from winnow.topk import keep_largest

NAMES = ("hidden.0.weight", "hidden.1.weight", "output.weight")
MOMENTUM = {"name": "momentum", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
COSINE = {"name": "cosine", "drops": [], "factor": None, "warmup": 0}
KINDS: dict[str, dict[str, Any]] = {
    "top-k": {"rule": "top-k"},
    "absolute": {"rule": "top-k", "absolute": True},
    "bernoulli": {"rule": "bernoulli"},
    "rescaled": {"rule": "bernoulli", "rescale": True},
}


def some_scores(weights: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(weights[name].shape, generator=generator) for name in names}


def prepared(
    kind: str, builder: Callable[[], nn.Module] | None = None, **changes: Any
) -> tuple[Job, State]:
    make = builder or lenet()
    model = make()
    initialise(model, "kaiming-normal", 7)
    dense = fresh_state(model)
    names = NAMES if builder is None else tuple(n for n, w in dense.weights.items() if w.ndim > 1)
    options = {**KINDS[kind], "names": names, **changes}
    if options["rule"] == "top-k":
        options["keep"] = {name: dense.weights[name].numel() // 3 for name in names}
    shape = (1, 4, 4) if builder is None else (3, 8, 8)
    job = make_job(
        make, training_data(shape), optimizer=MOMENTUM, schedule=COSINE, search=Search(**options)
    )
    return job, replace(dense, extras={SCORES: some_scores(dict(dense.weights), names)})


def vgg() -> nn.Module:
    return build("resnet-20", inputs=(3, 8, 8), classes=10, width=0.25)


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def straight_through(search: Search, weight: Tensor, score: Tensor, keep: Tensor) -> Tensor:
    """The effective weight, with autograd's own gradient by the score."""
    if search.rule == "top-k":
        surrogate = score.abs() if search.absolute else score
    else:
        surrogate = torch.sigmoid(score)
    mask = keep.to(weight.dtype) + surrogate - surrogate.detach()
    scale = mask.numel() / mask.sum() if search.rescale else 1.0
    return weight * mask * scale


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_scores_are_those_of_autograd_through_the_estimator(kind: str) -> None:
    job, state = prepared(kind)
    assert job.search is not None
    model = lenet()().double()
    model.load_state_dict({n: w.double() for n, w in state.weights.items()})
    scores = {n: s.double() for n, s in state.extras[SCORES].items()}
    searched = Searched(model, job.search, scores)
    x, y = (
        t if t.dtype == torch.int64 else t.double() for t in Feed(job, torch.device("cpu")).batch(3)
    )

    searched.apply(3)
    by_weights = torch.autograd.grad(
        F.cross_entropy(model(x), y), list(searched.effective.values())
    )
    gradients = searched.chain(by_weights)

    leaves = {name: score.clone().requires_grad_() for name, score in scores.items()}
    effective = {
        name: straight_through(
            job.search,
            state.weights[name].double(),
            leaf,
            kept_by_scores(job.search, name, scores[name], 3),
        )
        for name, leaf in leaves.items()
    }
    plain = lenet()().double()
    plain.load_state_dict({n: w.double() for n, w in state.weights.items()})
    loss = F.cross_entropy(torch.func.functional_call(plain, effective, (x,)), y)
    expected = torch.autograd.grad(loss, list(leaves.values()))
    for found_by, theirs in zip(gradients, expected, strict=True):
        assert theirs.abs().max() > 1e-6
        torch.testing.assert_close(found_by, theirs, rtol=1e-10, atol=1e-14)


def test_a_linear_unit_in_closed_form() -> None:
    model = nn.Linear(4, 1, bias=False)
    weight, x = torch.tensor([[3.0, -2.0, 5.0, 7.0]]), torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
    model.load_state_dict({"weight": weight})
    score = torch.tensor([[0.3, -0.9, 0.1, 0.5]])
    search = Search("top-k", ("weight",), {"weight": 2}, absolute=True)
    searched = Searched(model, search, {"weight": score})
    searched.apply(0)
    assert model.weight.tolist() == [[0, -2, 0, 7]]
    output = model(x)
    assert output.item() == -20 + 7000
    by_weights = torch.autograd.grad(output.sum(), list(searched.effective.values()))
    gradients = searched.chain(by_weights)  # x · w · sign(s), for removed weights too
    assert gradients[0].tolist() == [[3.0, 20.0, 500.0, 7000.0]]
    searched.restore()
    assert torch.equal(model.weight, weight)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights_stay_bit_identical_and_scores_move(kind: str) -> None:
    job, state = prepared(kind)
    session = DenseEngine("cpu").open(job, state)
    stats = session.advance(20)
    session.evaluate("test")
    after = session.state()
    assert stats.diverged_at is None
    assert after.mask is None
    assert same(after.weights, state.weights)
    assert all(
        not torch.equal(after.extras[SCORES][name], state.extras[SCORES][name]) for name in NAMES
    )


def test_all_parameters_of_a_network_with_batch_norm_are_frozen() -> None:
    job, state = prepared("top-k", vgg)
    session = DenseEngine("cpu").open(job, state)
    session.advance(3)
    after = session.state()
    assert same(after.weights, state.weights)
    moved = [n for n, b in after.buffers.items() if not torch.equal(b, state.buffers[n])]
    assert set(moved) == set(state.buffers)


def test_statistics_can_be_fixed() -> None:
    job, state = prepared("top-k", vgg, statistics="fixed")
    session = DenseEngine("cpu").open(job, state)
    session.advance(3)
    assert same(session.state().buffers, state.buffers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_resumes_exactly_through_a_file(kind: str) -> None:
    job, state = prepared(kind, vgg)
    engine = DenseEngine("cpu")
    whole = engine.open(job, state)
    whole.advance(4)
    first = engine.open(job, state)
    first.advance(2)
    first.evaluate("test")
    tensors, about = statefile.pack_state(first.state())
    read = statefile.unpack_state(*from_bytes("state", to_bytes("state", tensors, about), "here"))
    second = engine.open(job, read)
    second.advance(4)
    one, two = whole.state(), second.state()
    assert one.step == two.step == 4
    assert one.updates == two.updates == 4
    assert same(one.weights, two.weights)
    assert same(one.buffers, two.buffers)
    assert same(one.extras[SCORES], two.extras[SCORES])
    assert same(one.slots["momentum_buffer"], two.slots["momentum_buffer"])
    assert whole.evaluate("test") == second.evaluate("test")


def test_scores_follow_torchs_own_optimizer() -> None:
    job, state = prepared("top-k")
    assert job.search is not None
    session = DenseEngine("cpu").open(job, state)
    session.advance(2)
    model = lenet()()
    model.load_state_dict(dict(state.weights))
    leaves = {n: nn.Parameter(s.clone()) for n, s in state.extras[SCORES].items()}
    optimizer = torch.optim.SGD(leaves.values(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    feed = Feed(job, torch.device("cpu"))
    for step in range(2):
        optimizer.param_groups[0]["lr"] = (
            0.1 * (1 + torch.cos(torch.tensor(torch.pi * step / 60)).item()) / 2
        )
        x, y = feed.batch(step)
        effective = {
            n: straight_through(
                job.search,
                state.weights[n],
                leaf,
                kept_by_scores(job.search, n, leaf.detach(), step),
            )
            for n, leaf in leaves.items()
        }
        optimizer.zero_grad()
        F.cross_entropy(torch.func.functional_call(model, effective, (x,)), y).backward()
        optimizer.step()
    after = session.state().extras[SCORES]
    for name, leaf in leaves.items():
        torch.testing.assert_close(after[name], leaf.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_is_the_network_that_was_evaluated(kind: str) -> None:
    job, state = prepared(kind, vgg)
    engine = DenseEngine("cpu")
    session = engine.open(job, state)
    session.advance(2)
    assert job.search is not None
    ticket = found_network(job.search, session.state())
    assert ticket.mask is not None
    assert SCORES not in ticket.extras
    plain = engine.open(replace(job, search=None), ticket)
    assert plain.evaluate("test") == session.evaluate("test")
    for name, keep in ticket.mask.items():
        scale = factor(keep) if job.search.rescale else 1.0
        assert torch.equal(ticket.weights[name], torch.where(keep, state.weights[name] * scale, 0))


def test_counts_are_exact_and_ties_go_to_the_lower_index() -> None:
    scores = {"a": torch.tensor([[0.5, -0.5], [0.5, 0.5]]), "b": torch.tensor([3.0, 1.0, 2.0])}
    search = Search("top-k", ("a", "b"), {"a": 2, "b": 1})
    assert mask_of(search, scores) == Mask(
        {"a": torch.tensor([[True, False], [True, False]]), "b": torch.tensor([True, False, False])}
    )
    absolute = mask_of(replace(search, absolute=True), scores)
    assert absolute["a"].tolist() == [[True, True], [False, False]]


def test_counts_are_exact_after_a_search() -> None:
    job, state = prepared("top-k", vgg)
    session = DenseEngine("cpu").open(job, state)
    session.advance(3)
    after = session.state()
    assert job.search is not None
    mask = mask_of(job.search, after.extras[SCORES])
    assert mask.kept_per_layer == job.search.keep
    for name, count in mask.kept_per_layer.items():
        expected = keep_largest({name: after.extras[SCORES][name]}, count)
        assert torch.equal(mask[name], expected[name])


def test_bernoulli_masks_have_the_probability_of_the_scores_and_change_with_the_step() -> None:
    search = Search("bernoulli", ("w",), seed=5)
    score = torch.linspace(-3, 3, 60).repeat_interleave(2000)
    draws = [kept_by_scores(search, "w", score, step) for step in (0, 1, None)]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(draws[0], kept_by_scores(search, "w", score, 0))
    for draw in draws:
        shares = draw.float().view(60, 2000).mean(1)
        probabilities = torch.sigmoid(score.view(60, 2000)[:, 0])
        deviation = (probabilities * (1 - probabilities) / 2000).sqrt()
        assert ((shares - probabilities).abs() < 5 * deviation).all()


def test_a_density_takes_the_largest_scores_of_a_bernoulli_search_at_the_end_only() -> None:
    search = Search("bernoulli", ("w",), {"w": 1})
    score = torch.tensor([4.0, 5.0, 4.0, 4.0])
    assert kept_by_scores(search, "w", score, None).tolist() == [False, True, False, False]
    assert kept_by_scores(search, "w", score, 0).sum() > 1


def test_dynamic_rescaling_multiplies_by_weights_over_ones() -> None:
    model = nn.Linear(8, 3, bias=False)
    weight = model.weight.detach().clone()
    search = Search("bernoulli", ("weight",), rescale=True, seed=2)
    searched = Searched(model, search, {"weight": torch.zeros(3, 8)})
    searched.apply(0)
    keep = kept_by_scores(search, "weight", torch.zeros(3, 8), 0)
    ones = int(keep.sum())
    assert 0 < ones < 24
    torch.testing.assert_close(model.weight.detach(), weight * keep * (24 / ones))
    assert factor(torch.zeros(4, dtype=torch.bool)) == 4


def test_other_engines_refuse_with_the_reason() -> None:
    job, state = prepared("top-k")
    for name in ("stacked", "compiled", "sparse"):
        assert "scores train over frozen weights" in str(make_engine(name).refuses(job))
        with pytest.raises(UserError, match="scores train over frozen weights"):
            make_engine(name).open(job, state)
    assert DenseEngine("cpu").refuses(job) is None


def test_states_that_no_search_can_start_from() -> None:
    job, state = prepared("top-k")
    engine = DenseEngine("cpu")
    with pytest.raises(
        UserError, match=r"scores of 'hidden\.0\.weight' must be \[12, 16\], got none"
    ):
        engine.open(job, replace(state, extras={}))
    mask = Mask.dense({name: state.weights[name] for name in NAMES})
    with pytest.raises(UserError, match="starts from all weights"):
        engine.open(job, replace(state, mask=mask))
    session = engine.open(job, state)
    with pytest.raises(UserError, match="no method that sets masks"):
        session.remask(mask)


def test_a_search_that_diverges_stops_before_the_update() -> None:
    job, state = prepared("top-k")
    weights = {**state.weights, "output.bias": torch.full((10,), torch.nan)}
    session = DenseEngine("cpu").open(job, replace(state, weights=weights))
    stats = session.advance(5)
    assert stats.diverged_at == 1
    assert same(session.state().extras[SCORES], state.extras[SCORES])
