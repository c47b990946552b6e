"""The parts of a run, as values: what it trains on, which network, by what rules.

Their names and values are those that are hashed and stored (`runs.identity`). A field with a
default is one that older runs lack; it is silent in the hash at that value (`runs.LEGACY`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from winnow.data.facts import Facts, facts


@dataclass(frozen=True)
class OwnData:
    """What is known of data of one's own (see `data.own`): the shape (C, H, W) of an example, the
    number of classes and of examples for training and testing, and what pixels are stored as.
    """

    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    pixels: str = "uint8"

    @staticmethod
    def load(plain: Mapping[str, Any]) -> OwnData:
        """The data of plain values."""
        channels, height, width = plain["shape"]
        return OwnData(**{**plain, "shape": (channels, height, width)})


@dataclass(frozen=True)
class RunData:
    """The images: a dataset's name and the hash of its content, how many are held out for
    validation, how many of the others are trained on (None: all), how batches are augmented, and
    how pixels are scaled (see `recipe.Data`). ``size``: pixels of a side of the squares that
    networks get of images in files; None for a dataset in memory.

    ``own``: what is known of data of one's own, whose name follows from its content. ``place``:
    what the recipe calls it, which is no part of a run's identity.
    """

    name: str
    content: str
    validation: int
    augment: str
    train: int | None = None
    scaling: str = "standard"
    size: int | None = None
    own: OwnData | None = None
    place: str | None = field(default=None, compare=False)

    @property
    def about(self) -> Facts:
        """The facts of the data; of one's own without its mean and deviation, which are read with
        it. UserError: a dataset that this Winnow does not know.
        """
        if self.own is None:
            return facts(self.name)
        channels = self.own.shape[0]
        return Facts(
            name=self.name,
            shape=self.own.shape,
            classes=self.own.classes,
            train_size=self.own.train,
            test_size=self.own.test,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            citation="your own",
            licence="yours",
            most=255 if self.own.pixels == "uint8" else 1,
            in_files=self.size is not None,
            pixels=self.own.pixels,
        )

    @staticmethod
    def load(plain: Mapping[str, Any]) -> RunData:
        """The data of the plain values that ``dataclasses.asdict`` and JSON give."""
        own = plain.get("own")
        return RunData(**{**plain, "own": None if own is None else OwnData.load(own)})


@dataclass(frozen=True)
class RunInit:
    """The distribution of the initial weights: see `models.initialise`."""

    name: str
    std: float | None
    kept: float = 1.0
    head: float | None = None


@dataclass(frozen=True)
class RunModel:
    """The network: see `models.build`. ``hidden``: the widths of a network that has hidden layers
    of any width, None for its own. ``norm_init``: see `models.initialise`, as for ``init``.

    Of a network of one's own ``name`` is that of its function, ``source`` the hash of its file,
    ``options`` what it is called with, and ``place`` what the recipe calls it, which is no part of
    a run's identity.
    """

    name: str
    init: RunInit
    hidden: tuple[int, ...] | None
    width: float
    dropout: float
    norm_init: str = "ones"
    conv_bias: bool = False
    shortcut: str = "projection"
    source: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    place: str | None = field(default=None, compare=False)

    @staticmethod
    def load(plain: Mapping[str, Any]) -> RunModel:
        """The model of the plain values that ``dataclasses.asdict`` and JSON give."""
        hidden = None if plain["hidden"] is None else tuple(plain["hidden"])
        return RunModel(**{**plain, "init": RunInit(**plain["init"]), "hidden": hidden})


@dataclass(frozen=True)
class RunSchedule:
    """The learning rate's course: multiplied by ``factor`` at the iterations ``drops``, or after
    each ``every`` iterations, or as the name says, a line down to the rate ``to``; it rises from 0
    over the first ``warmup`` iterations.
    """

    name: str
    drops: tuple[int, ...]
    factor: float | None
    warmup: int
    every: int | None = None
    to: float = 0.0

    @staticmethod
    def load(plain: Mapping[str, Any]) -> RunSchedule:
        """The schedule of plain values."""
        return RunSchedule(**{**plain, "drops": tuple(plain["drops"])})


@dataclass(frozen=True)
class RunDynamic:
    """The method that changes the mask as the network trains: its name and options in full, the
    weights under the mask, how many of them it has at the end, and what it draws from.
    """

    name: str
    options: Mapping[str, Any]
    prunable: tuple[str, ...]
    keep: int
    seed: int

    @staticmethod
    def load(plain: Mapping[str, Any]) -> RunDynamic:
        """The method of plain values."""
        return RunDynamic(**{**plain, "prunable": tuple(plain["prunable"])})


@dataclass(frozen=True)
class RunSearch:
    """The mask search whose scores train instead of weights, in the words of `RunDynamic`.

    ``weights``: the hash of pre-trained ones from a file, None for those of another run or none.
    """

    name: str
    options: Mapping[str, Any]
    prunable: tuple[str, ...]
    keep: int
    seed: int
    weights: str | None = None

    @staticmethod
    def load(plain: Mapping[str, Any]) -> RunSearch:
        """The search of plain values."""
        return RunSearch(**{**plain, "prunable": tuple(plain["prunable"])})


@dataclass(frozen=True)
class BalancedExamples:
    """Training examples that a criterion sees: ``per_class`` of each in each of ``batches``."""

    per_class: int
    batches: int

    def count(self, classes: int, trained_on: int) -> int:  # noqa: ARG002
        """How many that are."""
        return self.per_class * self.batches * classes


@dataclass(frozen=True)
class AnyExamples:
    """Training examples that a criterion sees: so many, or all that the network trains on."""

    examples: int | Literal["all"]

    def count(self, classes: int, trained_on: int) -> int:  # noqa: ARG002
        """How many that are, of those that the network trains on."""
        return trained_on if self.examples == "all" else self.examples


@dataclass(frozen=True)
class PartedExamples:
    """So many training examples that a criterion sees in ``batches`` of nearly equal sizes."""

    examples: int
    batches: int

    def count(self, classes: int, trained_on: int) -> int:  # noqa: ARG002
        """How many that are."""
        return self.examples


ScoredExamples = BalancedExamples | AnyExamples | PartedExamples


def load_examples(plain: Mapping[str, Any]) -> ScoredExamples:
    """The examples of plain values."""
    if "examples" not in plain:
        return BalancedExamples(**plain)
    return PartedExamples(**plain) if "batches" in plain else AnyExamples(**plain)
