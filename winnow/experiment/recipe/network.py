"""The network that a recipe or a run names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from winnow import models
from winnow.data.facts import Facts
from winnow.data.own import known_data
from winnow.errors import UserError, repeated
from winnow.experiment.run_parts import RunData, RunModel
from winnow.models.initialise import check_parts, check_scheme, initialise
from winnow.models.own import OWN_INIT, drawn_from, own_network, without_values
from winnow.outside import keep_source, source_of_place

if TYPE_CHECKING:
    from winnow.experiment.recipe.model import Model
    from winnow.experiment.recipe.recipe import Recipe

_STRUCTURE = "structure"
"""The stream of what a builder draws where its weights come from elsewhere: so what is neither a
weight nor a buffer is the same in every process."""


def network(recipe: Recipe) -> torch.nn.Module:
    """The layers of the recipe's network, without values, to look at and not to change: lines and
    methods of one network are given the same. UserError for what the network does not have.
    """
    about, model = known_data(recipe.data.key), recipe.model
    inputs = about.inputs(recipe.data.size)
    return _without_values(model.model_dump_json(), inputs, about.classes, network_source(model))


def network_source(model: Model) -> str | None:
    """The hash of the file of a network of one's own, None for others. UserError: there is none."""
    if not models.is_own_network(model.name):
        return None
    return source_of_place(model.name, "model.name").hash


@functools.lru_cache(maxsize=32)
def _without_values(
    written: str, inputs: tuple[int, int, int], classes: int, source: str | None
) -> torch.nn.Module:
    from winnow.experiment.recipe.model import Model

    model = Model.model_validate_json(written)
    build = functools.partial(_built, model, inputs, classes, source, outline=True)
    if source is not None:
        with drawn_from(0, _STRUCTURE):
            built = without_values(build)
    else:
        built = _outline(build, model)
    try:
        check_parts(built, model.init.head, model.norm_init)
        if source is not None and model.init.name != OWN_INIT:
            check_scheme(built, model.init.name)
    except UserError as error:
        raise UserError(f"model {model.name}: {error}") from None
    return built


def _outline(build: Callable[[], torch.nn.Module], model: Model) -> torch.nn.Module:
    """On the meta device, where weights take no memory. UserError: sizes that no tensor has."""
    try:
        with torch.device("meta"):
            return build()
    except UserError:
        raise
    except (RuntimeError, OverflowError, MemoryError, TypeError, ValueError) as error:
        sizes = {"hidden": model.hidden, "width": model.width}
        said = ", ".join(f"{k} {repeated(v)}" for k, v in sizes.items() if v not in (None, 1.0))
        raise UserError(
            f"model {model.name} cannot be built with {said or 'its sizes'}: a layer would be "
            f"larger than any tensor can be ({repeated(str(error).splitlines()[0])})"
        ) from None


def build_network(
    about: Facts, model: Model | RunModel, size: int | None = None, outline: bool = False
) -> torch.nn.Module:
    """The network for the images of a dataset, with whatever weights its modules start with.

    ``size``: pixels of a side, None for the dataset's usual ones. ``outline``: its layers will do,
    as for plans (see `models.build`).
    """
    source = model.source if isinstance(model, RunModel) else network_source(model)
    if source is None:
        return _built(model, about.inputs(size), about.classes, None, outline)
    with drawn_from(0, _STRUCTURE):
        return _built(model, about.inputs(size), about.classes, source, outline)


def network_of_run(data: RunData, model: RunModel) -> torch.nn.Module:
    """The network of a run, with whatever weights its modules start with."""
    return build_network(data.about, model, data.size)


def own_structure(
    place: str, inputs: tuple[int, int, int], classes: int, options: Mapping[str, Any]
) -> torch.nn.Module:
    """A network of one's own as runs have it, by its function as it is now; weights are none's."""
    with drawn_from(0, _STRUCTURE):
        return own_network(place, inputs, classes, options)


def initialised_network(
    about: Facts, model: Model | RunModel, size: int | None, seed: int, draw: int = 0
) -> torch.nn.Module:
    """As `build_network`, with the initial weights of a seed and a draw.

    ``init: own`` are those that its modules start with, as drawn from the stream
    (``seed``, "init", ``draw``).
    """
    init = model.init
    if init.name == OWN_INIT:
        source = model.source if isinstance(model, RunModel) else network_source(model)
        with drawn_from(seed, "init", draw):
            return _built(model, about.inputs(size), about.classes, source, outline=False)
    built = build_network(about, model, size)
    initialise(
        built,
        init.name,
        seed,
        std=init.std,
        draw=draw,
        kept=init.kept,
        head=init.head,
        norm=model.norm_init,
    )
    return built


def keep_network_source(model: RunModel) -> None:
    """Keep a copy of the file of a network of one's own, which those who train fall back on."""
    if model.source is None:
        return
    source = source_of_place(_place(model), "model.name")
    if source.hash == model.source:
        keep_source(source)


def _built(
    model: Model | RunModel,
    inputs: tuple[int, int, int],
    classes: int,
    source: str | None,
    outline: bool,
) -> torch.nn.Module:
    if source is not None:
        return own_network(_place(model), inputs, classes, model.options, source)
    return models.build(
        model.name,
        inputs=inputs,
        classes=classes,
        hidden=model.hidden,
        width=model.width,
        dropout=model.dropout,
        conv_bias=model.conv_bias,
        shortcut=model.shortcut,
        outline=outline,
    )


def _place(model: Model | RunModel) -> str:
    """Where a network of one's own is built."""
    return model.place or model.name if isinstance(model, RunModel) else model.name
