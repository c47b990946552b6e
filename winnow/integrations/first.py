"""The first mask of a training in a trainer: a given one, or a criterion's on its first batches."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from winnow import rng
from winnow.algorithms.at_init import prune_at_init
from winnow.criteria import get_criterion, traits_of
from winnow.errors import UserError
from winnow.integrations.wanted import Wanted
from winnow.mask import Mask
from winnow.selection import match, parameters, prunable, spread, uncompiled
from winnow.sparsifying import fitting
from winnow.ticket import Ticket

_INSIDE = "model"


@dataclass(frozen=True)
class OwnLoss:
    """All that a trained model tells of a batch: no criterion takes it for logits."""

    loss: Tensor


class LossOf(nn.Module):
    """A model as a function from a batch to its own loss, as criteria want it."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Any], Any]) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, inputs: Sequence[Any]) -> OwnLoss:
        """``inputs``: a trainer's batch, alone in a list. UserError if the model gives no loss."""
        (batch,) = inputs
        found = self._loss(self.model, batch)
        if not isinstance(found, Tensor) or found.dim() != 0:
            kind = f"a tensor {list(found.shape)}" if isinstance(found, Tensor) else repr(found)
            raise UserError(
                f"the model's own loss of a training batch is {kind}, not a single number: a "
                "criterion cannot differentiate it. Score the model yourself (wn.prune_at_init) "
                "and pass the mask"
            )
        return OwnLoss(found)


def scored_mask(
    wanted: Wanted, model: nn.Module, loss: Callable[[], LossOf], batches: list[Any]
) -> Mask:
    """The mask of the criterion over the names of ``model``.

    ``loss``: makes the model (or a copy of it) with its own loss, whose gradients are taken. A
    criterion that needs no examples sees the model itself.
    """
    assert wanted.criterion is not None
    criterion = wanted.criterion
    names = list(prunable(model, wanted.params))
    left_out = set() if wanted.ignore is None else set(match(names, wanted.ignore))
    names = [name for name in names if name not in left_out]
    if not names:
        raise UserError(f"nothing to prune: ignore={wanted.ignore!r} covers all that competes")
    density = wanted.density
    if isinstance(density, Mapping):
        density = spread(names, density)
    if not needs_batches(wanted):
        return prune_at_init(
            model, criterion, density=density, params=names, seed=wanted.seed, **wanted.options
        )
    if isinstance(density, Mapping):
        density = {f"{_INSIDE}.{name}": one for name, one in density.items()}
    try:
        found = prune_at_init(
            loss(), criterion, density=density, params=[f"{_INSIDE}.{name}" for name in names],
            loader=[([batch], None) for batch in batches], loss_fn=_own_loss, seed=wanted.seed,
            **wanted.options,
        )  # fmt: skip
    except UserError as error:
        raise UserError(
            f"{error}. (SparseCallback scores by the loss that the model itself computes. Where "
            "that will not do, make the mask with wn.prune_at_init and pass it)"
        ) from error
    return Mask({name.removeprefix(f"{_INSIDE}."): bits for name, bits in found.items()})


def needs_batches(wanted: Wanted) -> bool:
    """Whether the criterion looks at examples."""
    if wanted.criterion is None:
        return False
    criterion = wanted.criterion
    function = get_criterion(criterion) if isinstance(criterion, str) else criterion
    return traits_of(function).examples != "none"


def _own_loss(outputs: OwnLoss, _: object) -> Tensor:
    return outputs.loss


def first_batches(loader: Any, number: int, seed: int) -> list[Any]:
    """The first batches that a loader gives, drawn from the stream of the seed.

    What trains afterwards sees the data that it would have seen anyway: global random states and
    those of the loader's generators are put back, and workers that live on are not asked. UserError
    for a loader without batches, and for one that can be read only once.
    """
    if isinstance(loader, Iterator):
        raise UserError(
            "the train dataloader can be read only once, and scoring would take its first batches "
            "away: give the trainer a DataLoader"
        )
    with _undisturbed(loader):
        named = rng.torch_seed(seed, "score")
        torch.manual_seed(named)
        random.seed(named)
        np.random.seed(named % 2**32)
        found = list(itertools.islice(iter(_without_workers(loader)), number))
    if len(found) < number:
        raise UserError(
            f"batches={number}, but the train dataloader gives {len(found)}: score fewer"
        )
    return found


def _without_workers(loader: Any) -> Iterable[Any]:
    """The same batches in this process: persistent workers have one iterator, which trains."""
    if not isinstance(loader, DataLoader) or not loader.num_workers:
        inner: Iterable[Any] = getattr(loader, "base_dataloader", loader)
        return inner  # accelerate's own counts how often it is read
    if isinstance(loader.dataset, IterableDataset):
        return DataLoader(
            loader.dataset, loader.batch_size, collate_fn=loader.collate_fn,
            drop_last=loader.drop_last,
        )  # fmt: skip
    return DataLoader(
        loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn
    )


@contextlib.contextmanager
def _undisturbed(loader: Any) -> Iterator[None]:
    """Random states, global ones and those of the loader, are as before on exit."""
    python, numpy = random.getstate(), np.random.get_state()
    parts = [loader, getattr(loader, "sampler", None), getattr(loader, "base_dataloader", None)]
    own = [getattr(part, "generator", None) for part in parts]
    states = [(one, one.get_state()) for one in own if isinstance(one, torch.Generator)]
    try:
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for generator, state in states:
            generator.set_state(state)


def placed(given: Mask | Ticket, model: nn.Module) -> tuple[Mask, nn.Module]:
    """A given mask under the model's own names, and the part of the model that it was made for.

    That part is the model, or the one submodule in which all names and shapes are found: a mask of
    a network fits the module that trains it. UserError when there is none, or several.
    """
    mask = given if isinstance(given, Mask) else given.mask
    named = parameters(model)
    if _fits(mask, named, ""):
        return mask, model
    first = next(iter(mask), "")
    tails = [n.removesuffix(first) for n in named if n.endswith(f".{first}")]
    prefixes = [prefix for prefix in tails if _fits(mask, named, prefix)]
    if len(prefixes) > 1:
        raise UserError(
            f"the mask fits {' and '.join(p.rstrip('.') for p in prefixes)}: name its tensors as "
            f"the model does, e.g. {prefixes[0]}{first}"
        )
    if not prefixes:
        fitting(mask, named)
        raise UserError("the mask is empty: it holds nothing")
    prefix = prefixes[0]
    part = uncompiled(model).get_submodule(prefix.rstrip("."))
    return Mask({f"{prefix}{name}": mask[name] for name in mask}), part


def _fits(mask: Mask, named: dict[str, nn.Parameter], prefix: str) -> bool:
    return len(mask) > 0 and all(
        f"{prefix}{name}" in named and named[f"{prefix}{name}"].shape == mask[name].shape
        for name in mask
    )
