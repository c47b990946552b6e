"""Lines between networks whose loss on the way is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from winnow.analysis import Line, LinePoint, line_between
from winnow.errors import UserError

X = torch.tensor([[0.5], [-1.0], [2.0], [-0.25]])
Y = torch.tensor([0, 1, 0, 1])  # class 0 is x > 0
BATCHES = [(X[:3], Y[:3]), (X[3:], Y[3:])]
SHARP = 1.5


def two_units():
    return nn.Sequential(nn.Linear(1, 2, False), nn.ReLU(), nn.Linear(2, 2, False))


def permuted_pair():
    """A network of two hidden units with logits ±c·x, and the same one with its units swapped."""
    hidden = torch.tensor([[1.0], [-1.0]])
    output = SHARP * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    first = {"0.weight": hidden, "2.weight": output}
    second = {"0.weight": hidden.flip(0), "2.weight": output.flip(1)}
    return first, second


def loss_at(position):
    """Both layers are scaled by 1 − 2α: logits are ±c (1 − 2α)² x, the right class's is larger."""
    gap = 2 * SHARP * (1 - 2 * position) ** 2
    return sum(math.log1p(math.exp(-gap * abs(float(x)))) for x in X) / len(X)


def test_networks_with_swapped_units_are_apart():
    line = line_between(two_units(), *permuted_pair(), BATCHES, points=5)
    assert [point.position for point in line.points] == [0, 0.25, 0.5, 0.75, 1]
    for point in line.points:
        assert point.loss == pytest.approx(loss_at(point.position), rel=1e-6)
    assert [point.error for point in line.points] == [
        0,
        0,
        0.5,
        0,
        0,
    ]  # no logit is larger: class 0
    assert line.highest_loss == pytest.approx(math.log(2))
    assert line.loss_barrier == pytest.approx(math.log(2) - loss_at(0), rel=1e-6)
    assert (line.highest_error, line.error_barrier) == (0.5, 0.5)


def test_barriers_are_measured_from_the_mean_of_the_ends():
    line = Line((LinePoint(0, 1.0, 0.1), LinePoint(0.5, 2.5, 0.7), LinePoint(1, 2.0, 0.3)))
    assert (line.highest_loss, line.loss_of_ends, line.loss_barrier) == (2.5, 1.5, 1.0)
    assert (line.highest_error, line.error_of_ends) == pytest.approx((0.7, 0.2))
    assert line.error_barrier == pytest.approx(0.5)


def test_a_loss_that_is_not_a_number_is_not_passed_over():
    points = [LinePoint(0, 1.0, 0.0), LinePoint(0.5, math.nan, 0.5), LinePoint(1, 2.0, 0.0)]
    for order in (points, points[::-1]):
        assert math.isnan(Line(tuple(order)).highest_loss)
        assert Line(tuple(order)).error_barrier == 0.5


def test_the_model_stays_and_dropout_is_off():
    model = nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.9), nn.BatchNorm1d(2)).train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    lines = [line_between(model, before, before, BATCHES[:1], points=2) for _ in range(2)]
    assert lines[0] == lines[1]
    assert model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def scaled_norms():
    """First layers w = 1 and w = 3 before batch norm, with the statistics that belong to them."""
    model = nn.Sequential(
        nn.Linear(1, 1, False), nn.BatchNorm1d(1), nn.Linear(1, 2, False)
    ).double()
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([[1.0], [-0.5]]))
    ends = []
    for weight in (1.0, 3.0):
        end = {name: t.clone() for name, t in model.state_dict().items()}
        end["0.weight"].fill_(weight)
        end["1.running_mean"].fill_(weight * float(X.double().mean()))
        end["1.running_var"].fill_(weight**2 * float(X.double().var()))
        ends.append(end)
    return model, *ends


def normalised_loss(mean, variance, weight):
    h = (weight * X.double()[:, 0] - mean) / math.sqrt(variance + 1e-5)
    logits = torch.stack([h, -0.5 * h], 1)
    return float(nn.functional.cross_entropy(logits, Y))


WHOLE = [(X.double(), Y)]


def test_statistics_estimated_anew_undo_a_change_of_scale():
    line = line_between(*scaled_norms(), WHOLE, points=3)
    for point in line.points:
        weight = 1 + 2 * point.position
        mean, variance = weight * float(X.double().mean()), weight**2 * float(X.double().var())
        assert point.loss == pytest.approx(normalised_loss(mean, variance, weight), rel=1e-10)
    assert line.loss_barrier == pytest.approx(0, abs=1e-5)


def test_interpolated_statistics_are_those_of_the_ends_in_their_parts():
    line = line_between(*scaled_norms(), WHOLE, points=3, norms="interpolate")
    mean, variance = float(X.double().mean()), float(X.double().var())
    middle = normalised_loss(2 * mean, 5 * variance, 2.0)  # not 4: the variance of w = 2
    assert line.points[1].loss == pytest.approx(middle, rel=1e-10)
    assert line.points[0].loss == pytest.approx(normalised_loss(mean, variance, 1.0), rel=1e-10)
    assert line.loss_barrier > 1e-3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": 1}, "at least 2 points, not 1"),
        ({"norms": "interpolated"}, "unknown treatment of norms 'interpolated'"),
        ({"batches": []}, "no images"),
        ({"batches": iter(BATCHES)}, "instead of an iterator"),
    ],
)
def test_what_does_not_fit_is_named(changes, words):
    options = {"batches": BATCHES, **changes}
    with pytest.raises(UserError, match=words):
        line_between(two_units(), *permuted_pair(), **options)


def test_ends_of_another_network_are_named():
    first, second = permuted_pair()
    for change in ({"bias": torch.zeros(2)}, {"0.weight": torch.zeros(3, 1)}):
        with pytest.raises(ValueError, match=f"second end.*{next(iter(change))}"):
            line_between(two_units(), first, {**second, **change}, BATCHES)
