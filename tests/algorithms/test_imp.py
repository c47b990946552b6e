"""wn.imp around loops of a user's own: starts, counts, masks, order of data, errors."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.algorithms.attach import Attach
from winnow.errors import UserError
from winnow.pruning import LayerCollapse

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + 2 * (X[:, 1] > 0).long()


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4))


class Loop:
    """A training loop that records what it saw."""

    def __init__(self, steps: int = 8) -> None:
        self.steps = steps
        self.starts: list[dict[str, Tensor]] = []
        self.after: dict[int, dict[str, Tensor]] = {}
        self.orders: list[list[int]] = []
        self.seen: list[tuple[int, int, int]] = []

    def __call__(self, model: nn.Module, attach: Attach) -> None:
        self.starts.append({n: t.clone() for n, t in model.state_dict().items()})
        optimizer = attach(torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=0.1))
        self.orders.append(torch.randperm(64).tolist())
        for step in range(self.steps):
            x, y = X[self.orders[-1]], Y[self.orders[-1]]
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            if attach.round == 0:
                self.after[step + 1] = {n: t.clone() for n, t in model.state_dict().items()}
        self.seen.append((attach.round, attach.start_step, attach.steps))


def run(loop: Loop | None = None, **options: Any) -> tuple[list[wn.Ticket], Loop]:
    loop = loop or Loop()
    tickets: list[wn.Ticket] = []
    last = wn.imp(make, loop, **{"rounds": 3, "on_round": tickets.append, **options})
    assert last is tickets[-1]
    return tickets, loop


def masked(state: Any, ticket: wn.Ticket) -> dict[str, Tensor]:
    return {n: t * ticket.mask[n] if n in ticket.mask else t for n, t in state.items()}


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_densities_subsets_and_exact_zeros() -> None:
    tickets, _ = run(rounds=4)
    assert [t.mask.kept for t in tickets] == [120, 96, 77, 62, 50]
    for before, after in itertools.pairwise(tickets):
        assert after.mask.is_subset(before.mask)
        assert after.final is not None
        for name in after.mask:
            assert not after.final[name][~after.mask[name]].any()
            assert after.final[name][after.mask[name]].all()


def test_a_round_is_one_pruning_of_the_trained_weights() -> None:
    """The masks, computed independently from the recorded trained weights."""
    tickets, _ = run()
    for before, after in itertools.pairwise(tickets):
        assert before.final is not None
        magnitudes = {n: before.final[n].abs() for n in before.mask}
        assert after.mask == wn.prune(magnitudes, rates=0.2, mask=before.mask)


def test_init_resets_to_the_initialisation() -> None:
    tickets, loop = run(rewind="init")
    initial = loop.starts[0]
    for ticket, start in zip(tickets, loop.starts, strict=True):
        assert equal(ticket.rewind, initial)
        assert equal(start, masked(initial, ticket))
    assert [seen[1] for seen in loop.seen] == [0, 0, 0, 0]


def test_a_step_rewinds_weights_and_buffers() -> None:
    tickets, loop = run(rewind="3it")
    assert equal(tickets[0].rewind, loop.starts[0])
    for ticket, start in zip(tickets[1:], loop.starts[1:], strict=True):
        assert equal(ticket.rewind, loop.after[3])
        assert equal(start, masked(loop.after[3], ticket))
        assert start["1.num_batches_tracked"] == 3
    assert [seen[:2] for seen in loop.seen] == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert equal(run(rewind="0it")[0][-1].rewind, run(rewind="init")[0][-1].rewind)


@pytest.mark.parametrize(("rewind", "starts"), [("none", [0, 8, 16, 24]), ("lr", [0, 0, 0, 0])])
def test_without_rewinding_training_continues(rewind: str, starts: list[int]) -> None:
    tickets, loop = run(rewind=rewind)
    for before, after, start in zip(tickets, tickets[1:], loop.starts[1:], strict=False):
        assert before.final is not None
        assert equal(after.rewind, before.final)
        assert equal(start, masked(before.final, after))
    assert [seen[1] for seen in loop.seen] == starts


def test_the_seed_decides_everything_and_global_state_nothing() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, loop = run(seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two, _ = run(seed=5)
    other, _ = run(seed=6)
    assert one[-1].mask == two[-1].mask
    assert equal(one[-1].final, two[-1].final)
    assert other[-1].mask != one[-1].mask
    assert all(order == loop.orders[0] for order in loop.orders)


def test_a_ticket_trains_to_the_same_weights_again() -> None:
    tickets, loop = run(seed=5)
    model = make()
    mask = tickets[-1].apply(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=0.1)
    with wn.sparsify(model, mask, optimizer):
        for _ in range(loop.steps):
            x, y = X[loop.orders[0]], Y[loop.orders[0]]
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    assert equal(model.state_dict(), tickets[-1].final)


def test_layer_rates_groups_and_exempt_layers() -> None:
    tickets, _ = run(scope="layer", rates={"output": 0.5}, rounds=1)
    assert tickets[-1].mask.kept_per_layer == {"0.weight": 58, "3.weight": 24}
    tickets, _ = run(ignore="output", rounds=1)
    assert tickets[-1].mask.kept_per_layer == {"0.weight": 58}
    tickets, _ = run(params="*.weight", ignore="1.weight", rounds=1)
    assert list(tickets[-1].mask) == ["0.weight", "3.weight"]


def test_provenance() -> None:
    told = run(rounds=2, rewind="2it", scope="layer", rates={"output": 0.1})[0][-1].provenance
    assert (told["criterion"], told["rate"], told["rounds"], told["round"]) == (
        "magnitude", 0.2, 2, 2,
    )  # fmt: skip
    assert told["rates"] == {"0.weight": 0.2, "3.weight": 0.1}
    assert told["versions"]["winnow"] == wn.__version__
    assert [one["steps"] for one in told["history"]] == [8, 8, 8]
    assert told["history"][-1]["density"] == pytest.approx(85 / 120)


def test_other_criteria_get_data_generator_and_options() -> None:
    def noisy(subject: Any, *, scale: float) -> dict[str, Tensor]:
        ((x, y),) = subject.batches()
        weights = list(subject.weights.values())
        grads = torch.autograd.grad(subject.loss(subject.model(x), y), weights)
        return {
            n: (w * g).abs() + scale * torch.rand(w.shape, generator=subject.random())
            for (n, w), g in zip(subject.weights.items(), grads, strict=True)
        }

    options = {"criterion": noisy, "batch": (X, Y), "loss_fn": F.cross_entropy, "scale": 0.1}
    one, _ = run(**options)
    two, _ = run(**options)
    assert one[-1].mask == two[-1].mask
    assert one[-1].provenance["criterion"] == "noisy"
    assert one[-1].provenance["options"] == {"scale": 0.1}
    assert run(criterion="random")[0][-1].mask != run()[0][-1].mask


def test_the_walk_ends_when_nothing_is_left() -> None:
    with pytest.warns(LayerCollapse, match=r"in round 3 of 99: no weight is left in 0\.weight\."):
        tickets, _ = run(rounds=99, rate=0.9, ignore="3.weight")
    assert [t.mask.kept for t in tickets] == [72, 7, 1, 0]


def test_least_protects_layers_and_is_checked_before_training() -> None:
    def worthless(subject: Any) -> dict[str, Tensor]:  # the second layer's weights
        return {n: torch.full_like(w, -k) for k, (n, w) in enumerate(subject.weights.items())}

    with pytest.warns(LayerCollapse, match=r"in round 1 of 2: no weight is left in 3\.weight\."):
        tickets, _ = run(rounds=2, rate=0.5, criterion=worthless)
    assert [t.mask.kept for t in tickets] == [120, 60, 30]
    tickets, _ = run(rounds=2, rate=0.5, criterion=worthless, least=2)
    assert [t.mask.kept_per_layer["3.weight"] for t in tickets] == [48, 2, 2]
    assert [t.mask.kept for t in tickets] == [120, 60, 30]
    loop = Loop()
    with pytest.raises(UserError, match="least is 20, which takes 40 weights in 2 layers, but 30"):
        run(loop, rounds=2, rate=0.5, least=20)
    assert loop.seen == []


def test_several_optimizers_and_two_calls() -> None:
    def train(model: nn.Module, attach: Attach) -> None:
        optimizers = [
            torch.optim.SGD(model[:2].parameters(), lr=0.1),  # type: ignore[index]
            torch.optim.SGD(model[3].parameters(), lr=0.1),  # type: ignore[index]
        ]
        for optimizer in [*optimizers, optimizers[0]]:
            attach(optimizer)
        for _ in range(4):
            F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
        assert attach.steps == 4

    ticket = wn.imp(make, train, rounds=2)
    assert ticket.final is not None
    assert not any(ticket.final[n][~ticket.mask[n]].any() for n in ticket.mask)


def never(model: nn.Module, attach: Attach) -> None:
    """Forgets to attach."""


def forgets_later(model: nn.Module, attach: Attach) -> None:
    if attach.round == 0:
        Loop()(model, attach)


def diverges(model: nn.Module, attach: Attach) -> None:
    Loop()(model, attach)
    if attach.round == 1:
        with torch.no_grad():
            model[3].bias.fill_(torch.inf)  # type: ignore[index]


def foreign(model: nn.Module, attach: Attach) -> None:  # noqa: ARG001
    attach(torch.optim.SGD(make().parameters(), lr=0.1))


@pytest.mark.parametrize(
    ("train", "given", "said"),
    [
        (never, {}, r"never called attach\(optimizer\) in round 0"),
        (forgets_later, {}, r"never called attach\(optimizer\) in round 1"),
        (diverges, {}, r"'3\.bias' is not finite after the training of round 1"),
        (foreign, {}, "parameters of this very model"),
        (Loop(), {"rewind": "9it"}, "8 optimizer steps, fewer than rewind='9it'"),
        (Loop(), {"rewind": "500"}, "write '500it'"),
        (Loop(), {"rewind": "5ep"}, "epochs are not known here"),
        (Loop(), {"rate": 1.0}, r"rate is 1\.0"),
        (Loop(), {"scope": "erk"}, "unknown scope"),
        (Loop(), {"rates": {"output": 0.1}}, "need scope 'layer'"),
        (Loop(), {"criterion": "magnitud"}, "unknown criterion"),
        (Loop(), {"powr": 2}, "unknown option"),
        (Loop(), {"ignore": "*"}, "covers all of"),
        (Loop(), {"params": "x"}, "unknown parameter 'x'"),
    ],
)
def test_bad_input(train: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        wn.imp(make, train, **given)


def test_a_loop_may_rewind_its_optimizer_and_train_partly_before_pruning() -> None:
    """As the docstring says: momentum of step 3 comes back, rounds before the last are short."""
    saved: list[dict[str, Any]] = []
    seen: list[tuple[int, int]] = []

    def train(model: nn.Module, attach: Attach) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
        if attach.round:
            optimizer.load_state_dict(saved[0])
        attach(optimizer)
        for step in range(attach.start_step, 10 if attach.round == 2 else 5):
            optimizer.zero_grad()
            F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (attach.round, step) == (0, 2):
                saved.append(copy.deepcopy(optimizer.state_dict()))
        seen.append((attach.start_step, attach.steps))

    tickets: list[wn.Ticket] = []
    wn.imp(make, train, rounds=2, rate=0.5, rewind="3it", on_round=tickets.append)
    assert seen == [(0, 5), (3, 2), (3, 7)]
    for ticket in tickets[1:]:
        assert ticket.final is not None
        for name, keep in ticket.mask.items():
            assert (ticket.final[name][~keep] == 0).all()
            assert (ticket.final[name][keep] != 0).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")
@pytest.mark.parametrize("first", [0, 1])
def test_optimizers_of_which_one_holds_no_masked_weight(first: int) -> None:
    """Counted are the steps of the one that is attached first, whichever it is."""
    seen = []

    def train(model: nn.Module, attach: Attach) -> None:
        muon: Any = torch.optim.Muon([p for p in model.parameters() if p.dim() == 2], lr=0.02)
        adamw = torch.optim.AdamW([p for p in model.parameters() if p.dim() != 2], lr=0.02)
        both = [muon, adamw]
        for optimizer in (both[first], both[1 - first]):
            attach(optimizer)
        for step in range(6):
            model.zero_grad()
            F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
            for optimizer in both[: 2 - step % 2]:  # AdamW in every other step
                optimizer.step()
        seen.append(attach.steps)

    ticket = wn.imp(make, train, rounds=2, rate=0.4)
    assert seen == [[6, 6, 6], [3, 3, 3]][first]
    assert ticket.final is not None
    for name, keep in ticket.mask.items():
        assert not ticket.final[name][~keep].any()
        assert ticket.final[name][keep].any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")
def test_an_optimizer_that_was_not_attached_revives_no_weights() -> None:
    def train(model: nn.Module, attach: Attach) -> None:
        muon: Any = torch.optim.Muon([p for p in model.parameters() if p.dim() == 2], lr=0.02)
        adamw = attach(torch.optim.AdamW([p for p in model.parameters() if p.dim() != 2]))
        F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
        muon.step()
        adamw.step()

    ticket = wn.imp(make, train, rounds=1, rate=0.4)
    assert ticket.final is not None
    for name, keep in ticket.mask.items():
        assert not ticket.final[name][~keep].any()


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_scaler_leaves_out_are_not_counted(fused: bool) -> None:
    counts = []

    def train(model: nn.Module, attach: Attach) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
        attach(optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        for step in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(X), Y) * (torch.inf if step == 1 else 1.0)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
        counts.append(attach.steps)

    wn.imp(make, train, rounds=1, rewind="3it")
    assert counts == [3, 3]
    with pytest.raises(UserError, match="took 3 optimizer steps, fewer than rewind='4it'"):
        wn.imp(make, train, rounds=1, rewind="4it")


class Nested(torch.optim.SGD):
    """Its step is hooked, and so is the one that it calls."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


def test_a_step_that_calls_that_of_its_base_class_is_one_step() -> None:
    counts = []

    def train(model: nn.Module, attach: Attach) -> None:
        torch.optim.SGD(model.parameters(), lr=0.1)  # from now on its step runs hooks, too
        optimizer = attach(Nested(model.parameters(), lr=0.1))
        for _ in range(3):
            optimizer.step()
        counts.append(attach.steps)

    wn.imp(make, train, rounds=1)
    assert counts == [3, 3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dynamo's own imports
def test_compiled_steps_are_counted() -> None:
    torch._dynamo.reset()
    counts = []

    def train(model: nn.Module, attach: Attach) -> None:
        optimizer = attach(torch.optim.SGD(model.parameters(), lr=0.1))
        step: Any = torch.compile(optimizer.step, backend="aot_eager")
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
            step()
        counts.append(attach.steps)

    wn.imp(make, train, rounds=1)
    assert counts == [3, 3]
