"""What `tests/test_distributed.py` runs on two ranks, with DistributedDataParallel and without."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

import winnow as wn
from winnow.distributed import agreed_mask, agreed_scores, check_agreed, one_rank, ranks
from winnow.mask import Mask
from winnow.selection import parameters

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 4
DYNAMIC: dict[str, dict[str, Any]] = {
    "rigl": {"every": "3it"},
    "set": {"every": "3it", "per_epoch": 3},
    "deep-r": {"temperature": 1e-3},
}


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 4))


def shard(rank: int) -> tuple[Tensor, Tensor]:
    return X[rank::2], Y[rank::2]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in parameters(model).items()}


def told(call: Any) -> str:
    """The error that a call makes; empty if it makes none."""
    try:
        call()
    except wn.UserError as error:
        return str(error)
    return ""


def random_mask(rank: int) -> Mask:
    draws = torch.Generator().manual_seed(rank)
    return Mask(
        {n: torch.rand(p.shape, generator=draws) < 0.3 for n, p in network().named_parameters()}
    )


def job_scores(rank: int) -> Any:
    wrapped = DistributedDataParallel(network())
    with one_rank():
        own = dict(wn.score(wrapped, "snip", batch=shard(rank), loss_fn=F.cross_entropy))
    agreed = wn.score(wrapped, "snip", batch=shard(rank), loss_fn=F.cross_entropy)
    return own, dict(agreed), ranks()


def job_at_init(rank: int) -> Any:
    """Two rounds, each on the shard of the rank, of a wrapped model and of one that is not yet."""
    options: Any = {"density": 0.3, "batch": shard(rank), "loss_fn": F.cross_entropy, "rounds": 2}
    wrapped = DistributedDataParallel(network())
    with one_rank():
        own = wn.prune_at_init(network(), "snip", **options)
    return (
        wn.prune_at_init(wrapped, "snip", **options),
        wn.prune_at_init(network(), "snip", **options),
        own,
    )


def job_one_rank_while_the_other_waits(rank: int) -> Any:
    if rank:
        return None
    with one_rank():
        mask = wn.prune_at_init(
            network(), "snip", density=0.3, batch=shard(rank), loss_fn=F.cross_entropy
        )
        wn.sparsify(network(), mask)
        return mask


def job_masks_that_differ(rank: int) -> Any:
    own = random_mask(rank)
    error = told(lambda: wn.sparsify(DistributedDataParallel(network()), own))
    agreed = agreed_mask(own)
    check_agreed(agreed)
    wn.sparsify(DistributedDataParallel(network()), agreed).close()
    return own, agreed, error


def job_weights_that_differ(rank: int) -> Any:
    model = network() if rank else nn.Sequential(nn.Linear(8, 4))
    scores = {name: p.detach().abs() for name, p in model.named_parameters()}
    return told(lambda: agreed_scores(scores))


def job_training(rank: int) -> Any:
    """Six steps, and the same on all examples in one process."""
    inner = network()
    wrapped = DistributedDataParallel(inner)
    mask = random_mask(0)
    optimizer = sgd(wrapped)
    x, y = shard(rank)
    zeros = True
    with wn.sparsify(wrapped, mask, optimizer):
        for _ in range(6):
            optimizer.zero_grad()
            F.cross_entropy(wrapped(x), y).backward()
            for name, p in inner.named_parameters():
                zeros &= p.grad is not None and not bool(p.grad[~mask[name]].any())
            optimizer.step()
            zeros &= all(not bool(p[~mask[n]].any()) for n, p in inner.named_parameters())
    alone = network()
    own = sgd(alone)
    with one_rank(), wn.sparsify(alone, mask, own):
        for _ in range(6):
            own.zero_grad()
            F.cross_entropy(alone(X), Y).backward()
            own.step()
    return zeros, values(wrapped), values(alone)


def job_zero_redundancy(rank: int) -> Any:
    """Each rank's optimizer has the slots of a part of the parameters."""
    model = DistributedDataParallel(network())
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), optimizer_class=torch.optim.SGD, lr=0.1, momentum=0.9
    )
    x, y = shard(rank)
    zeros, slots, sparse = True, 0, None
    for step in range(10):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if step == 2:
            sparse = wn.dynamic(
                model, "rigl", density=0.3, optimizer=optimizer, steps="60it", every="3it"
            )
            continue
        (sparse or optimizer).step()
        for name, keep in sparse.mask.items() if sparse else ():
            weight = parameters(model)[name]
            zeros &= not bool(weight.detach()[~keep].any())
            for slot in optimizer.optim.state.get(weight, {}).values():
                slots += 1
                zeros &= not bool(slot[~keep].any())
    assert sparse is not None
    return zeros, slots, sparse.made, sparse.mask, values(model)


def job_dynamic(rank: int) -> Any:
    """With another seed on each rank; and the same on all examples in one process."""
    found = {}
    for name, options in DYNAMIC.items():
        usual: Any = {"density": 0.3, "steps": "60it", **options}
        wrapped = DistributedDataParallel(network())
        optimizer = sgd(wrapped)
        sparse = wn.dynamic(wrapped, name, optimizer=optimizer, seed=rank, **usual)
        x, y = shard(rank)
        masks = [sparse.mask]
        for _ in range(12):
            optimizer.zero_grad()
            F.cross_entropy(wrapped(x), y).backward()
            sparse.step()
            masks.append(sparse.mask)
        with one_rank():
            alone = network()
            own = sgd(alone)
            other = wn.dynamic(alone, name, optimizer=own, seed=0, **usual)
            there = [other.mask]
            for _ in range(12):
                own.zero_grad()
                F.cross_entropy(alone(X), Y).backward()
                other.step()
                there.append(other.mask)
        found[name] = (masks, there, values(wrapped), values(alone))
    return found


def job_dynamic_on_gradients_of_its_own(rank: int) -> Any:
    """Each rank trains by itself, as if nobody had wrapped the model."""
    model = network()
    optimizer = sgd(model)
    sparse = wn.dynamic(model, "rigl", density=0.3, optimizer=optimizer, steps="60it", every="2it")
    x, y = shard(rank)

    def run() -> None:
        for _ in range(6):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            sparse.step()

    return told(run)


def job_imp(rank: int) -> Any:
    """The loop wraps the model that it is given; the criterion sees the shard of the rank."""

    def train(model: nn.Module, attach: Any) -> None:
        wrapped = DistributedDataParallel(model)
        optimizer = attach(sgd(wrapped))
        x, y = shard(rank)
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(wrapped(x), y).backward()
            optimizer.step()

    ticket = wn.imp(
        network, train, rounds=2, rate=0.5, rewind="2it", criterion="snip", batch=shard(rank),
        loss_fn=F.cross_entropy,
    )  # fmt: skip
    return ticket.mask, ticket.final
