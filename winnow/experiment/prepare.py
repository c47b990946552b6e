"""From a run to what an engine trains: network, data, mask and starting state."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from winnow import rng
from winnow.algorithms.at_init import Density, LayerCollapse, prune_at_init
from winnow.algorithms.dynamic import make
from winnow.algorithms.dynamic.driven import starting
from winnow.algorithms.dynamic.method import Method
from winnow.algorithms.trained import prune_trained
from winnow.data import Images, load
from winnow.data.facts import facts
from winnow.data.split import split
from winnow.engine.base import Job, Split, TrainingData
from winnow.errors import UserError
from winnow.experiment.examples import examples, scored_as
from winnow.experiment.graph import Pruning, Run
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.pruning import prune_to
from winnow.scoring import score
from winnow.state import State, fresh_state, load_weights, masked

if TYPE_CHECKING:
    from winnow.experiment.store import Found

Parents = Callable[[str], "Found"]


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


def starting_state(run: Run, parents: Parents) -> State:
    """The masked state at which a run begins. ``parents`` gives the stored run of an identity."""
    start = run.start
    if start.kind == "operated":
        assert run.pruning is not None
        return fresh_state(*_of_trained(run, run.pruning, parents), run.begin)
    mask = derive_mask(run, parents) if run.pruning else None
    if start.kind == "init":
        return _dynamic(run, fresh_state(initial_network(run), mask, run.begin))
    assert start.run is not None
    which = "final" if start.kind == "final" else f"step-{start.step}"
    found = parents(start.run).state(which)
    return masked(State(run.begin, found.weights, found.buffers, mask))


def initial_network(run: Run, draw: int | None = None) -> nn.Module:
    """The run's network with its initial weights, or those of another draw."""
    model, init = make_network(run), run.model["init"]
    chosen = run.draw if draw is None else draw
    initialise(model, init["name"], run.seeds["init"], std=init["std"], draw=chosen)
    return model


def method_of(run: Run) -> Method | None:
    """The dynamic method that changes the run's mask, or None."""
    if run.dynamic is None:
        return None
    return make(run.dynamic["name"], **run.dynamic["options"])


def _dynamic(run: Run, state: State) -> State:
    """The state under the first mask of the run's dynamic method, if it has one."""
    method = method_of(run)
    if run.dynamic is None or method is None:
        return state
    return starting(method, state, run.prunable, run.dynamic["seed"])


def derive_mask(run: Run, parents: Parents) -> Mask:
    """The mask: weights scored, exactly ``keep`` kept, maybe shuffled.

    The weights are the final ones of a parent, or the run's own initial ones.
    """
    pruning = run.pruning
    assert pruning is not None
    mask = _of_trained(run, pruning, parents)[1] if pruning.of else _at_init(run, pruning)
    if pruning.shuffle is None:
        return mask
    return mask.shuffled(rng.torch_generator(pruning.seed, "shuffle", pruning.shuffle))


def _of_trained(run: Run, pruning: Pruning, parents: Parents) -> tuple[nn.Module, Mask]:
    """The parent's network, as it was or as its rounds of pruning have left it, and the mask."""
    assert pruning.of is not None
    parent = parents(pruning.of)
    final = parent.state("final")
    model = make_network(parent.run)
    load_weights(model, final)
    scored_as(model, pruning.criterion)
    mask = final.mask or Mask.dense({name: final.weights[name] for name in pruning.prunable})
    data, options = _data(run, pruning), _options(run, pruning)
    if run.start.kind == "operated" or pruning.rounds > 1:
        keep = pruning.keep if isinstance(pruning.keep, int) else dict(pruning.keep)
        return model, prune_trained(
            model,
            pruning.criterion,
            keep,
            mask,
            rounds=pruning.rounds,
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
    return model, prune_to(scores, pruning.keep, mask)


def _at_init(run: Run, pruning: Pruning) -> Mask:
    """The mask of the initial weights of draw 0, so that other draws are controls of its mask."""
    model = initial_network(run, draw=0)
    sizes = {name: model.get_parameter(name).numel() for name in pruning.prunable}
    keep = pruning.keep
    density: Density = (
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
            **_data(run, pruning),
            **_options(run, pruning),
        )


def _options(run: Run, pruning: Pruning) -> dict[str, Any]:
    """What the criterion is given; the shape of an example follows from the data."""
    options = dict(pruning.options)
    if pruning.criterion == "synflow" and options.get("input_shape") is None:
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
    seed = run.seeds.get("split", 0)  # absent where nothing is held out, and so nothing drawn
    train, held_out = split(len(images.train_y), data["validation"], seed)
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
    images = load(name, online=False)
    if images.content != content:
        raise UserError(
            f"the images of {name} have changed since this experiment was planned "
            f"({images.content[:12]}, planned {content[:12]}): run the command again"
        )
    return images
