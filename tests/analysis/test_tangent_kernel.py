"""The tangent kernel against torch.func, and both sides of the identity; GraSP's form with Y."""

from __future__ import annotations

import pytest
import torch
from small_networks import half, images, lenet, normed
from torch.func import functional_call, jacrev
from torch.nn import functional as F

from winnow.analysis import kernel_identity
from winnow.analysis.gradients import masked_copy
from winnow.errors import UserError
from winnow.mask import Mask


def kernel_of(model, x, mask):
    """J Jᵀ with all images at once, J by torch.func, removed columns left out."""
    model = masked_copy(model, mask).double().eval()
    weights = {n: w.detach() for n, w in model.named_parameters()}
    chosen = {n: weights[n] for n in mask}
    found = jacrev(lambda own: functional_call(model, {**weights, **own}, (x.double(),)))(chosen)
    j = torch.cat([found[n].flatten(2).flatten(0, 1)[:, mask[n].flatten()] for n in mask], 1)
    return j @ j.T


@pytest.mark.parametrize("network", [lenet, normed])
def test_both_sides_agree_and_the_kernel_is_that_of_torch(network):
    model, (x, y) = network(), images(8)
    mask = half(model)
    found = kernel_identity(model, [(x[:5], y[:5]), (x[5:], y[5:])], mask, norms="running")
    assert found.squared > 1e-6
    assert found.by_kernel == pytest.approx(found.squared, rel=1e-10)
    assert found.error < 1e-10
    u, values = found.vectors, found.eigenvalues
    assert (values.diff() <= 0).all()
    torch.testing.assert_close(u @ values.diag() @ u.T, kernel_of(model, x, mask))
    pruned = masked_copy(model, mask).double().eval()
    loss = F.cross_entropy(pruned(x.double()), y)
    loss.backward()
    named = dict(pruned.named_parameters())
    right = sum(named[n].grad[keep].square().sum().item() for n, keep in mask.items())
    assert found.squared == pytest.approx(right, rel=1e-10)
    assert found.loss == pytest.approx(loss.item(), rel=1e-12)


def test_the_form_with_targets_holds_for_the_squared_error_at_zero_outputs_only():
    model, (x, y) = lenet(), images(6)
    for parameter in model.output.parameters():
        parameter.data.zero_()  # outputs are 0
    mask = Mask.dense({n: w for n, w in model.named_parameters() if w.ndim > 1})
    found = kernel_identity(model, [(x, y)], mask)
    targets = F.one_hot(y, 3).double()
    by_targets = (found.eigenvalues * (found.vectors.T @ targets.flatten()).square()).sum().item()
    double = masked_copy(model, mask).double()
    (0.5 * (double(x.double()) - targets).square().sum()).backward()
    named = dict(double.named_parameters())
    squares = sum(named[n].grad.square().sum().item() for n in mask)
    assert by_targets == pytest.approx(squares, rel=1e-10)
    (0.5 * (double(x.double()) + 0.1 - targets).square().sum()).backward()
    moved = sum(named[n].grad.square().sum().item() for n in mask)
    assert by_targets != pytest.approx(moved, rel=0.01)
    assert by_targets / 36 != pytest.approx(found.squared, rel=0.1)  # mean cross-entropy


def test_fresh_batch_norm_takes_the_statistics_of_the_data():
    model, (x, y) = normed(), images(8)
    mask = half(model)
    auto, data, running = (
        kernel_identity(model, [(x, y)], mask, norms=norms) for norms in ("auto", "data", "running")
    )
    assert auto.squared == pytest.approx(data.squared, rel=1e-12)
    assert auto.squared != pytest.approx(running.squared, rel=1e-3)
    assert auto.error < 1e-10
    assert model.norm.num_batches_tracked == 0


def test_what_is_too_large_is_refused():
    model, (x, y) = lenet(), images(8)
    with pytest.raises(UserError, match=r"2004 logits \(668 images\).*examples: 666"):
        kernel_identity(model, [(x[:4], y[:4])] * 9999, half(model))
    wide = lenet(hidden=(1200, 1200))  # 1,440,000 weights, 13 rows: 4 images of 3 classes
    mask = Mask.dense({"hidden.1.weight": wide.hidden[1].weight})
    with pytest.raises(UserError, match=r"24 logits \(8 images\) .* 1440000 .*examples: 4"):
        kernel_identity(wide, [(x, y)], mask)
    with pytest.raises(UserError, match="no images"):
        kernel_identity(model, [], half(model))
    with pytest.raises(UserError, match="running statistics"):
        kernel_identity(model, [(x, y)], half(model), norms="batch")
