"""w, g and w·g of kept weights, against autograd image by image."""

from __future__ import annotations

import pytest
import torch
from small_networks import half, images, lenet, normed
from torch.nn import functional as F

from winnow.analysis import weights_and_gradients
from winnow.analysis.gradients import masked_copy
from winnow.errors import UserError


@pytest.mark.parametrize("gradient", ["examples", "batch"])
@pytest.mark.parametrize("network", [lenet, normed])
def test_they_are_those_of_autograd(network, gradient):
    model, (x, y) = network().eval(), images()
    mask = half(model)
    found = weights_and_gradients(
        model, [(x[:7], y[:7]), (x[7:], y[7:])], mask, gradient=gradient, norms="running"
    )
    pruned = masked_copy(model, mask)
    named = dict(pruned.named_parameters())
    weights = [named[name] for name in mask]
    each = [
        torch.autograd.grad(F.cross_entropy(pruned(x[i : i + 1]), y[i : i + 1]), weights)
        for i in range(len(x))
    ]
    for index, (name, keep) in enumerate(mask.items()):
        grads = torch.stack([g[index] for g in each]).double()
        g = (grads.abs() if gradient == "examples" else grads).mean(0)[keep]
        w = dict(model.named_parameters())[name].detach()[keep].double()
        torch.testing.assert_close(found.w[name], w, rtol=0, atol=0)
        torch.testing.assert_close(found.g[name], g, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(found.wg[name], w * found.g[name])


def test_fresh_batch_norm_is_given_the_statistics_of_the_data():
    model, (x, y) = normed(), images()
    auto = weights_and_gradients(model, [(x, y)], half(model))
    data = weights_and_gradients(model, [(x, y)], half(model), norms="data")
    none = weights_and_gradients(model, [(x, y)], half(model), norms="running")
    torch.testing.assert_close(auto.g, data.g)
    assert not torch.allclose(auto.g["output.weight"], none.g["output.weight"])


def test_what_cannot_be_is_named():
    model, (x, y) = normed(), images()
    with pytest.raises(UserError, match="single images need batch norm with running"):
        weights_and_gradients(model, [(x, y)], half(model), norms="batch")
    with pytest.raises(UserError, match="unknown kind of gradient 'example'"):
        weights_and_gradients(model, [(x, y)], half(model), gradient="example")
