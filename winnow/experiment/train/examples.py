"""The training examples that a criterion sees, as a loader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from winnow import criteria, rng
from winnow.criteria.balanced import draw_balanced
from winnow.data.augment import flip_crop
from winnow.engine.base import Job
from winnow.engine.feed import Feed
from winnow.experiment.run_parts import BalancedExamples, ScoredExamples

_BATCH = 500  # of examples that are all seen; more would only take memory


def examples(
    job: Job, seen: ScoredExamples, seed: int, augmented: bool = False
) -> Iterable[tuple[Tensor, Tensor]]:
    """The examples of a `scoring.resolved` value, normalised, in batches.

    They are drawn from the stream (``seed``, "scoring"). ``augmented``: by the job's augmentation,
    batch k from the stream (``seed``, "scoring", "augment", k), the same whenever it is asked for.
    UserError for a class with too few.
    """
    feed, train = Feed(job, torch.device("cpu")), job.data.splits["train"]
    generator = rng.torch_generator(seed, "scoring")
    if isinstance(seen, BalancedExamples):
        drawn = _balanced(train.labels[train.index], seen, generator)
    elif seen.examples == "all":
        return _Whole(feed, seed if augmented else None)
    else:
        drawn = [torch.randperm(len(train.index), generator=generator)[: seen.examples]]
    taken = [train.take(positions) for positions in drawn]
    if augmented:
        taken = [(_augmented(job, x, seed, k), y) for k, (x, y) in enumerate(taken)]
    return [(feed.normalised(x), y) for x, y in taken]


def _balanced(labels: Tensor, seen: BalancedExamples, generator: torch.Generator) -> list[Tensor]:
    """The positions of each batch."""
    each, batches = seen.per_class, seen.batches
    own = draw_balanced(labels, each * batches, generator).view(-1, batches, each)
    return [own[:, k].flatten() for k in range(batches)]


def _augmented(job: Job, images: Tensor, seed: int, batch: int) -> Tensor:
    """Images uint8 (B, C, H, W) under the job's augmentation."""
    if job.data.augment != "flip-crop":
        return images
    return flip_crop(images, rng.stream(seed, "scoring", "augment", batch))


class _Whole:
    """All of the training split, in its order, as often as it is asked for.

    ``seed``: what augmentation draws from, None for images as they are.
    """

    def __init__(self, feed: Feed, seed: int | None) -> None:
        self.feed, self.seed = feed, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.feed.whole("train", _BATCH) if self.seed is None else self._anew(self.seed)

    def _anew(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        feed, train = self.feed, self.feed.splits["train"]
        for batch, positions in enumerate(torch.split(torch.arange(feed.count("train")), _BATCH)):
            x, y = train.take(positions)
            yield feed.normalised(_augmented(feed.job, x, seed, batch)), y


def scored_as(model: nn.Module, criterion: str) -> nn.Module:
    """The model in the mode in which a criterion's authors score it: never with dropout."""
    model.train(criteria.traits_of(criteria.get_criterion(criterion)).training)
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return model
