"""From a run to the job that an engine trains: its network and its data."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from winnow.data import FolderImages, Images, load_dataset
from winnow.data.image_files import ImageFiles
from winnow.data.own import kept_images, open_own_folder
from winnow.data.split import split
from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.feed import Feed
from winnow.errors import UserError
from winnow.experiment.recipe.network import initialised_network, network_of_run
from winnow.experiment.run_parts import RunData, RunModel
from winnow.experiment.runs import Run
from winnow.models import check_buildable
from winnow.models.own import drawn_from, rehearse

_FEW = 4  # images that a network is tried with; batch normalisation needs more than one


def make_job(run: Run) -> Job:
    """The trajectory of a run."""
    return Job(
        build=NetworkOf(run.data, run.model),
        data=_training_data(run),
        steps=run.steps,
        batch=run.batch,
        last_batch=run.last_batch,
        optimizer=run.optimizer,
        schedule=asdict(run.schedule),
        seeds=run.seeds,
        clip=run.clip,
    )


@dataclass(frozen=True)
class NetworkOf:
    """The network of all runs on such data and of such a model, built when it is called."""

    data: RunData
    model: RunModel

    def __call__(self) -> nn.Module:
        """The network, with whatever weights its modules start with."""
        return network_of_run(self.data, self.model)


def make_network(run: Run) -> nn.Module:
    """The run's network, with whatever weights its modules start with."""
    return network_of_run(run.data, run.model)


def check_trainable(run: Run) -> None:
    """UserError for a network that cannot be trained here: its package is not installed, or it is
    one's own and does not do what is expected of it, which is tried with a few training images.
    """
    if run.model.source is None:
        check_buildable(run.model.name)
        return
    feed = Feed(make_job(run), torch.device("cpu"))
    few = torch.arange(min(_FEW, feed.count("train")))
    x = feed.normalised(feed.splits["train"].take(few)[0])
    with drawn_from(0, "rehearsal"):
        model = make_network(run)
        rehearse(run.model.place or run.model.name, model, x, run.data.about.classes)


def initial_network(run: Run, draw: int | None = None, seed: int | None = None) -> nn.Module:
    """The run's network with its initial weights, or those of another draw or seed."""
    return initialised_network(
        run.data.about,
        run.model,
        run.data.size,
        run.seeds["init"] if seed is None else seed,
        run.draw if draw is None else draw,
    )


def _training_data(run: Run) -> TrainingData:
    """The run's splits: indices into the images, which all runs of a worker share."""
    data = run.data
    images = _images(data)
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
    return scaled_data(data, splits, (images.mean, images.std))


_Moments = tuple[tuple[float, ...], tuple[float, ...]]


def scaled_data(
    data: RunData, splits: Mapping[str, Split], moments: _Moments | None = None
) -> TrainingData:
    """Splits of a dataset with the scaling of its pixels. ``moments``: mean and standard deviation
    of each channel, None for those of the facts.
    """
    about = data.about
    if data.scaling == "standard":
        mean, std = moments or (about.mean, about.std)
        return TrainingData(splits, mean, std, data.augment)
    channels = about.shape[0]
    zero, most = (0.0,) * channels, (float(about.most),) * channels
    if data.scaling == "none":
        return TrainingData(splits, zero, (1.0,) * channels, data.augment)
    return TrainingData(splits, zero, most, data.augment, data.scaling == "unit-norm")


def _images(data: RunData) -> Images | FolderImages:
    return _read(data.name, data.content, data.place if data.own else None, data.size)


@functools.lru_cache(maxsize=2)
def _read(name: str, content: str, place: str | None, size: int | None) -> Images | FolderImages:
    """A dataset, or what is at a place of one's own."""
    if place is None:
        images = load_dataset(name, online=False)
    elif size is None:
        return kept_images(content)
    else:
        images = open_own_folder(place, size)
    if images.content != content:
        raise UserError(
            f"the images of {place or name} have changed since this experiment was planned "
            f"({images.content[:12]}, planned {content[:12]}): run the command again"
        )
    return images
