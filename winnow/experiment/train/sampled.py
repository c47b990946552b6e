"""A fixed sample of the training images, on which training accuracy is measured."""

from __future__ import annotations

from dataclasses import replace

import torch

from winnow import rng
from winnow.engine.base import Job, Split

TRAIN_SAMPLE = "train_sample"
"""The split of a job that is evaluated in place of ``train``."""


def with_sample(job: Job, measured: float) -> Job:
    """The job with a split of so many training images, where it has more: the same at each look, of
    all runs that train on the same images.

    Drawn from the stream (0, "measured"); 0 images ask for nothing.
    """
    train = job.data.splits["train"]
    if not 0 < measured < len(train.index):
        return job
    generator = rng.torch_generator(0, "measured")
    drawn = torch.randperm(len(train.index), generator=generator)[: int(measured)]
    sample = Split(train.images, train.labels, train.index[drawn.sort().values])
    splits = {**job.data.splits, TRAIN_SAMPLE: sample}
    return replace(job, data=replace(job.data, splits=splits))
