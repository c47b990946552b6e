"""Every shipped recipe: its plan is sound, and its networks train on the engines it can take."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from sparse_where_possible import sparse_auto

from winnow import engine as engines
from winnow.data import Images
from winnow.data.facts import facts
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import has_scale, load_recipe
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.scales import FULL, SCALES, SMOKE
from winnow.experiment.runs import Record
from winnow.experiment.store.images import Source
from winnow.experiment.train import job as jobs
from winnow.experiment.train.choosing import choose_engine
from winnow.experiment.train.job import make_job
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train
from winnow.report.claims.judge import check_claims
from winnow.report.results import Results
from winnow.report.views import view_panels, views_of

_OF_TRAINING = re.compile("(stop|final)_train_(accuracy|loss)")

COUNT, STEPS = 300, 2  # images, and iterations of a training that is long enough to fail
NARROW = {
    **dict.fromkeys(("conv-2", "conv-4", "conv-6", "vgg-11", "vgg-16", "vgg-19"), 0.125),
    **dict.fromkeys(("resnet-20", "resnet-32"), 0.25),
}


AT_SCALES = [(name, scale) for name in shipped() for scale in SCALES if has_scale(name, scale)]


def planned(name, recipe):
    """The plan of all lines, on sources that are nowhere."""
    names = {own.data.name for own in recipe.by_line().values()}
    return expand_lines(name, recipe, {n: Source(facts(n).train_size, "usual") for n in names})


@pytest.mark.parametrize(("name", "scale"), AT_SCALES)
def test_a_recipe_that_shows_or_judges_training_accuracy_measures_all(name, scale):
    recipe = load_recipe(name, scale=scale)
    uses = bool(_OF_TRAINING.search(repr((recipe.views, recipe.claims))))
    if uses:
        assert {own.train.measure for own in recipe.by_line().values()} == {"all"}
    assert uses == (name in ("lth/4", "lth/5", "grasp/table-2"))


@pytest.mark.parametrize(("name", "scale"), AT_SCALES)
def test_a_shipped_recipe_has_a_sound_plan(name, scale):
    recipe = load_recipe(name, scale=scale)
    plan = planned(name, recipe)
    experiment = plan.experiment()
    seen: set[str] = set()
    led_to = {parent for run in experiment.runs for parent in run.parents}
    for run in experiment.runs:
        assert seen.issuperset(run.parents), "parents come first"
        assert run.id not in seen
        seen.add(run.id)
    shown = {point.run for point in experiment.points}
    assert shown <= seen
    assert all(run.id in shown or run.id in led_to for run in experiment.runs), "none for nothing"
    arms = {arm.name: arm for arm in experiment.arms}
    assert len(arms) == len(experiment.arms)
    assert {point.arm for point in experiment.points} == set(arms)
    assert all(arm.of in (None, *arms) for arm in experiment.arms)
    assert all(arm.of is not None for arm in experiment.arms if arm.is_control)
    places = {(p.line, p.arm, p.replicate, p.draw, p.round) for p in experiment.points}
    assert len(places) == len(experiment.points)
    for line, own in recipe.by_line().items():
        replicates = {point.replicate for point in experiment.points if point.line == line}
        assert replicates == set(range(own.replicates))
    check_views_and_claims(name, recipe, experiment)


def check_views_and_claims(name, recipe, experiment):
    """They are about arms, lines and columns that there are; a smaller scale may leave some out."""
    results = Results(name, recipe.dump(), experiment.arms, (), {}, missing=0)
    for view in views_of(results):
        view_panels(results, view)
        assert {"dense", *(arm.name for arm in experiment.arms)}.issuperset(view.arms), view.title
    if recipe.scale == FULL:
        check_claims(recipe.claims, results)


@pytest.fixture
def random_images(monkeypatch):
    """Images of the right shape in place of every dataset."""

    def drawn(data):
        name, content = data.name, data.content
        about, generator = facts(name), torch.Generator().manual_seed(0)
        shape, flat = (COUNT, *about.shape), (1.0,) * about.shape[0]
        x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        y = torch.arange(COUNT) % about.classes
        return Images(name, x, y, x[:20], y[:20], about.classes, flat, flat, content, "drawn")

    monkeypatch.setattr(jobs, "_images", drawn)


NETWORKS = ("lenet", "conv-2", "conv-4", "conv-6", "resnet-18", "vgg-19")
TRAINED = [("lth/14", line) for line in NETWORKS]  # others with the scale smoke: test_smoke
TRAINED += [(name, "") for name in shipped() if not has_scale(name, SMOKE)]


def shortened(name, line):
    """The dense run of a recipe and one that is pruned from it, two iterations long."""
    written = ["data.train=null", "train.accuracy_at=[]", "train.batch=20", "replicates=1"]
    recipe = load_recipe(name).by_line()[line]
    if recipe.data.validation:
        written.append("data.validation=20")
    if recipe.model.name in NARROW:
        written.append(f"model.width={NARROW[recipe.model.name]}")
    short = load_recipe(name, written).by_line()[line]
    plan = expand(name, short, Source(COUNT, "drawn"), line)
    dense = plan.nodes[0].run
    pruned = next(run for run in plan.runs.values() if run.pruning is not None)
    return (replace(run, end=run.begin + STEPS) for run in (dense, pruned))


@pytest.mark.usefixtures("random_images")
@pytest.mark.parametrize(("name", "line"), TRAINED)
def test_a_shipped_recipe_trains_dense_and_pruned(name, line, tmp_path):
    dense, pruned = shortened(name, line)
    finals = {}

    def parent(_):
        return SimpleNamespace(run=dense, state=lambda _: finals["dense"])

    for run in (dense, pruned):
        job = make_job(run)
        state = starting_state(run, parent)
        auto = sparse_auto(job).dump()
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
