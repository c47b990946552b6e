"""What `tests/test_sharding.py` runs on two ranks, with parameters sharded by ``fully_shard``."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import winnow as wn
from winnow.distributed import agreed_scores, one_rank
from winnow.mask import Mask
from winnow.sharding import is_sharded, joined, local, part_like, whole

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 3
OPTIMIZERS: dict[str, Any] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
}
DYNAMIC: dict[str, dict[str, Any]] = {
    "rigl": {"every": "3it"},
    "set": {"every": "3it", "per_epoch": 3},
    "deep-r": {"temperature": 1e-3},
    "dsr": {"every": "2it", "threshold": 0.05},
    "snfs": {"every": "3it", "per_epoch": 3},
    "gradual": {"every": "3it"},
}


def network() -> nn.Sequential:
    """15 and 3 rows are not the same on both ranks; one row leaves the second with none."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(8, 15), nn.ReLU(), nn.Linear(15, 1), nn.ReLU(), nn.Linear(1, 3)
        )


def sharded() -> nn.Module:
    mesh = init_device_mesh("cpu", (2,))
    model = network()
    for layer in (model[0], model[2], model[4]):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def random_mask(density: float = 0.5) -> Mask:
    draws = torch.Generator().manual_seed(5)
    found = {n: torch.rand(p.shape, generator=draws) < density for n, p in weights(network())}
    found["4.weight"] = torch.tensor([[True], [False], [True]])
    return Mask(found)


def weights(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(n, p) for n, p in model.named_parameters() if n.endswith("weight")]


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole(p.detach()).clone() for name, p in model.named_parameters()}


def is_zero(model: nn.Module, mask: Mask) -> bool:
    found = values(model)
    return all(not found[n][~mask[n]].any() for n in mask)


def slots_are_zero(model: nn.Module, optimizer: Any, mask: Mask) -> bool:
    for name, weight in weights(model):
        for slot in optimizer.state[weight].values():
            if isinstance(slot, Tensor) and slot.shape == weight.shape:
                assert is_sharded(slot) == is_sharded(weight)
                if whole(slot)[~mask[name]].any():
                    return False
    return True


def backward(model: nn.Module, optimizer: Any, rank: int | None) -> None:
    """On the rank's half of the examples, or on all of them."""
    optimizer.zero_grad()
    x, y = (X, Y) if rank is None else (X[rank::2], Y[rank::2])
    F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]


def job_parts(rank: int) -> Any:  # noqa: ARG001
    """Every rank's part of a tensor that all have in whole is its part of the sharded one."""
    model = sharded()
    found = True
    for _, p in model.named_parameters():
        found &= is_sharded(p)
        found &= torch.equal(part_like(whole(p.detach()), p), local(p.detach()))
        found &= torch.equal(joined(local(p.detach()) * 2, p), whole(p.detach()) * 2)
    plain = torch.ones(2)
    return found, local(plain) is plain, whole(plain) is plain, part_like(plain, plain) is plain


def job_training(rank: int) -> Any:
    mask, found = random_mask(), {}
    for name, make in OPTIMIZERS.items():
        model = sharded()
        optimizer = make(model.parameters())
        for _ in range(2):  # dense, so that there are momenta
            backward(model, optimizer, rank)
            optimizer.step()
        zeros = True
        with wn.sparsify(model, mask, optimizer):
            for _ in range(6):
                backward(model, optimizer, rank)
                for layer, weight in weights(model):
                    assert weight.grad is not None
                    zeros &= not bool(whole(weight.grad)[~mask[layer]].any())
                optimizer.step()
                zeros &= is_zero(model, mask) and slots_are_zero(model, optimizer, mask)
        gathered = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
        with one_rank():
            alone = network()
            own = make(alone.parameters())
            for step in range(8):
                if step == 2:
                    held = wn.sparsify(alone, mask, own)
                backward(alone, own, None)
                own.step()
            held.close()
        found[name] = (zeros, values(model), values(alone), dict(gathered))
    return mask, found


def job_dynamic(rank: int) -> Any:
    found = {}
    for name, options in DYNAMIC.items():
        usual: Any = {"density": 0.5, "steps": "60it", "ignore": [], **options}
        model = sharded()
        optimizer = OPTIMIZERS["momentum"](model.parameters())
        sparse = wn.dynamic(model, name, optimizer=optimizer, seed=rank, **usual)
        masks, zeros = [sparse.mask], is_zero(model, sparse.mask)
        for _ in range(12):
            backward(model, optimizer, rank)
            sparse.step()
            masks.append(sparse.mask)
            zeros &= is_zero(model, sparse.mask)
        with one_rank():
            alone = network()
            own = OPTIMIZERS["momentum"](alone.parameters())
            other = wn.dynamic(alone, name, optimizer=own, seed=0, **usual)
            there = [other.mask]
            for _ in range(12):
                backward(alone, own, None)
                other.step()
                there.append(other.mask)
        found[name] = (zeros, masks, there, values(model), values(alone))
    return found


def job_scores(rank: int) -> Any:  # noqa: ARG001
    """Of one's own making, of a model that is sharded already; and what Winnow refuses to score."""
    model = sharded()
    scores = agreed_scores({name: weight.detach().abs() for name, weight in weights(model)})
    with one_rank():
        alone = wn.prune(wn.score(network(), "magnitude"), density=0.4)
    errors = []
    for call in (
        lambda: wn.prune_at_init(model, "magnitude", density=0.4),
        lambda: wn.imp(sharded, lambda _, attach: attach(None), rounds=1),
    ):
        try:
            call()
        except wn.UserError as error:
            errors.append(str(error))
    return wn.prune(scores, density=0.4), alone, errors


def job_imp(rank: int) -> Any:
    """The loop shards the model that it is given."""

    def train(model: nn.Module, attach: Any, half: int | None = rank) -> None:
        if half is not None:
            model = fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        optimizer = attach(OPTIMIZERS["momentum"](model.parameters()))
        for _ in range(4):
            backward(model, optimizer, half)
            optimizer.step()

    tickets: list[wn.Ticket] = []
    usual: Any = {"rounds": 2, "rate": 0.3, "rewind": "2it"}
    wn.imp(network, train, on_round=tickets.append, **usual)
    with one_rank():
        alone = wn.imp(network, lambda model, attach: train(model, attach, None), **usual)
    last = tickets[-1]
    return last.mask, last.rewind, last.final, alone.mask, alone.rewind, alone.final


def job_a_mask_that_differs(rank: int) -> str:
    mask = random_mask(0.3 + 0.4 * rank)
    try:
        wn.sparsify(sharded(), mask)
    except wn.UserError as error:
        return str(error)
    return ""
