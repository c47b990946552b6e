"""Every shipped recipe: its plan is sound, and its networks train on the engines it can take."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from synthetic_calibration import calibration

from winnow import engine as engines
from winnow.data import Images
from winnow.data.facts import facts
from winnow.engine.auto import Auto
from winnow.engine.calibration import Layer
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe, shipped
from winnow.experiment.runs import Record
from winnow.experiment.store.images import Source
from winnow.experiment.train import job as jobs
from winnow.experiment.train.choosing import choose_engine
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train

COUNT, STEPS = 300, 2  # images, and iterations of a training that is long enough to fail
NARROW = {
    **dict.fromkeys(("conv-2", "conv-4", "conv-6", "vgg-11", "vgg-16", "vgg-19"), 0.125),
    **dict.fromkeys(("resnet-20", "resnet-32"), 0.25),
}
ONLY_SEARCHES = ("jackpots/5",)  # nothing in them is pruned, and searches are dense


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_has_a_sound_plan(name):
    recipe = load_recipe(name)
    plan = expand(name, recipe, Source(facts(recipe.data.name).train_size, "usual"))
    experiment = plan.experiment()
    seen: set[str] = set()
    for run in experiment.runs:
        assert seen.issuperset(run.parents), "parents come first"
        assert run.id not in seen
        seen.add(run.id)
    assert {point.run for point in experiment.points} == seen
    arms = {arm.name: arm for arm in experiment.arms}
    assert len(arms) == len(experiment.arms)
    assert {point.arm for point in experiment.points} == set(arms)
    assert all(arm.of in (None, *arms) for arm in experiment.arms)
    assert all(arm.of is not None for arm in experiment.arms if arm.is_control)
    places = {(p.arm, p.replicate, p.draw, p.round) for p in experiment.points}
    assert len(places) == len(experiment.points)
    assert {point.replicate for point in experiment.points} == set(range(recipe.replicates))


@pytest.fixture
def random_images(monkeypatch):
    """Images of the right shape in place of every dataset."""

    def drawn(name, content):
        about, generator = facts(name), torch.Generator().manual_seed(0)
        shape, flat = (COUNT, *about.shape), (1.0,) * about.shape[0]
        x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        y = torch.arange(COUNT) % about.classes
        return Images(name, x, y, x[:20], y[:20], about.classes, flat, flat, content, "drawn")

    monkeypatch.setattr(jobs, "_images", drawn)


def shortened(name):
    """The dense run of a recipe and one that is pruned from it, two iterations long."""
    written = ["data.train=null", "train.accuracy_at=[]", "train.batch=20", "replicates=1"]
    recipe = load_recipe(name)
    if recipe.data.validation:
        written.append("data.validation=20")
    if recipe.model.name in NARROW:
        written.append(f"model.width={NARROW[recipe.model.name]}")
    plan = expand(name, load_recipe(name, written), Source(COUNT, "drawn"))
    dense = plan.nodes[0].run
    pruned = next(run for run in plan.runs.values() if run.pruning is not None)
    return (replace(run, end=run.begin + STEPS) for run in (dense, pruned))


def auto_of(run, job):
    """What auto goes by on a machine where everything pruned is cheaper in sparse kernels."""
    if reason := SparseEngine().refuses(job):
        return Auto(reason=reason)
    sizes = {n: w.numel() for n, w in initial_network(run).named_parameters() if w.ndim >= 2}
    layers = {name: Layer(size, 1.0) for name, size in sizes.items()}
    return Auto(calibration((1.0, 4.0), (0.95, 0.1), (0.001, 0.1), layers=layers))


@pytest.mark.usefixtures("random_images")
@pytest.mark.parametrize("name", [one for one in shipped() if one not in ONLY_SEARCHES])
def test_a_shipped_recipe_trains_dense_and_pruned(name, tmp_path):
    dense, pruned = shortened(name)
    finals = {}

    def parent(_):
        return SimpleNamespace(run=dense, state=lambda _: finals["dense"])

    for run in (dense, pruned):
        job = make_job(run)
        state = starting_state(run, parent)
        auto = auto_of(run, job).dump()
        choice = choose_engine(run, job, lambda state=state: state.mask, tmp_path / "none", auto)
        for engine in sorted({"dense", choice.engine}):
            result, states = train(
                run, Record(), job, engines.make_engine(engine), lambda s=state: s
            )
            assert (result.status, states["final"].step) == ("done", STEPS)
            finals[engine] = states["final"]
            if run is pruned:
                kept = states["final"].mask.kept
                assert kept == (run.keep if isinstance(run.keep, int) else sum(run.keep.values()))
    assert choice.engine == "sparse", "every shipped network has sparse kernels"
