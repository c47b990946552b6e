"""From a run to what an engine trains: network, data, mask and starting state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from winnow import rng
from winnow.data import Images, load
from winnow.data.facts import facts
from winnow.data.split import split
from winnow.engine.base import Job, Split, TrainingData
from winnow.errors import UserError
from winnow.experiment.graph import Pruning, Run
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.pruning import prune_to
from winnow.scoring import score
from winnow.state import State, fresh_state, load_weights, masked

if TYPE_CHECKING:
    from winnow.experiment.store import Found

Parents = Callable[[str], "Found"]


def make_job(run: Run) -> Job:
    """The trajectory of a run."""
    return Job(
        build=functools.partial(make_network, run),
        data=_training_data(run),
        steps=run.steps,
        batch=run.batch,
        last_batch=run.last_batch,
        optimizer=run.optimizer,
        schedule=run.schedule,
        seeds=run.seeds,
        clip=run.clip,
    )


def make_network(run: Run) -> nn.Module:
    """The run's network, with whatever weights its modules start with."""
    about = facts(run.data["name"])
    model = run.model
    options = {k: model[k] for k in ("hidden", "width", "dropout")}
    return build(model["name"], inputs=about.shape, classes=about.classes, **options)


def starting_state(run: Run, parents: Parents) -> State:
    """The masked state at which a run begins. ``parents`` gives the stored run of an identity."""
    mask = derive_mask(run.pruning, parents) if run.pruning else None
    model = make_network(run)
    start = run.start
    if start.kind == "init":
        init = run.model["init"]
        seed = run.seeds["init"]
        initialise(model, init["name"], seed, std=init["std"], draw=run.draw)
        return fresh_state(model, mask, run.begin)
    assert start.run is not None
    which = "final" if start.kind == "final" else f"step-{start.step}"
    found = parents(start.run).state(which)
    return masked(State(run.begin, found.weights, found.buffers, mask))


def derive_mask(pruning: Pruning, parents: Parents) -> Mask:
    """The mask: the parent's trained weights scored, exactly ``keep`` kept, maybe shuffled."""
    parent = parents(pruning.of)
    final = parent.state("final")
    model = make_network(parent.run)
    load_weights(model, final)
    before = final.mask or Mask.dense({name: final.weights[name] for name in pruning.prunable})
    generator = rng.torch_generator(pruning.seed, "score", pruning.of)
    scores = score(
        model,
        pruning.criterion,
        params=list(pruning.prunable),
        mask=before,
        generator=generator,
        **pruning.options,
    )
    mask = prune_to(scores, pruning.keep, before)
    if pruning.shuffle is None:
        return mask
    return mask.shuffled(rng.torch_generator(pruning.seed, "shuffle", pruning.shuffle))


def _training_data(run: Run) -> TrainingData:
    """The run's splits: indices into the images, which all runs of a worker share in memory."""
    data = run.data
    images = _images(data["name"], data["content"])
    train, held_out = split(len(images.train_y), data["validation"], run.seeds["split"])
    every_test = torch.arange(len(images.test_y))
    splits = {
        "train": Split(images.train_x, images.train_y, train),
        "test": Split(images.test_x, images.test_y, every_test),
    }
    if len(held_out):
        splits["validation"] = Split(images.train_x, images.train_y, held_out)
    return TrainingData(splits, images.mean, images.std, data["augment"])


@functools.lru_cache(maxsize=2)
def _images(name: str, content: str) -> Images:
    images = load(name, online=False)
    if images.content != content:
        raise UserError(
            f"the images of {name} have changed since this experiment was planned "
            f"({images.content[:12]}, planned {content[:12]}): run the command again"
        )
    return images
