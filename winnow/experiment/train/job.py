"""From a run to the job that an engine trains: its network and its data."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor, nn

from winnow.data import FolderImages, Images, load_dataset
from winnow.data.facts import facts
from winnow.data.image_files import ImageFiles
from winnow.data.split import split
from winnow.engine.base import Job, Split, TrainingData
from winnow.errors import UserError
from winnow.experiment.recipe.network import build_network
from winnow.experiment.run_parts import RunData
from winnow.experiment.runs import Run
from winnow.models.initialise import initialise


def make_job(run: Run) -> Job:
    """The trajectory of a run."""
    return Job(
        build=functools.partial(make_network, run),
        data=_training_data(run),
        steps=run.steps,
        batch=run.batch,
        last_batch=run.last_batch,
        optimizer=run.optimizer,
        schedule=asdict(run.schedule),
        seeds=run.seeds,
        clip=run.clip,
    )


def make_network(run: Run) -> nn.Module:
    """The run's network, with whatever weights its modules start with."""
    return build_network(run.data.name, run.model, run.data.size)


def initial_network(run: Run, draw: int | None = None, seed: int | None = None) -> nn.Module:
    """The run's network with its initial weights, or those of another draw or seed."""
    model, init = make_network(run), run.model.init
    chosen = run.draw if draw is None else draw
    initialise(
        model,
        init.name,
        run.seeds["init"] if seed is None else seed,
        std=init.std,
        draw=chosen,
        kept=init.kept,
        head=init.head,
        norm=run.model.norm_init,
    )
    return model


def _training_data(run: Run) -> TrainingData:
    """The run's splits: indices into the images, which all runs of a worker share."""
    data = run.data
    images = _images(data.name, data.content)
    train_x: Tensor | ImageFiles = images.train_x
    test_x: Tensor | ImageFiles = images.test_x
    if isinstance(images, FolderImages):
        assert data.size is not None, "runs on images in files have a size"
        train_x, test_x = images.at_size(data.size)
    seed = run.seeds.get("split", 0)  # absent where nothing is drawn
    count = len(images.train_y)
    train, held_out = split(count, data.validation, seed, data.train)
    every_test = torch.arange(len(images.test_y))
    splits = {
        "train": Split(train_x, images.train_y, train),
        "test": Split(test_x, images.test_y, every_test),
    }
    if len(held_out):
        splits["validation"] = Split(train_x, images.train_y, held_out)
    return scaled_data(data, splits)


def scaled_data(data: RunData, splits: Mapping[str, Split]) -> TrainingData:
    """Splits of a dataset with the scaling of its pixels."""
    about = facts(data.name)
    if data.scaling == "standard":
        return TrainingData(splits, about.mean, about.std, data.augment)
    channels = about.shape[0]
    zero, most = (0.0,) * channels, (float(about.most),) * channels
    return TrainingData(splits, zero, most, data.augment, data.scaling == "unit-norm")


@functools.lru_cache(maxsize=2)
def _images(name: str, content: str) -> Images | FolderImages:
    images = load_dataset(name, online=False)
    if images.content != content:
        raise UserError(
            f"the images of {name} have changed since this experiment was planned "
            f"({images.content[:12]}, planned {content[:12]}): run the command again"
        )
    return images
