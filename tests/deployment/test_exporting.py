"""Programs of torch.export made of a network again, and how outputs are compared."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.exporting import (
    batches,
    export_torch,
    largest_difference,
    reexported,
    verified,
)
from winnow.errors import UserError


class Two(nn.Module):
    """Tokens and a scale for each row; a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11)

    def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, T), (B, 6) to (B, T, 11)."""
        return {"logits": self.head(self.embedding(ids) * scale[:, None])}


@pytest.fixture
def given():
    torch.manual_seed(0)
    return torch.randint(0, 11, (3, 5)), torch.rand(3, 6)


@pytest.fixture
def model():
    torch.manual_seed(1)
    return Two().eval()


def test_a_pt2_file_runs_without_the_class_at_other_sizes(tmp_path, model, given):
    path = tmp_path / "deployed" / "model.pt2"
    assert export_torch(capture(model, given), path, given) <= 1e-6
    read = torch.export.load(path).module()
    for batch, tokens in ((1, 1), (1, 5), (7, 2)):
        inputs = torch.randint(0, 11, (batch, tokens)), torch.rand(batch, 6)
        (found,) = read(*inputs)
        torch.testing.assert_close(found, model(*inputs)["logits"], rtol=1e-5, atol=1e-6)


def test_a_single_example_frees_the_batch_too(tmp_path):
    model, one = nn.Linear(4, 2), torch.rand(1, 4)
    path = tmp_path / "model.pt2"
    export_torch(capture(model, one), path, [one])
    five = torch.rand(5, 4)
    torch.testing.assert_close(torch.export.load(path).module()(five)[0], model(five))


def test_a_program_holds_nothing_of_the_example(model, given):
    program = reexported(capture(model, given), given)
    assert program.example_inputs is not None
    assert all(not value.any() for value in program.example_inputs[0])


def test_nothing_is_written_where_the_file_computes_something_else(
    tmp_path, model, given, monkeypatch
):
    network, other = capture(model, given), capture(Two().eval(), given)
    monkeypatch.setattr(
        "winnow.deployment.exporting.reexported", lambda _, example: reexported(other, example)
    )
    with pytest.raises(UserError, match="something else than the network: output 0 of"):
        export_torch(network, tmp_path / "model.pt2", given)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_was_frozen_is_noticed(model, given):
    network = capture(model, given)
    frozen = model(*given)["logits"].detach()
    with pytest.raises(UserError, match="differs by inf"):
        verified(network, lambda _: [frozen], given, "made up")


def test_integers_must_be_equal():
    network = capture(nn.Identity(), (torch.arange(1000, 1006).view(2, 3),))
    with pytest.raises(UserError, match="differs by 1"):
        verified(network, lambda given: [given[0] + 1], [torch.arange(6).view(2, 3)], "made up")


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ([1.0, -2.0], [1.5, -2.0], 0.5),
        ([math.inf, math.nan], [math.inf, math.nan], 0.0),
        ([math.inf], [-math.inf], math.inf),
        ([math.nan], [1.0], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_the_largest_difference(a, b, difference):
    assert largest_difference(torch.tensor(a), torch.tensor(b)) == difference


def test_many_examples_go_in_batches_that_the_network_takes(model, given):
    free = capture(model, given)
    many = torch.zeros(130, 5, dtype=torch.int64), torch.rand(130, 6)
    parts = list(batches(free, many, "calibration"))
    assert [len(part[0]) for part in parts] == [64, 64, 2]
    assert torch.equal(torch.cat([part[1] for part in parts]), many[1])


class Fixed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tensor([[1.0], [2.0]])


def test_a_fixed_batch_stays_as_it_is(tmp_path):
    example = torch.rand(2, 3)
    network = capture(Fixed(), example)
    assert network.inputs[0].shape == (2, 3)
    assert export_torch(network, tmp_path / "model.pt2", [example]) == 0
    parts = list(batches(network, [torch.rand(5, 3)], "calibration"))
    assert [len(part[0]) for part in parts] == [2, 2]
    with pytest.raises(UserError, match="calibration: 1 examples, fewer than a batch of 2"):
        list(batches(network, [torch.rand(1, 3)], "calibration"))


@pytest.mark.parametrize(
    ("many", "message"),
    [
        ((torch.zeros(4, 5, dtype=torch.int64),), r"1 tensors for 2 inputs \(ids, scale\)"),
        ((torch.zeros(4, 5, dtype=torch.int64), torch.rand(3, 6)), r"\[3, 4\] examples"),
        ((torch.zeros(0, 5, dtype=torch.int64), torch.rand(0, 6)), "0 examples, fewer"),
        ((torch.rand(4, 5), torch.rand(4, 6)), "input 'ids' is torch.float32"),
    ],
)
def test_examples_that_do_not_fit_are_refused(model, given, many, message):
    with pytest.raises(UserError, match=message):
        list(batches(capture(model, given), many, "calibration"))
