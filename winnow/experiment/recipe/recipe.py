"""The recipe: what a whole experiment is, as strictly checked values.

Every field of a YAML recipe stands in this folder, with its default and its range, a file for each
larger part. Values are what the user wrote; `plan` turns them into runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from winnow.data.facts import dataset_names, facts
from winnow.data.own_names import FILES, is_folder, is_own_data
from winnow.experiment.recipe.analyses import AnalysisSpec
from winnow.experiment.recipe.claims import Claim, unique_ids
from winnow.experiment.recipe.compare import Compare
from winnow.experiment.recipe.items import check_items
from winnow.experiment.recipe.lines import line_of
from winnow.experiment.recipe.model import Model
from winnow.experiment.recipe.prune import Controls, Prune
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.recipe.ticket import GivenTicket
from winnow.experiment.recipe.train import Train
from winnow.experiment.recipe.values import LineName, RecipePart, Seed
from winnow.experiment.recipe.views import View


class Data(RecipePart):
    """Which images; how many are held out for validation; how batches are augmented.

    ``train``: a random part of what is not held out, of so many images; left out, all of it. Both
    are drawn by ``seeds.split``. ``scaling``: ``standard`` (mean 0, standard deviation 1 in each
    channel), ``unit-interval`` (pixels in [0, 1]), ``unit-norm`` (each image also divided by its
    L2 norm, as in the code that Frankle & Carbin released) or ``none``.

    Of images that stay in files (imagenet, generated-images) networks get squares of ``size``
    pixels a side, by default the dataset's usual ones: the centre, whose sides are 224/256 of the
    shorter one, or in training with ``flip-resized-crop`` random parts of 8 to 100 % of the area.
    ``flip-crop`` is for datasets in memory: shifts by up to 4 pixels; both mirror half the images.

    Data of your own is ``module:function``, ``path/to/file.py:function`` or the path of a folder of
    images ([docs](own-model-and-data.md)); with ``size`` the latter's stay in files.
    """

    name: str = Field(examples=["mnist", "my_data.py:load", "./flowers"])
    validation: int = Field(0, ge=0, examples=[5000])
    train: int | None = Field(None, ge=1, examples=[10_000])
    augment: Literal["none", "flip-crop", "flip-resized-crop"] = "none"
    scaling: Literal["standard", "unit-interval", "unit-norm", "none"] = "standard"
    size: int | None = Field(None, ge=8, le=8192, examples=[224])

    @model_validator(mode="after")
    def _suits_the_dataset(self) -> Data:
        if not is_own_data(self.name) and self.name not in dataset_names():
            return self  # another check says which there are
        if FILES in self.name:
            raise ValueError(f"a name with {FILES!r} in it is not read: rename the folder")
        if is_own_data(self.name) and not is_folder(self.name) and self.size is not None:
            raise ValueError(f"size is {self.size}, and is for a folder of images: leave it out")
        if not self.in_files:
            if self.size is not None:
                raise ValueError(
                    f"size is {self.size}, but the images of {self.name} are in memory as they "
                    "are: leave size out"
                )
            if self.augment == "flip-resized-crop":
                sized = " (or a size, of a folder)" if is_folder(self.name) else ""
                raise ValueError(
                    f"flip-resized-crop is for images in files; for {self.name} write "
                    f"augment: flip-crop{sized}"
                )
        elif self.augment == "flip-crop":
            raise ValueError(
                f"flip-crop is for images in memory; for {self.name}, whose images are files of "
                "any size, write augment: flip-resized-crop"
            )
        return self

    @property
    def in_files(self) -> bool:
        """Whether the images stay in files. UserError: an unknown dataset."""
        if is_own_data(self.name):
            return is_folder(self.name) and self.size is not None
        return facts(self.name).in_files

    @property
    def key(self) -> str:
        """The name under which the images are found: with their size where that decides how."""
        is_sized = is_own_data(self.name) and self.in_files
        return f"{self.name}{FILES}{self.size}" if is_sized else self.name

    @property
    def resolved_size(self) -> int | None:
        """What a run has as ``size``: None for a dataset in memory. UserError if it is unknown."""
        if is_own_data(self.name):
            return self.size
        about = facts(self.name)
        return (self.size or about.shape[1]) if about.in_files else None


class Seeds(RecipePart):
    """What a replicate changes: ``replicate`` gives each its own seed, a number fixes it."""

    init: Seed = "replicate"
    order: Seed = "replicate"
    split: Seed = "replicate"
    augment: Seed = "replicate"
    dropout: Seed = "replicate"
    mask: Seed = "replicate"

    def of(self, replicate: int) -> dict[str, int]:
        """The seeds of one replicate, by name."""
        written: dict[str, int | str] = self.model_dump()
        return {k: replicate if v == "replicate" else int(v) for k, v in written.items()}


class Report(RecipePart):
    """How figures draw the spread over replicates."""

    bars: Literal["min-max", "interval"] = "min-max"


class Recipe(RecipePart):
    """A whole experiment.

    ``figures``: what it reproduces (``winnow recipes --items``). ``lines``: variants of it, each a
    name and what it changes (see `lines`). ``scale``: how large it is (see `scales`).
    """

    title: str = ""
    source: str = ""
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    data: Data
    model: Model
    train: Train
    prune: Prune = Prune()
    controls: Controls = Controls()
    compare: Compare | None = None
    ticket: GivenTicket | None = None
    replicates: int = Field(5, ge=1, examples=[5])
    engine: Literal[
        "auto", "dense", "sparse", "sparse-bf16", "stacked", "compiled", "compiled-bf16"
    ] = "auto"
    seeds: Seeds = Seeds()
    report: Report = Report()
    figures: Annotated[tuple[str, ...], Field(strict=False)] = Field((), examples=[["lth/7"]])
    lines: dict[LineName, dict[str, Any]] = Field(
        {}, examples=[{"0.1": {"train.optimizer.lr": 0.1}}]
    )
    analyses: Annotated[tuple[AnalysisSpec, ...], Field(strict=False)] = ()
    views: Annotated[tuple[View, ...], Field(strict=False)] = ()
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = ()
    scale: Literal["full", "small", "smoke"] = "full"

    @model_validator(mode="after")
    def _one_kind_of_experiment(self) -> Recipe:
        if self.compare is not None:
            prune = self.prune.model_copy(update={"ignore": (), "rewind": "init"})
            if prune != Prune() or self.controls != Controls():
                raise ValueError(
                    "compare goes with prune.ignore and prune.rewind only, and without controls: "
                    "write criteria, rounds and other options beside the method's name in "
                    "compare.methods"
                )
        return self

    @model_validator(mode="after")
    def _engine_takes_files(self) -> Recipe:
        name = self.data.name
        known = is_own_data(name) or name in dataset_names()
        if self.engine.startswith("sparse") and known and self.data.in_files:
            raise ValueError(
                f"engine {self.engine} takes images in memory alone, and those of {name} stay in "
                "files: write engine: auto or dense"
            )
        return self

    @model_validator(mode="after")
    def _a_ticket_is_given_or_found(self) -> Recipe:
        if self.ticket is None:
            return self
        found = self.prune.model_copy(update={"ignore": ()}) != Prune()
        if found or self.compare is not None or self.controls.one_shot != "none":
            raise ValueError(
                "a ticket gives the mask that prune, compare and controls.one-shot would find: "
                "leave these out (prune.ignore may stay)"
            )
        return self

    @model_validator(mode="after")
    def _figures_exist(self) -> Recipe:
        check_items(self.figures)
        return self

    @model_validator(mode="after")
    def _claims_have_ids_of_their_own(self) -> Recipe:
        unique_ids(self.claims)
        return self

    def dump(self) -> dict[str, Any]:
        """The recipe in full, defaults included, as plain values that load to an equal one."""
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        for key in ("compare", "ticket", "figures", "lines", "analyses", "views", "claims"):
            if not plain[key]:
                del plain[key]
        if not self.model.options:
            del plain["model"]["options"]
        if self.claims:
            plain["claims"] = [claim.dump() for claim in self.claims]
        if self.scale == FULL:
            del plain["scale"]
        return plain

    def by_line(self) -> dict[str, Recipe]:
        """The recipe of each line, by name; without lines itself, under the empty name."""
        if not self.lines:
            return {"": self}
        plain = self.dump()
        return {line: Recipe.model_validate(line_of(plain, line)) for line in self.lines}
