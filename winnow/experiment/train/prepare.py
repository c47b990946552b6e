"""From a run to what an engine trains: network, data, mask and starting state."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from winnow import criteria, rng
from winnow.algorithms.at_init import Densities, prune_at_init
from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import start_dynamic
from winnow.algorithms.dynamic.method import DynamicMethod
from winnow.algorithms.trained import prune_trained
from winnow.data import Images, load_images
from winnow.data.facts import facts
from winnow.data.split import split
from winnow.engine.base import Job, Split, TrainingData
from winnow.errors import UserError
from winnow.experiment.runs import Pruning, Run
from winnow.experiment.train.examples import examples, scored_as
from winnow.experiment.train.searched import begun
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.pruning import LayerCollapse, prune_to
from winnow.scoring import score
from winnow.state import State, fresh_state, load_weights, masked

if TYPE_CHECKING:
    from winnow.experiment.store.store import Found

Parents = Callable[[str], "Found"]
Given = Callable[[str], State]


def make_job(run: Run) -> Job:
    """The trajectory of a run."""
    return Job(
        build=functools.partial(make_network, run),
        data=_training_data(run),
        steps=run.steps,
        batch=run.batch,
        last_batch=run.last_batch,
        optimizer=run.optimizer,
        schedule=run.schedule,
        seeds=run.seeds,
        clip=run.clip,
    )


def make_network(run: Run) -> nn.Module:
    """The run's network, with whatever weights its modules start with."""
    about = facts(run.data["name"])
    model = run.model
    options = {k: model[k] for k in ("hidden", "width", "dropout")}
    return build(model["name"], inputs=about.shape, classes=about.classes, **options)


def starting_state(run: Run, parents: Parents, given: Given | None = None) -> State:
    """The masked state at which a run begins. ``parents`` gives the stored run of an identity,
    ``given`` the weights of a hash.
    """
    start = run.start
    network, mask = _pruned(run, parents) if run.pruning else (None, None)
    if start.kind == "init":
        return _begun(run, fresh_state(initial_network(run), mask, run.begin))
    if start.kind == "given":
        assert given is not None
        assert run.search is not None
        return _begun(run, replace(given(run.search["weights"]), step=run.begin))
    assert start.run is not None
    found = _state_of(parents(start.run), start.step)
    state = State(run.begin, found.weights, found.buffers, mask)
    if start.kind == "operated":
        assert network is not None
        state = fresh_state(network, mask, run.begin)
    if start.optimizer == "rewound":
        state = replace(state, slots=found.slots, updates=found.updates)
    return _begun(run, masked(state))


def _state_of(found: Found, step: int | None) -> State:
    """A run's state after ``step`` iterations, or (None) at its end."""
    return found.state("final" if step is None else f"step-{step}")


def initial_network(run: Run, draw: int | None = None) -> nn.Module:
    """The run's network with its initial weights, or those of another draw."""
    model, init = make_network(run), run.model["init"]
    chosen = run.draw if draw is None else draw
    kept = init.get("kept", 1.0)  # absent in older runs
    initialise(model, init["name"], run.seeds["init"], std=init["std"], draw=chosen, kept=kept)
    return model


def method_of(run: Run) -> DynamicMethod | None:
    """The dynamic method that changes the run's mask, or None."""
    if run.dynamic is None:
        return None
    return make_dynamic(run.dynamic["name"], **run.dynamic["options"])


def _begun(run: Run, state: State) -> State:
    """The state under the first mask of the run's dynamic method, or with the first scores of its
    search, if it has one."""
    if run.search is not None:
        return begun(run, make_job(run), state)
    method = method_of(run)
    if run.dynamic is None or method is None:
        return state
    return start_dynamic(method, state, run.prunable, run.dynamic["seed"])


def derive_mask(run: Run, parents: Parents) -> Mask:
    """The mask: weights scored, exactly ``keep`` kept, maybe shuffled.

    The weights are those of a parent, at its end or on the way, or the run's own initial ones.
    """
    return _pruned(run, parents)[1]


def _pruned(run: Run, parents: Parents) -> tuple[nn.Module | None, Mask]:
    """The mask, and the parent's network as its rounds of pruning have left it (without: None)."""
    pruning = run.pruning
    assert pruning is not None
    _check_source(pruning)
    try:
        network, mask = (
            _of_trained(run, pruning, parents) if pruning.of else (None, _at_init(run, pruning))
        )
    except UserError as error:
        raise UserError(f"pruning by {pruning.criterion}: {error}") from error
    if pruning.shuffle is not None:
        mask = mask.shuffled(rng.torch_generator(pruning.seed, "shuffle", pruning.shuffle))
    return network, mask


def _check_source(pruning: Pruning) -> None:
    """UserError if a criterion outside Winnow is not the one that was planned."""
    if pruning.source != criteria.source_of(pruning.criterion):
        raise UserError(
            f"the file of the criterion {pruning.criterion} has changed since this experiment was "
            "planned: run the command again"
        )


def _of_trained(run: Run, pruning: Pruning, parents: Parents) -> tuple[nn.Module, Mask]:
    """The parent's network, as it was or as its rounds of pruning have left it, and the mask."""
    assert pruning.of is not None
    parent = parents(pruning.of)
    state = _state_of(parent, pruning.step)
    model = make_network(parent.run)
    load_weights(model, state)
    scored_as(model, pruning.criterion)
    mask = state.mask or Mask.dense({name: state.weights[name] for name in pruning.prunable})
    data, options = _data(run, pruning), _options(run, pruning)
    if run.start.kind == "operated" or pruning.rounds > 1:
        keep = pruning.keep if isinstance(pruning.keep, int) else dict(pruning.keep)
        return model, prune_trained(
            model,
            pruning.criterion,
            keep,
            mask,
            rounds=pruning.rounds,
            least=pruning.least,
            seed=pruning.seed,
            **data,
            **options,
        )
    scores = score(
        model,
        pruning.criterion,
        params=list(pruning.prunable),
        mask=mask,
        generator=rng.torch_generator(pruning.seed, "score", pruning.of),
        **data,
        **options,
    )
    return model, prune_to(scores, pruning.keep, mask, pruning.least)


def _at_init(run: Run, pruning: Pruning) -> Mask:
    """The mask of the initial weights of draw 0, so that other draws are controls of its mask."""
    model = initial_network(run, draw=0)
    sizes = {name: model.get_parameter(name).numel() for name in pruning.prunable}
    keep = pruning.keep
    density: Densities = (
        keep / sum(sizes.values())
        if isinstance(keep, int)
        else {name: count / sizes[name] for name, count in keep.items()}
    )
    with warnings.catch_warnings():  # the counts of each layer are stored with the run
        warnings.simplefilter("ignore", LayerCollapse)
        return prune_at_init(
            scored_as(model, pruning.criterion),
            pruning.criterion,
            density=density,
            rounds=pruning.rounds,
            params=list(pruning.prunable),
            seed=pruning.seed,
            invert=pruning.invert,
            least=pruning.least,
            **_data(run, pruning),
            **_options(run, pruning),
        )


def _options(run: Run, pruning: Pruning) -> dict[str, Any]:
    """What the criterion is given; the shape of an example follows from the data."""
    options = dict(pruning.options)
    known = criteria.traits_of(criteria.get_criterion(pruning.criterion))
    if known.takes_input_shape and options.get("input_shape") is None:
        options["input_shape"] = facts(run.data["name"]).shape
    return options


def _data(run: Run, pruning: Pruning) -> dict[str, Any]:
    """What ``score`` is given to see: the examples that the pruning names, and the loss."""
    if pruning.scoring is None:
        return {}
    loader = examples(make_job(run), pruning.scoring, pruning.seed)
    return {"loader": loader, "loss_fn": F.cross_entropy}


def _training_data(run: Run) -> TrainingData:
    """The run's splits: indices into the images, which all runs of a worker share in memory."""
    data = run.data
    images = _images(data["name"], data["content"])
    seed = run.seeds.get("split", 0)  # absent where nothing is drawn
    count = len(images.train_y)
    train, held_out = split(count, data["validation"], seed, data.get("train"))
    every_test = torch.arange(len(images.test_y))
    splits = {
        "train": Split(images.train_x, images.train_y, train),
        "test": Split(images.test_x, images.test_y, every_test),
    }
    if len(held_out):
        splits["validation"] = Split(images.train_x, images.train_y, held_out)
    return TrainingData(splits, images.mean, images.std, data["augment"])


@functools.lru_cache(maxsize=2)
def _images(name: str, content: str) -> Images:
    images = load_images(name, online=False)
    if images.content != content:
        raise UserError(
            f"the images of {name} have changed since this experiment was planned "
            f"({images.content[:12]}, planned {content[:12]}): run the command again"
        )
    return images
