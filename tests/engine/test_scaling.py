"""How pixels are scaled: against a slow float64 version, and engine against engine."""

import numpy as np
import pytest
import torch

from winnow.engine import make_engine
from winnow.engine.feed import Feed, to_unit_norm
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.train.job import make_job
from winnow.experiment.train.start import starting_state

SCALINGS = ("standard", "unit-interval", "unit-norm")


def run_with(scaling):
    recipe = load_recipe("lth/digits", [f"data.scaling={scaling}"], replicates=1)
    return next(iter(expand("r", recipe, find_source(recipe.data.name)).runs.values()))


def slowly(pixels, scaling):
    x = pixels.astype(np.float64)
    if scaling == "standard":
        return (x - 4.8868628) / 6.0171136
    x /= 16
    return x / np.sqrt((x**2).sum()) if scaling == "unit-norm" else x


@pytest.mark.parametrize("scaling", SCALINGS)
def test_what_the_network_sees_is_what_the_formula_says(scaling):
    job = make_job(run_with(scaling))
    feed = Feed(job, torch.device("cpu"))
    x, _ = feed.batch(0)
    pixels, _ = feed.pixels(0)
    for image, raw in zip(x.numpy(), pixels.numpy(), strict=True):
        np.testing.assert_allclose(image, slowly(raw, scaling), rtol=0, atol=3e-7)


def test_an_image_without_light_stays_zero():
    images = torch.zeros(2, 1, 3, 3)
    images[1, 0, 1] = torch.tensor([3.0, 0.0, 4.0])
    to_unit_norm(images)
    assert torch.equal(images[0], torch.zeros(1, 3, 3))
    assert images[1, 0, 1].tolist() == pytest.approx([0.6, 0.0, 0.8])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("name", ["sparse", "stacked", "compiled"])
def test_engines_train_on_the_same_pixels(scaling, name):
    run = run_with(scaling)
    job, state = make_job(run), starting_state(run, lambda _: None)
    losses = []
    for engine in (make_engine("dense"), make_engine(name)):
        engine.prepare(job)
        session = engine.open(job, state)
        losses.append((session.advance(30).loss, session.evaluate("validation").loss))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_scalings_are_different_runs():
    assert len({run_with(scaling).id for scaling in SCALINGS}) == len(SCALINGS)


def test_networks_with_convolutions_fall_back_from_unit_norm():
    from dataclasses import replace

    job = make_job(run_with("unit-norm"))
    conv = replace(
        job, build=lambda: torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Flatten())
    )
    assert "unit norm" in make_engine("sparse").refuses(conv)
