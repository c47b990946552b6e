"""From modules to networks: the same outputs, without the module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.deployment.capture import arguments_of, capture
from winnow.deployment.network import Network
from winnow.deployment.outputs import restored
from winnow.errors import UserError


def called(network: Network, *args: Tensor, **kwargs: Tensor) -> Any:
    return restored(network.outputs, network.runnable()(*network.bound(args, kwargs)))


def assert_same(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


class Small(nn.Module):
    """A batch norm, a dropout, a buffer and changes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.9)
        self.register_buffer("shift", torch.arange(5.0))
        self.register_buffer("scale", torch.tensor([2.0] * 5), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.layer(x)), inplace=True)
        y += self.shift
        y[:, 0] = 7.0
        return self.drop(y).mul_(self.scale)


def test_a_module_in_training_is_captured_in_evaluation_and_stays_untouched() -> None:
    model = Small()
    model.norm.running_mean.fill_(0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = capture(model, torch.randn(3, 4))
    assert model.training
    assert model.drop.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    x = torch.randn(6, 4)
    assert_same(called(network, x), model.eval()(x))


def test_constants_are_copies_under_the_names_of_the_module() -> None:
    model = Small()
    network = capture(model, torch.randn(3, 4))
    assert {"layer.weight", "layer.bias", "shift", "scale"} <= network.constants.keys()
    assert not any(value.requires_grad for value in network.constants.values())
    with torch.no_grad():
        model.layer.weight.zero_()
    assert bool(network.constants["layer.weight"].any())


def test_an_input_stays_as_it_is_where_forward_changes_it() -> None:
    class Changing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.add_(1).mul(3)

    x = torch.ones(2, 3)
    network = capture(Changing(), x)
    assert_same(x, torch.ones(2, 3))
    assert_same(called(network, x), torch.full((2, 3), 6.0))
    assert_same(x, torch.ones(2, 3))


def test_a_forward_that_keeps_something_in_a_buffer_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x * self.calls

    with pytest.raises(UserError, match="forward changes its buffer 'calls'"):
        capture(Counting(), torch.ones(2, 3))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_batch_may_be_another_later(batch: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()
    network = capture(model, torch.randn(batch, 1, 4, 4))
    assert network.inputs[0].shape == (None, 1, 4, 4)
    for other in (1, 2, 5):
        x = torch.randn(other, 1, 4, 4)
        assert_same(called(network, x), model(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_forward_fixes_is_that_of_the_example(batch: int) -> None:
    """Python's ``len`` of a tensor is a number, not a size that follows the input."""

    class Length(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(len(x), -1)

    network = capture(Length(), torch.randn(batch, 2, 3))
    assert network.inputs[0].shape == (batch, 2, 3)
    assert called(network, torch.ones(batch, 2, 3)).shape == (batch, 6)
    with pytest.raises(UserError, match=rf"deployed for torch.float32 \[{batch}, 2, 3\]"):
        called(network, torch.ones(4, 2, 3))


class Language(nn.Module):
    """Tied tables, positions and a mask that depends on the length."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(11, 8), nn.Embedding(16, 8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        assert labels is None
        length = tokens.shape[1]
        x = self.table(tokens) + self.places(torch.arange(length))
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = x + self.mix(x, x, x, attn_mask=later, need_weights=False)[0]
        return {"logits": self.head(x), "cache": None, "states": (x, [x])}


@pytest.mark.parametrize("example", [torch.zeros(1, 5, dtype=torch.long),
                                     {"tokens": torch.zeros(2, 4, dtype=torch.long)}])  # fmt: skip
def test_tokens_of_another_length_and_outputs_of_any_structure(example: Any) -> None:
    model = Language().eval()
    network = capture(model, example)
    assert network.inputs[0].shape == (None, None)
    tokens = torch.randint(0, 11, (3, 9))
    assert_same(called(network, tokens), model(tokens))
    assert_same(called(network, tokens=tokens[:1, :2]), model(tokens[:1, :2]))


def test_a_tied_weight_is_one_constant() -> None:
    network = capture(Language(), torch.zeros(2, 4, dtype=torch.long))
    tables = [n for n, value in network.constants.items() if value.shape == (11, 8)]
    assert len(tables) == 1


class Several(nn.Module):
    """Arguments by place, by name, and with a default."""

    def forward(self, a: Tensor, b: Tensor, *, c: Tensor | None = None) -> tuple[Tensor, ...]:
        return (a - b, b) if c is None else (a - b, b, c)


def test_a_tuple_is_arguments_in_order_and_a_dict_is_arguments_by_name() -> None:
    a, b = torch.ones(2, 3), torch.zeros(2, 3)
    by_place = capture(Several(), (a, b))
    by_name = capture(Several(), {"b": b, "a": a, "c": a})
    assert [one.name for one in by_place.inputs] == ["a", "b"]
    assert [one.name for one in by_name.inputs] == ["b", "a", "c"]
    assert_same(called(by_place, a, b), (a, b))
    assert_same(called(by_name, c=b, a=a, b=b), (a, b, b))


def test_arguments_without_names_are_numbered() -> None:
    class Numbered(nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            return given[0] + given[1]

    x = torch.ones(2, 3)
    network = capture(Numbered(), (x, x))
    assert [one.name for one in network.inputs] == ["input_0", "input_1"]
    assert_same(called(network, x, x), 2 * x)


def test_float64_and_double_constants_stay_so() -> None:
    model = nn.Linear(3, 2).double()
    network = capture(model, torch.randn(2, 3, dtype=torch.float64))
    assert network.constants["weight"].dtype == torch.float64
    assert called(network, torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64


class Branch(nn.Module):
    """Looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Item(nn.Module):
    """Takes a value out."""

    def forward(self, x: Tensor) -> Tensor:
        return x[: int(x.argmax())]


class Broken(nn.Module):
    """Cannot take this example."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.ones(7, 7)


@pytest.mark.parametrize("make", [Branch, Item])
def test_a_forward_that_looks_at_values_is_refused_by_name(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(UserError, match=f"torch.export cannot follow {make.__name__} .* move what"):
        capture(make(), torch.rand(2, 3))


def test_a_forward_that_fails_itself_says_so() -> None:
    with pytest.raises(Exception, match=r"(?s)Broken|shapes cannot be multiplied"):
        capture(Broken(), torch.rand(2, 3))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ([1.0], "x is a list: give a tensor"),
        ((torch.ones(2, 3), "a"), "input_1 is a str"),
        ({"x": 3}, "x is a int"),
        (torch.tensor(1.0), r"x has the shape \[\]: give at least one example"),
        (torch.ones(0, 3), r"x has the shape \[0, 3\]"),
    ],
)
def test_examples_that_are_none_are_refused(example: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        arguments_of(Branch(), example)


def test_an_example_that_needs_gradients_is_no_part_of_a_graph() -> None:
    found = arguments_of(Branch(), torch.ones(2, 3, requires_grad=True))
    assert not found["x"].requires_grad


def test_outputs_that_no_file_can_hold_are_refused() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, float]:
            return x, 1.5

    with pytest.raises(UserError, match="returns a float"):
        capture(Odd(), torch.ones(2, 3))
