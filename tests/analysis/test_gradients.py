"""The norm of the gradient, against finite differences in float64 and one large batch."""

from __future__ import annotations

import copy

import pytest
import torch
from small_networks import half, images, lenet, normed
from torch.nn import functional as F

from winnow.analysis import gradient_norm, loss_gradient
from winnow.analysis.gradients import masked_copy
from winnow.errors import UserError
from winnow.mask import Mask


def batches(x, y, size=4):
    return list(zip(x.split(size), y.split(size), strict=True))


def test_it_is_what_finite_differences_give():
    model, (x, y) = lenet().double(), images()
    mask, x = half(model), x.double()
    found = gradient_norm(model, batches(x, y), mask)
    pruned, step = masked_copy(model, mask), 1e-5
    named = dict(pruned.named_parameters())
    for name, keep in mask.items():
        weight, squares = named[name].data, 0.0
        for place in keep.nonzero().tolist():
            at, losses = tuple(place), []
            for sign in (1, -1):
                weight[at] += sign * step
                losses.append(F.cross_entropy(pruned(x), y).item())
                weight[at] -= sign * step
            squares += ((losses[0] - losses[1]) / (2 * step)) ** 2
        assert found.squares[name] == pytest.approx(squares, rel=1e-6)
    assert found.squared == pytest.approx(sum(found.squares.values()))
    assert found.norm == pytest.approx(found.squared**0.5)
    assert found.loss == pytest.approx(F.cross_entropy(pruned(x), y).item())


def test_batches_of_any_sizes_count_each_image_once():
    model, (x, y) = lenet().double(), images()
    whole = loss_gradient(model, [(x.double(), y)], ["output.weight"])
    parts = loss_gradient(model, batches(x.double(), y, 4), ["output.weight"])  # 4, 4 and 2
    torch.testing.assert_close(parts.gradients, whole.gradients, rtol=1e-12, atol=1e-14)
    assert parts.examples == 10
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12)


def test_many_batches_of_float32_are_added_in_float64():
    model, (x, y) = lenet(), images()
    one = loss_gradient(model, [(x, y)], ["output.weight"]).gradients["output.weight"]
    many = loss_gradient(model, [(x, y)] * 999, ["output.weight"]).gradients["output.weight"]
    torch.testing.assert_close(many, one, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("norms", ["batch", "running", "auto", "data"])
def test_batch_norm_as_asked(norms):
    model, (x, y) = normed(), images()
    model.norm.running_mean.fill_(0.3)
    model.norm.num_batches_tracked.fill_(0 if norms == "auto" else 5)
    by_hand = copy.deepcopy(model).eval()
    if norms == "batch":
        by_hand.train()
    elif norms != "running":
        maps = by_hand.conv(x)
        by_hand.norm.running_mean = maps.mean((0, 2, 3)).detach()
        by_hand.norm.running_var = maps.var((0, 2, 3)).detach()
    F.cross_entropy(by_hand(x), y).backward()
    mask = Mask.dense({"conv.weight": model.conv.weight})
    found = gradient_norm(model, [(x, y)], mask, norms=norms)
    assert found.squared == pytest.approx(by_hand.conv.weight.grad.square().sum().item(), rel=1e-5)


def test_the_model_stays_as_it_is():
    model, (x, y) = normed(), images()
    before = copy.deepcopy(model.state_dict())
    gradient_norm(model, batches(x, y), half(model))
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_bad_input_is_named():
    model, (x, y) = lenet(), images()
    with pytest.raises(UserError, match="no images"):
        loss_gradient(model, [], ["output.weight"])
    with pytest.raises(UserError, match=r"unknown parameter 'output.weigh'"):
        loss_gradient(model, [(x, y)], ["output.weigh"])
    with pytest.raises(UserError, match="unknown mode of batch norm 'train'"):
        gradient_norm(model, [(x, y)], half(model), norms="train")
    with pytest.raises(ValueError, match="another network"):
        gradient_norm(model, [(x, y)], Mask({"w": torch.ones(2, dtype=torch.bool)}))
