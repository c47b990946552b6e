"""What all runs of a recipe share: epochs become iterations here, and words become layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from winnow.amounts import MOST_ITERATIONS, iterations
from winnow.data.order import steps_per_epoch
from winnow.data.own import known_data
from winnow.data.own_names import is_own_data
from winnow.errors import UserError
from winnow.experiment.plan.revision import revision_of
from winnow.experiment.recipe.model import Init, Model
from winnow.experiment.recipe.network import network, network_source
from winnow.experiment.recipe.recipe import Data, Recipe
from winnow.experiment.recipe.train import Schedule
from winnow.experiment.run_parts import OwnData, RunData, RunInit, RunModel, RunSchedule
from winnow.experiment.runs import ALL_IMAGES, Record, Run, Start
from winnow.experiment.store.images import Source
from winnow.models import is_own_network
from winnow.selection import expand_rates, prunable, resolve_names


@dataclass(frozen=True)
class Layers:
    """The weights of a network: shapes and sizes of the prunable, and the number of all.

    ``rates``: what a round removes of each prunable tensor.
    """

    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    total: int
    rates: Mapping[str, float]


@dataclass(frozen=True)
class Setting:
    """What all runs of an experiment share.

    ``dense``: the training of the dense network, but for its seeds. ``record``: what is recorded of
    each run. ``examples``: the number of training images. ``per_epoch``: iterations of an epoch.
    ``inputs``: the shape (C, H, W) of an image.
    """

    recipe: Recipe
    layers: Layers
    dense: Run
    record: Record
    examples: int
    per_epoch: int
    inputs: tuple[int, int, int] = (0, 0, 0)

    def iterations(self, field: str, written: str) -> int:
        """An amount of training, at least one. UserError, naming ``field``, where it is none."""
        return _at_least_one(field, written, self.per_epoch)

    def in_batches_of(self, batch: int | None) -> Setting:
        """The same, but that epochs are of other batches, where ``batch`` is not None."""
        if batch is None:
            return self
        per_epoch = steps_per_epoch(self.examples, batch, self.dense.last_batch)
        return replace(self, per_epoch=per_epoch)

    def schedule(self, written: Schedule) -> RunSchedule:
        """The learning rate's course, in iterations."""
        return _in_iterations(written, self.per_epoch)


def setting_of(recipe: Recipe, source: Source) -> Setting:
    """The setting of a recipe on given images. UserError for what does not fit together."""
    layers, train = _layers(recipe), recipe.train
    examples = _examples_trained_on(recipe, source)
    per_epoch = steps_per_epoch(examples, train.batch, train.last_batch)
    dense = _dense_run(recipe, source, per_epoch)
    record = _what_to_record(recipe, dense.steps, per_epoch, examples)
    inputs = known_data(recipe.data.key).inputs(recipe.data.size)
    return Setting(recipe, layers, dense, record, examples, per_epoch, inputs)


def layers_named(recipe: Recipe, patterns: Any, where: str) -> set[str]:
    """The layers that names, globs and group words stand for. UserError naming ``where``."""
    try:
        return set(resolve_names(network(recipe), patterns))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON gives them back: lists for tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}


def with_seeds(setting: Setting, replicate: int) -> Run:
    """The dense run with the seeds of a replicate; those that nothing draws from are left out."""
    recipe, unused = setting.recipe, {"mask"}
    drawn = recipe.data.validation > 0 or recipe.data.train is not None
    unused |= set() if drawn else {"split"}
    unused |= {"augment"} if recipe.data.augment == "none" else set()
    draws = recipe.model.dropout > 0 or is_own_network(recipe.model.name)  # who knows what
    unused |= set() if draws else {"dropout"}
    seeds = {k: v for k, v in recipe.seeds.of(replicate).items() if k not in unused}
    return replace(setting.dense, seeds=seeds)


def _layers(recipe: Recipe) -> Layers:
    """Sizes and pruning rates of the recipe's network."""
    spec, model = recipe.model, network(recipe)
    ignored = set(resolve_names(model, recipe.prune.ignore))
    rates = expand_rates(model, recipe.prune.rates, recipe.prune.rate)
    shapes = {n: tuple(p.shape) for n, p in prunable(model).items() if n not in ignored}
    if not shapes:
        raise UserError(
            f"prune.ignore exempts every layer of {spec.name}: nothing is left to prune"
        )
    total = sum(p.numel() for p in model.parameters() if p.ndim >= 2)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    return Layers(shapes, sizes, total, {name: rates[name] for name in sizes})


def _examples_trained_on(recipe: Recipe, source: Source) -> int:
    """The number of training images. UserError if there are not so many."""
    data = recipe.data
    left = source.examples - data.validation
    if left < 1:
        raise UserError(
            f"data.validation is {data.validation}: {data.name} has {source.examples} examples "
            f"for training; hold out fewer, e.g. {source.examples // 10}"
        )
    if data.train is not None and data.train > left:
        held_out = f", less the {data.validation} held out" if data.validation else ""
        raise UserError(
            f"data.train is {data.train}: {data.name} has {source.examples} examples for training"
            f"{held_out}; take {left} or fewer, or leave data.train out for all"
        )
    return left if data.train is None else data.train


def _dense_run(recipe: Recipe, source: Source, per_epoch: int) -> Run:
    """The recipe's dense run, but for its seeds."""
    train = recipe.train
    steps = _at_least_one("train.steps", train.steps, per_epoch)
    inputs = known_data(recipe.data.key).inputs(recipe.data.size)
    return Run(
        data=_data(recipe.data, source),
        model=_model(recipe.model),
        begin=0,
        end=steps,
        steps=steps,
        batch=train.batch,
        last_batch=train.last_batch,
        optimizer=plain(train.optimizer.resolved()),
        schedule=_in_iterations(train.schedule, per_epoch),
        clip=train.clip,
        evaluate=_at_least_one("train.evaluate", train.evaluate, per_epoch),
        seeds={},
        draw=0,
        start=Start("init"),
        pruning=None,
        engine=recipe.engine,
        revision=revision_of(recipe.engine, network(recipe), inputs, recipe.data.augment),
    )


def _data(data: Data, source: Source) -> RunData:
    run = RunData(
        data.name,
        source.content,
        data.validation,
        data.augment,
        data.train,
        data.scaling,
        data.resolved_size,
    )
    if not is_own_data(data.name):
        return run
    about = known_data(data.key)
    floats = about.pixels != "uint8"
    if floats and data.scaling == "unit-interval":
        raise UserError(
            f"data.scaling is unit-interval, and {data.name} has {about.pixels} numbers, whose "
            "range is not known: write standard or none"
        )
    if data.augment == "flip-crop" and (floats or min(about.shape[1:]) < 2):
        raise UserError(
            f"data.augment is flip-crop, for uint8 images, and an example of {data.name} is "
            f"{about.pixels} {about.shape}: write none"
        )
    own = OwnData(about.shape, about.classes, about.train_size, about.test_size, about.pixels)
    named = f"data-{source.content[:6]}"
    return replace(run, name=named, own=own, place=data.name)


def run_init(init: Init) -> RunInit:
    """The distribution of initial weights, as a run has it."""
    return RunInit(init.name, init.std, init.kept, init.head)


def _model(model: Model) -> RunModel:
    source = network_source(model)
    return RunModel(
        name=model.name if source is None else model.name.rpartition(":")[2],
        init=run_init(model.init),
        hidden=model.hidden,
        width=model.width,
        dropout=model.dropout,
        norm_init=model.norm_init,
        conv_bias=model.conv_bias,
        shortcut=model.shortcut,
        source=source,
        options=model.options,
        place=None if source is None else model.name,
    )


def _in_iterations(schedule: Schedule, per_epoch: int) -> RunSchedule:
    """The learning rate's course, in iterations."""
    every = schedule.every
    return RunSchedule(
        schedule.name,
        tuple(iterations(drop, per_epoch) for drop in schedule.drops),
        schedule.factor if schedule.drops or every else None,
        iterations(schedule.warmup, per_epoch),
        None if every is None else _at_least_one("every of the schedule", every, per_epoch),
        schedule.to,
    )


def _at_least_one(field: str, written: str, per_epoch: int) -> int:
    """An amount of training in iterations. UserError, naming ``field``, where it is none."""
    value = iterations(written, per_epoch)
    if value < 1:
        raise UserError(
            f"{field} is {written}, {value} iterations: at least 1 is needed, e.g. 100it"
        )
    if value > MOST_ITERATIONS:
        raise UserError(
            f"{field} is {written}, {value:,} iterations: {MOST_ITERATIONS:,} are the most, which "
            "take days at a million a second"
        )
    return value


def _what_to_record(recipe: Recipe, steps: int, per_epoch: int, examples: int) -> Record:
    """What the recipe wants recorded of each run."""
    train = recipe.train
    if train.validation_at and not recipe.data.validation:
        raise UserError(
            f"train.validation_at names {train.validation_at[0]}, but no images are held out for "
            "validation: write data.validation, e.g. 5000, or train.validation_at: [] for none"
        )
    everything = train.measure == "all" or train.measure >= examples
    return Record(
        accuracy_at=_steps_within("train.accuracy_at", train.accuracy_at, steps, per_epoch),
        validation_at=_steps_within("train.validation_at", train.validation_at, steps, per_epoch),
        test_curve=train.test_curve,
        measured=ALL_IMAGES if everything else int(train.measure),
    )


def _steps_within(field: str, written: Sequence[str], steps: int, per_epoch: int) -> frozenset[int]:
    """The iterations that amounts of training name. UserError for one that is not trained."""
    wanted = frozenset(iterations(step, per_epoch) for step in written)
    for step in sorted(wanted):
        if not 0 < step <= steps:
            raise UserError(
                f"{field} names iteration {step}: training has iterations 1 to {steps}. Where a "
                f"scale, a line or -o changes train.steps, it says {field}, too: others, or [] for "
                "none"
            )
    return wanted
