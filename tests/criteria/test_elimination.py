"""The walk over columns, against the optimal brain surgeon, least squares and the paper's loops."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_sparsegpt import best, best_of_rows, hessian, slowly
from torch import Tensor

from winnow.criteria.elimination import eliminate, factorised
from winnow.errors import UserError
from winnow.patterns.grains import Blocks, Grain, NofM, Rows
from winnow.patterns.shares import Given, WeightShare


def problem(rows: int = 5, n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Weights (rows, n), and inputs (positions, n) that have much to do with each other."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(n, n, generator=generator, dtype=torch.float64)
    x = torch.randn(6 * n, n, generator=generator, dtype=torch.float64) @ mixing
    return torch.randn(rows, n, generator=generator, dtype=torch.float64), x


def walk(w: Tensor, x: Tensor, choice: object, damping: float = 0.01, size: int = 128) -> Tensor:
    factor = factorised((x.T @ x)[None], damping)
    return eliminate(w[None], factor, choice, size)[1]  # type: ignore[arg-type]


def removed(weight: Tensor, *places: tuple[int, int]) -> Tensor:
    keep = torch.ones(weight.shape, dtype=torch.bool)
    for place in places:
        keep[place] = False
    return keep


@pytest.mark.parametrize("damping", [0.0, 0.01, 1.0])
def test_one_weight_goes_as_the_optimal_brain_surgeon_says(damping: float) -> None:
    """Hassibi & Stork 1993, equation 5: δw = −w_q/[H⁻¹]_qq · H⁻¹_q, for the first input of a row;
    for a later one the Hessian is that of the inputs from it on.
    """
    w, x = problem()
    h = hessian(x, damping)
    for q in (0, 4, 11):
        inverse = torch.linalg.inv(h[q:, q:])
        expected = w.clone()
        expected[2, q:] -= w[2, q] / inverse[0, 0] * inverse[0]
        found = walk(w, x, Given(removed(w, (2, q))), damping)
        assert torch.allclose(found, expected, atol=1e-10)
        assert found[2, q] == 0


def test_a_removed_beginning_is_made_up_for_by_least_squares() -> None:
    """What stays is all to the right of what goes, so that nothing better is possible:
    w_S = (X_Sᵀ X_S)⁻¹ X_Sᵀ X w.
    """
    w, x = problem()
    keep = torch.arange(12).expand(5, 12) >= torch.tensor([[0], [1], [5], [9], [12]])
    found = walk(w, x, Given(keep), damping=0.0)
    for row, kept, start in zip(found, keep, w, strict=True):
        solved = (
            torch.linalg.lstsq(x[:, kept], x @ start).solution if kept.any() else torch.zeros(0)
        )
        assert torch.allclose(row[kept], solved.to(row), atol=1e-8)
        assert not row[~kept].any()


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([1, 3, 5, 128]))
def test_a_given_mask_is_elimination_in_column_order(data: st.DataObject, size: int) -> None:
    """Whatever the block of lazy updates, as weight after weight with explicit inverses."""
    rows, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 7))
    w, x = problem(rows, n, data.draw(st.integers(0, 5)))
    flags = data.draw(st.lists(st.booleans(), min_size=rows * n, max_size=rows * n))
    mask = torch.tensor(flags).reshape(rows, n)
    _, expected = slowly(w, hessian(x, 0.01), lambda a, b, _: mask[:, a:b], n)
    assert torch.allclose(walk(w, x, Given(mask), size=size), expected, atol=1e-9)


CHOICES: list[tuple[str, Grain | None, int, int, int]] = [
    # what, grain, count, block of columns, how many columns are chosen at a time
    ("2:4 as it goes", NofM(2, 4), 0, 128, 4),
    ("2:4 in blocks of 8", NofM(2, 4), 0, 8, 4),
    ("1:3 in blocks that it does not divide", NofM(1, 3), 0, 4, 3),
    ("half of each column block of a layer", None, 30, 4, 4),
    ("half of the layer", None, 30, 128, 12),
    ("half of each row and column block", Rows(), 6, 4, 4),
]


@pytest.mark.parametrize(("name", "grain", "count", "size", "step"), CHOICES)
def test_choices_and_updates_are_those_of_the_papers_loops(
    name: str, grain: Grain | None, count: int, size: int, step: int
) -> None:
    w, x = problem()

    def choose(first: int, last: int, costs: Tensor) -> Tensor:
        width = last - first
        if isinstance(grain, NofM):
            return best_of_rows(costs, grain.n)
        if grain is None:
            return best(costs, 5 * width // 2)
        return best_of_rows(costs, width // 2)

    kept, expected = slowly(w, hessian(x, 0.01), choose, step)
    share = WeightShare(grain, count, torch.ones(w.shape, dtype=torch.bool))
    factor = factorised((x.T @ x)[None], 0.01)
    mask, found = eliminate(w[None], factor, share, size)
    assert torch.equal(mask, kept), name
    assert torch.allclose(found, expected, atol=1e-9)


def test_later_choices_see_what_weights_have_become() -> None:
    """With the scores of the start instead, another mask comes out: the loops can tell."""
    w, x = problem()
    h = hessian(x, 0.01)
    costs = [w[:, j] ** 2 / torch.linalg.inv(h[j:, j:])[0, 0] for j in range(12)]
    at_once = best_of_rows(torch.stack(costs, 1).reshape(-1, 4), 2).reshape(5, 12)
    share = WeightShare(NofM(2, 4), 0, torch.ones(w.shape, dtype=torch.bool))
    mask, _ = eliminate(w[None], factorised((x.T @ x)[None], 0.01), share)
    assert not torch.equal(mask, at_once)
    assert torch.equal(mask[:, :4], at_once[:, :4])


@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_between_least_squares_and_no_update(seed: int) -> None:
    """‖X(ŵ − w)‖², at 2:4: never below the best weights for its mask, and below magnitude's and
    Wanda's masks without an update.
    """
    w, x = problem(rows=16, n=32, seed=seed)
    share = WeightShare(NofM(2, 4), 0, torch.ones(w.shape, dtype=torch.bool))
    mask, found = eliminate(w[None], factorised((x.T @ x)[None], 0.01), share)

    def error(weights: Tensor) -> float:
        return float((x @ (weights - w).T).square().sum())

    solved = torch.zeros_like(w)
    for row, kept, start in zip(solved, mask, w, strict=True):
        row[kept] = torch.linalg.lstsq(x[:, kept], x @ start).solution
    magnitude = w * best_of_rows(w.abs().reshape(-1, 4), 2).reshape(w.shape)
    wanda = w * best_of_rows((w.abs() * x.norm(dim=0)).reshape(-1, 4), 2).reshape(w.shape)
    assert error(solved) <= error(found) * (1 + 1e-9)
    assert error(found) < 0.75 * min(error(magnitude), error(wanda))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_counts_are_exact_and_nothing_returns(data: st.DataObject) -> None:
    rows, n = 4, 12
    w, x = problem(rows, n, data.draw(st.integers(0, 3)))
    flags = data.draw(st.lists(st.sampled_from([True, True, False]), min_size=48, max_size=48))
    before = torch.tensor(flags).reshape(rows, n)
    grain: Grain | None = data.draw(st.sampled_from([None, Rows(), NofM(1, 4), Blocks(2, 3)]))
    count: int | Tensor = 1
    if isinstance(grain, Blocks):
        blocks = before.reshape(2, 2, 4, 3).all(3).all(1)
        before = blocks.repeat_interleave(2, 0).repeat_interleave(3, 1)
        count = data.draw(st.integers(0, int(blocks.sum())))
    elif isinstance(grain, NofM):
        before |= torch.arange(n) % 4 == 2
    elif grain is None:
        count = data.draw(st.integers(0, int(before.sum())))
    else:
        count = torch.tensor([data.draw(st.integers(0, int(row.sum()))) for row in before])
    share = WeightShare(grain, count, before)
    size = data.draw(st.sampled_from([1, 3, 5, 8, 128]))
    mask, found = eliminate((w * before)[None], factorised((x.T @ x)[None], 0.01), share, size)
    assert not (mask & ~before).any()
    assert not found[~mask].any()
    assert int(mask.sum()) == share.kept
    if isinstance(grain, Rows):
        assert torch.equal(mask.sum(1), torch.as_tensor(count))
    elif isinstance(grain, NofM):
        assert (mask.reshape(-1, 4).sum(1) == 1).all()
    elif isinstance(grain, Blocks):
        parts = mask.reshape(2, 2, 4, 3)
        assert torch.equal(parts.all(3).all(1), parts.any(3).any(1))


def test_groups_are_problems_of_their_own() -> None:
    (a, x), (b, z) = problem(3, 8, 0), problem(3, 8, 1)
    factor = factorised(torch.stack([x.T @ x, z.T @ z]), 0.01)
    ones = torch.ones(6, 8, dtype=torch.bool)
    mask, found = eliminate(torch.stack([a, b]), factor, WeightShare(Rows(), 3, ones))
    for i, (w, inputs) in enumerate([(a, x), (b, z)]):
        alone = eliminate(
            w[None], factorised((inputs.T @ inputs)[None], 0.01), WeightShare(Rows(), 3, ones[:3])
        )
        assert torch.equal(mask[3 * i : 3 * i + 3], alone[0])
        assert torch.allclose(found[3 * i : 3 * i + 3], alone[1])


def test_inputs_that_are_always_zero_go_first_and_change_nothing() -> None:
    w, x = problem()
    x[:, [3, 7]] = 0
    w[:, 3] = 100
    share = WeightShare(Rows(), 10, torch.ones(w.shape, dtype=torch.bool))
    factor = factorised((x.T @ x)[None], 0.01)
    assert factor.dead[0].nonzero().flatten().tolist() == [3, 7]
    mask, found = eliminate(w[None], factor, share)
    assert not mask[:, [3, 7]].any()
    live = [j for j in range(12) if j not in (3, 7)]
    assert torch.allclose(found[:, live], w[:, live], atol=1e-12)
    kept = WeightShare(Rows(), 11, torch.ones(w.shape, dtype=torch.bool))
    mask, found = eliminate(w[None], factor, kept)
    assert (found[:, 3] == 100).all(), "kept as it was"
    nothing = factorised(torch.zeros(1, 4, 4).double(), 0.01)
    assert nothing.dead.all()


def test_what_cannot_be_inverted_is_refused() -> None:
    x = torch.ones(1, 6, dtype=torch.float64)
    with pytest.raises(UserError, match="too alike for damping 0"):
        factorised((x.T @ x)[None], 0.0)
    with pytest.raises(UserError, match="NaN or infinite"):
        factorised(torch.full((1, 2, 2), float("nan")), 0.01)


def test_a_mask_of_another_shape_is_refused() -> None:
    w, x = problem()
    with mock.patch.object(Given, "part", lambda self, *_: self), pytest.raises(UserError):
        walk(w, x, Given(torch.ones(5, 3, dtype=torch.bool)))
