"""The training examples that a criterion sees, as a loader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from winnow import criteria, rng
from winnow.criteria.balanced import draw_balanced
from winnow.data.augment import flip_crop
from winnow.data.crops import draw_crops
from winnow.data.image_files import ImageFiles
from winnow.engine.ahead import read_in_turn
from winnow.engine.base import Job
from winnow.engine.feed import Feed, at_once, examples_in_turn
from winnow.experiment.run_parts import BalancedExamples, PartedExamples, ScoredExamples

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
    drawn_from = seed if augmented else None
    if isinstance(seen, BalancedExamples):
        drawn = _balanced(train.labels[train.index], seen, generator)
    elif seen.examples == "all":
        everyone = torch.arange(len(train.index))
        return _Drawn(feed, torch.split(everyone, at_once(train, _BATCH)), drawn_from)
    else:
        some = torch.randperm(len(train.index), generator=generator)[: seen.examples]
        parts = seen.batches if isinstance(seen, PartedExamples) else 1
        drawn = list(torch.tensor_split(some, parts))
    batches = _Drawn(feed, drawn, drawn_from)
    return batches if isinstance(train.images, ImageFiles) else list(batches)


def _balanced(labels: Tensor, seen: BalancedExamples, generator: torch.Generator) -> list[Tensor]:
    """The positions of each batch."""
    each, batches = seen.per_class, seen.batches
    own = draw_balanced(labels, each * batches, generator).view(-1, batches, each)
    return [own[:, k].flatten() for k in range(batches)]


class _Drawn:
    """Batches of the training split, by positions, as often as they are asked for.

    ``seed``: what augmentation draws from, None for images as they are.
    """

    def __init__(self, feed: Feed, parts: Sequence[Tensor], seed: int | None) -> None:
        self.feed, self.parts, self.seed = feed, parts, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((self.feed.normalised(x), y) for x, y in self._pixels())

    def _pixels(self) -> Iterator[tuple[Tensor, Tensor]]:
        train, augment = self.feed.splits["train"], self.feed.job.data.augment
        if self.seed is None or augment == "none":
            return examples_in_turn(train, self.parts)
        if augment == "flip-resized-crop":
            return read_in_turn(train, self.parts, lambda k, n: draw_crops(n, self._stream(k)))
        batches = enumerate(examples_in_turn(train, self.parts))
        return ((flip_crop(x, self._stream(k)), y) for k, (x, y) in batches)

    def _stream(self, batch: int) -> np.random.Generator:
        assert self.seed is not None
        return rng.stream(self.seed, "scoring", "augment", batch)


def scored_as(model: nn.Module, criterion: str) -> nn.Module:
    """The model in the mode in which a criterion's authors score it: never with dropout."""
    model.train(criteria.traits_of(criteria.get_criterion(criterion)).training)
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return model
