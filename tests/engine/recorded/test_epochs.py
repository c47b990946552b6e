"""Epochs on the device hold what the feed gives, step by step."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from recorded_jobs import feed_of, job_of
from tracks import FakeTrack

from winnow.engine.base import Split
from winnow.engine.recorded.epochs import Epochs


@pytest.mark.parametrize("begin", [0, 2, 4])
@pytest.mark.parametrize(
    "changes", [{}, {"last_batch": "drop"}, {"batch": 60}], ids=["keep", "drop", "one batch"]
)
def test_an_epoch_on_the_device_is_that_of_the_feed(changes, begin):
    """Images, crops and labels of every step, for rows of other seeds and other examples."""
    jobs = [job_of("conv-2", number, **changes) for number in (3, 4)]
    train = jobs[1].data.splits["train"]
    other = Split(train.images.clone(), train.labels.flip(0), train.index.flip(0))
    data = dataclasses.replace(jobs[1].data, splits={**jobs[1].data.splits, "train": other})
    jobs[1] = dataclasses.replace(jobs[1], data=data)
    feeds = [feed_of(job) for job in jobs]
    epochs = Epochs(feeds, begin, 0, FakeTrack())
    for step in range(begin, begin + 7):
        x, y, _ = epochs.batch(epochs.go_to(step))
        for row, feed in enumerate(feeds):
            expected_x, expected_y = feed.pixels(step)
            assert torch.equal(x[row], expected_x)
            assert torch.equal(y[row], expected_y)
