"""Pruning at initialisation in rounds: counts, monotony, what each round sees."""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import winnow as wn
from winnow.algorithms.at_init import exponential
from winnow.criteria import CRITERIA, Subject
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.pruning import LayerCollapse

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3


def network(*widths: int, bias: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pairs = itertools.pairwise(widths)
        units = [m for a, b in pairs for m in (nn.Linear(a, b, bias=bias), nn.ReLU())]
        return nn.Sequential(*units[:-1])


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    density=st.floats(0, 1),
    rounds=st.integers(1, 7),
    scope=st.sampled_from(["global", "layer", "uniform", "erk"]),
    seed=st.integers(0, 5),
)
def test_counts_are_exact_in_every_round_and_nothing_returns(
    widths: list[int], density: float, rounds: int, scope: str, seed: int
) -> None:
    model, seen = network(*widths), list[Mask]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerCollapse)
        final = wn.prune_at_init(
            model, "random", density=density, rounds=rounds, scope=scope, seed=seed,
            on_round=lambda _, mask: seen.append(mask),
        )  # fmt: skip
    assert len(seen) == rounds
    assert seen[-1] == final
    for k, mask in enumerate(seen, 1):
        target = density ** (k / rounds)
        if scope == "layer":
            assert mask.kept_per_layer == {n: round(target * t.numel()) for n, t in mask.items()}
        else:
            assert mask.kept == round(target * mask.size)
    assert all(b.is_subset(a) for a, b in itertools.pairwise(seen))


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    density=st.floats(0.01, 1),
    rounds=st.integers(1, 5),
    least=st.integers(1, 6),
)
def test_protected_layers_keep_their_least(
    widths: list[int], density: float, rounds: int, least: int
) -> None:
    def first_layer_is_worthless(subject: Subject) -> Mapping[str, Tensor]:
        return {n: w.detach().abs() + 10 * i for i, (n, w) in enumerate(subject.weights.items())}

    model = network(*widths)
    sizes = [w.numel() for n, w in model.named_parameters() if w.ndim > 1]
    needed = sum(min(least, n) for n in sizes)

    def prune() -> Mask:
        return wn.prune_at_init(
            model, first_layer_is_worthless, density=density, rounds=rounds, least=least
        )

    if round(density * sum(sizes)) < needed:
        with pytest.raises(UserError, match=f"that takes {needed}, a density of"):
            prune()
        return
    mask = prune()
    assert mask.kept == round(density * sum(sizes))
    assert all(k >= min(least, n) for k, n in zip(mask.kept_per_layer.values(), sizes, strict=True))


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_every_criterion_is_iterated(criterion: str) -> None:
    model, seen = network(6, 20, 10, 3), list[Mask]()
    before = copy.deepcopy(model.state_dict())
    mask = wn.prune_at_init(
        model, criterion, density=0.1, rounds=4, batch=(X, Y), loss_fn=F.cross_entropy, least=2,
        scope="global",
        on_round=lambda _, mask: seen.append(mask),
    )  # fmt: skip
    assert [m.kept for m in seen] == [round(0.1 ** (k / 4) * 350) for k in (1, 2, 3, 4)]
    assert all(b.is_subset(a) for a, b in itertools.pairwise(seen))
    assert mask.kept == 35
    assert all(torch.equal(model.state_dict()[n], t) for n, t in before.items())


def test_each_round_scores_the_network_that_is_left() -> None:
    model, seen = network(6, 8, 3), list[dict[str, Tensor]]()

    def watching(subject: Subject) -> dict[str, Tensor]:
        seen.append({n: w.detach().clone() for n, w in subject.weights.items()})
        return {n: w.detach().abs() for n, w in subject.weights.items()}

    masks: list[Mask] = []
    wn.prune_at_init(
        model, watching, density=0.2, rounds=3, on_round=lambda _, mask: masks.append(mask)
    )
    assert torch.equal(seen[0]["0.weight"], model[0].weight)  # type: ignore[index]
    for mask, weights in zip(masks[:-1], seen[1:], strict=True):
        for name, weight in weights.items():
            assert torch.equal(weight, model.get_parameter(name).detach() * mask[name])


def test_one_round_is_score_and_prune() -> None:
    model = network(6, 8, 3)
    given: dict[str, Any] = {"batch": (X, Y), "loss_fn": F.cross_entropy}
    for criterion in ("snip", "grasp", "magnitude"):
        expected = wn.prune(wn.score(model, criterion, **given), density=0.3, scope="erk")
        assert wn.prune_at_init(model, criterion, density=0.3, scope="erk", **given) == expected


def test_iterated_synflow_keeps_every_layer_to_the_end() -> None:
    """Tanaka et al., theorem 3; their figure 1 shows one-shot scores collapsing long before."""
    model = network(16, 64, 8, 64, 4, bias=False)  # a bias would feed what comes after it
    number: list[int] = []
    mask = wn.prune_at_init(
        model, "synflow", density=0.004, input_shape=(16,),
        on_round=lambda k, _: number.append(k),
    )  # fmt: skip
    assert number == list(range(1, 101))
    assert mask.kept == round(0.004 * mask.size)
    assert min(mask.kept_per_layer.values()) >= 1


@pytest.mark.filterwarnings("ignore::winnow.TiedScores")
def test_layer_collapse_is_reported_once_with_its_round() -> None:
    def last_is_worthless(subject: Subject) -> dict[str, Tensor]:
        return {n: torch.full_like(w, -i) for i, (n, w) in enumerate(subject.weights.items())}

    model = network(6, 8, 3)
    with pytest.warns(LayerCollapse) as told:
        wn.prune_at_init(model, last_is_worthless, density=0.3, rounds=4)
    texts = [str(one.message) for one in told if one.category is LayerCollapse]
    assert texts == [
        "layer collapse in round 2 of 4: no weight is left in 2.weight. least=1 protects them; "
        "more rounds may too."
    ]


def test_inverted_scores_keep_the_others() -> None:
    model = network(6, 8, 3)
    mask = wn.prune_at_init(model, "magnitude", density=0.25)
    control = wn.prune_at_init(model, "magnitude", density=0.75, invert=True)
    assert control == mask.inverted()


def test_the_seed_names_everything_that_is_drawn() -> None:
    model = network(6, 8, 3)

    def mask(seed: int) -> Mask:
        return wn.prune_at_init(model, "random", density=0.3, rounds=3, seed=seed)

    torch.rand(3)
    assert mask(1) == mask(1)
    assert mask(1) != mask(2)


def test_densities_by_name_ignored_and_chosen_parameters() -> None:
    model = network(6, 8, 8, 3)
    mask = wn.prune_at_init(model, "magnitude", density={"0.*": 0.25, "2.*": 0.5}, rounds=2)
    assert mask.kept_per_layer == {"0.weight": 12, "2.weight": 32, "4.weight": 24}
    mask = wn.prune_at_init(model, "magnitude", density=0.5, rounds=2, ignore="4.*")
    assert list(mask) == ["0.weight", "2.weight"]
    assert mask.kept == 56
    mask = wn.prune_at_init(model, "magnitude", density=0.5, params="4.weight")
    assert mask.kept_per_layer == {"4.weight": 12}


def test_exponential_densities_end_exactly() -> None:
    assert exponential(0.3, 7)[-1] == 0.3
    assert exponential(0.01, 2) == [pytest.approx(0.1), 0.01]
    assert exponential({"a": 0.01, "b": 1.0}, 2)[0] == {"a": pytest.approx(0.1), "b": 1.0}
    ratios = [math.log(b / a) for a, b in zip([1.0, *exponential(0.2, 9)], exponential(0.2, 9),
                                              strict=False)]  # type: ignore[operator]  # fmt: skip
    assert ratios == pytest.approx([math.log(0.2) / 9] * 9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"density": 2}, "density is 2"),
        ({"density": {"9.*": 0.1}}, r"unknown parameter '9\.\*'"),
        ({"loader": iter([(X, Y)]), "rounds": 3}, "3 rounds .* can be read only once"),
        ({"scope": "globl"}, "unknown scope"),
        ({"least": -1}, "least is -1"),
        ({"least": 3, "scope": "uniform", "density": 0.05}, "below least=3"),
        ({"batch": (X * float("nan"), Y)}, r"'0\.weight': 48 of 48 are NaN"),
        ({"powr": 1}, "unknown option of criterion 'snip': 'powr'"),
    ],
)
def test_bad_input(options: dict[str, Any], said: str) -> None:
    given = {"density": 0.5, "loss_fn": F.cross_entropy, **options}
    if "loader" not in given:
        given.setdefault("batch", (X, Y))
    with pytest.raises(UserError, match=said):
        wn.prune_at_init(network(6, 8, 3), "snip", **given)


def test_the_usual_seed_is_0() -> None:
    model = nn.Linear(20, 30)
    assert wn.prune_at_init(model, "random", density=0.3) == wn.prune_at_init(
        model, "random", density=0.3, seed=0
    )


def test_one_round_reads_a_loader_once() -> None:
    model, batch = nn.Linear(8, 6), (torch.randn(9, 8), torch.arange(9) % 6)
    options: dict[str, Any] = {"density": 0.3, "loss_fn": F.cross_entropy}
    once = wn.prune_at_init(model, "snip", loader=iter([batch]), **options)
    assert once == wn.prune_at_init(model, "snip", batch=batch, **options)


def test_a_function_has_the_rounds_of_its_traits() -> None:
    seen: list[int] = []
    model = nn.Linear(20, 30)
    for criterion in (CRITERIA["magnitude"], CRITERIA["synflow"]):
        options = {"input_shape": (20,)} if criterion is CRITERIA["synflow"] else {}
        wn.prune_at_init(
            model, criterion, density=0.3, on_round=lambda k, _: seen.append(k), **options
        )
    assert seen == [1, *range(1, 101)]
