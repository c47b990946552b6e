"""Copies that are scored in place of the network that trains: planned, refused, and scored."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch
from sample_plans import comparison, points_of

from winnow import rng
from winnow.data import load_images
from winnow.data.augment import flip_crop
from winnow.errors import UserError
from winnow.experiment.run_parts import AnyExamples, BalancedExamples
from winnow.experiment.runs import load_run
from winnow.experiment.train.examples import examples
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.masks import _scored, pruned_for
from winnow.pruning import prune_to
from winnow.scoring import score

FLIPS = {"augment": "flip-crop"}


@pytest.fixture(scope="module", autouse=True)
def cached(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run_of(method, **changes):
    """The first run of a method, on the real digits."""
    run = points_of(comparison([method], [0.3], **changes), method["name"])[0].run
    return replace(run, data=replace(run.data, content=load_images("digits").content))


def mask_of(run):
    return pruned_for(run, lambda _: None)[1]


def test_runs_are_others_only_where_it_is_asked_for():
    usual = run_of({"name": "snip"})
    assert run_of({"name": "snip", "reinit": "none", "augmented": False}).id == usual.id
    others = [run_of({"name": "snip", "reinit": r}) for r in ("xavier", "same-distribution")]
    flipped = run_of({"name": "snip", "augmented": True}, data=FLIPS)
    assert len({run.id for run in (usual, *others, flipped)}) == 4
    for run in (*others, flipped):
        assert load_run(asdict(run)) == run


def test_controls_score_the_same_copy():
    method = {"name": "snip", "reinit": "xavier", "controls": {"reinit": 1, "shuffled": 1}}
    made = comparison([method], [0.3])
    for arm in ("snip", "snip-reinit", "snip-shuffled"):
        assert {n.run.pruning.reinit for n in points_of(made, arm)} == {"xavier"}


@pytest.mark.parametrize(
    ("method", "data", "text"),
    [
        ({"name": "snip", "reinit": "xavir"}, {}, "reinit of snip: 'xavir'.*xavier"),
        ({"name": "random", "reinit": "xavier"}, {}, "no weight is scored"),
        (
            {"name": "snip", "reinit": "xavier", "init": "normal", "init_seed": 1},
            {},
            "one of the two",
        ),
        ({"name": "synflow", "augmented": True}, FLIPS, "sees no examples"),
        ({"name": "snip", "augmented": True}, {}, "data.augment is none"),
        ({"name": "snip", "augmented": "yes"}, FLIPS, "write true or false"),
        ({"name": "obd", "reinit": "xavier"}, {}, "reinit"),
    ],
)
def test_what_makes_no_sense_is_refused(method, data, text):
    with pytest.raises(UserError, match=text):
        comparison([method], [0.3], data=data)


@pytest.mark.parametrize("reinit", ["xavier", "same-distribution"])
def test_the_mask_is_that_of_the_other_weights_scored_by_hand(reinit):
    run = run_of({"name": "snip", "reinit": reinit}, model={"init": "kaiming-uniform"})
    copy, own = _scored(run, run.pruning), initial_network(run)
    loader = list(examples(make_job(run), run.pruning.scoring, run.pruning.seed))
    (x, y), w = loader[0], dict(copy.named_parameters())
    loss = torch.nn.functional.cross_entropy(copy.train()(x), y)
    gradients = dict(zip(w, torch.autograd.grad(loss, list(w.values())), strict=True))
    by_hand = {n: (gradients[n] * w[n]).abs().detach() for n in run.pruning.prunable}
    mask = mask_of(run)
    cut = torch.cat([s.flatten() for s in by_hand.values()]).topk(run.keep).values[-1]
    agree = sum(int((mask[n] == (s >= cut)).sum()) for n, s in by_hand.items())
    assert agree >= sum(s.numel() for s in by_hand.values()) - 4  # ties, to rounding
    usual = mask_of(replace(run, pruning=replace(run.pruning, reinit="none")))
    assert any(not torch.equal(mask[n], usual[n]) for n in mask)
    assert prune_to(score(own, "magnitude"), run.keep).kept == mask.kept == run.keep


def test_what_the_copies_are_drawn_from():
    model = {"init": "kaiming-uniform", "hidden": [300, 100]}
    run = run_of({"name": "snip", "reinit": "same-distribution"}, model=model)
    own, name = initial_network(run), "hidden.0.weight"
    same = _scored(run, run.pruning).get_parameter(name).detach()
    assert float(same.abs().max()) == pytest.approx(math.sqrt(6 / 64), rel=0.01)
    xavier = _scored(run, replace(run.pruning, reinit="xavier")).get_parameter(name).detach()
    assert float(xavier.std()) == pytest.approx(math.sqrt(2 / 364), rel=0.02)
    for drawn in (same, xavier):
        pair = torch.stack([drawn.flatten(), own.get_parameter(name).detach().flatten()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / math.sqrt(drawn.numel())
    other = _scored(run, replace(run.pruning, seed=run.pruning.seed + 1)).get_parameter(name)
    again = _scored(replace(run, draw=3), run.pruning).get_parameter(name)
    assert torch.equal(again, same)
    assert not torch.equal(other, same)


def test_norms_and_biases_of_a_xavier_copy_are_the_networks_own():
    run = run_of({"name": "snip", "reinit": "xavier"})
    run = replace(
        run,
        model=replace(run.model, name="resnet-20", hidden=None, width=0.25, norm_init="uniform"),
    )
    copy, own = _scored(run, run.pruning), initial_network(run)
    for name, parameter in own.named_parameters():
        assert torch.equal(parameter, copy.get_parameter(name)) == (parameter.ndim == 1), name


@pytest.mark.parametrize(
    "seen", [BalancedExamples(5, 2), AnyExamples(40), AnyExamples("all")], ids=str
)
def test_augmented_examples_are_flips_and_crops_of_the_same(seen):
    run = run_of({"name": "snip"}, data=FLIPS)
    job, seed = make_job(run), 5
    plain, flipped = (list(examples(job, seen, seed, augmented=a)) for a in (False, True))
    assert [y.tolist() for _, y in plain] == [y.tolist() for _, y in flipped]
    for batch, ((x, _), (z, _)) in enumerate(zip(plain, flipped, strict=True)):
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (job.data.mean, job.data.std))
        raw = (x * std + mean).round().to(torch.uint8)
        expected = flip_crop(raw, rng.stream(seed, "scoring", "augment", batch))
        torch.testing.assert_close(z, (expected - mean) / std, rtol=1e-5, atol=1e-5)
        assert not torch.equal(x, z)
    again = examples(job, seen, seed, augmented=True)
    for _ in range(2):  # a loader that is read twice gives the same
        assert all(torch.equal(a, b) for (a, _), (b, _) in zip(again, flipped, strict=True))


@pytest.mark.parametrize("method", ["snip", "grasp", "data-dependent"])
def test_masks_of_augmented_examples_are_others_and_repeatable(method):
    run = run_of({"name": method, "augmented": True}, data=FLIPS)
    mask, again = mask_of(run), mask_of(run)
    assert all(torch.equal(mask[n], again[n]) for n in mask)
    usual = mask_of(replace(run, pruning=replace(run.pruning, augmented=False)))
    assert any(not torch.equal(mask[n], usual[n]) for n in mask)
