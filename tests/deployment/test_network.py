"""A network: what it takes, the shapes inside, and how it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from winnow.deployment.capture import capture
from winnow.deployment.network import Input, Network
from winnow.errors import UserError


class Two(nn.Module):
    """Tokens and values by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(10, 4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor, scale: Tensor) -> Tensor:
        return self.head(self.table(tokens)) * scale[:, None]


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return capture(
        Two(), {"tokens": torch.zeros(2, 5, dtype=torch.long), "scale": torch.ones(2, 3)}
    )


def test_shapes_follow_the_batch_and_other_free_sizes(network: Network) -> None:
    assert [one.shape for one in network.inputs] == [(None, None), (None, 3)]
    example, larger = network.shapes(), network.shapes(7, 11)
    last = next(iter(reversed(network.graph.nodes))).args[0][0].name  # type: ignore[index, union-attr]
    assert example[last].shape == (2, 5, 3)
    assert larger[last].shape == (7, 11, 3)


def test_inputs_are_bound_by_place_and_by_name(network: Network) -> None:
    tokens, scale = torch.ones(3, 6, dtype=torch.long), torch.ones(3, 3)
    for args, kwargs in (
        ((tokens, scale), {}), ((tokens,), {"scale": scale}),
        ((), {"scale": scale, "tokens": tokens}),
    ):  # fmt: skip
        found = network.bound(args, kwargs)
        assert found[0] is tokens
        assert found[1] is scale


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("t",), {}, "lacks its input 'scale'"),
        (("t", "s", "s"), {}, "takes 2 inputs and got 3"),
        (("t",), {"tokens": "t"}, "'tokens' is got twice"),
        ((), {"mask": "s"}, "'mask' is not one of tokens, scale"),
    ],
)
def test_missing_and_unknown_inputs_raise_as_python_does(
    network: Network, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    values = {"t": torch.ones(3, 6, dtype=torch.long), "s": torch.ones(3, 3)}
    with pytest.raises(TypeError, match=message):
        network.bound([values[a] for a in args], {k: values[a] for k, a in kwargs.items()})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(3, 4), r"\[3, 4\]: this network was deployed for torch.float32 \[any, 3\]"),
        (torch.ones(3), r"\[3\]"),
        (torch.ones(3, 3, 1), r"\[3, 3, 1\]"),
        (torch.ones(()), r"\[\]"),
        (torch.ones(3, 3, dtype=torch.float64), "torch.float64"),
        ([1.0], "is a list, not a tensor"),
    ],
)
def test_other_shapes_dtypes_and_classes_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"input 'scale' .*{message}"):
        Input("scale", (None, 3), torch.float32).check(value)


def test_a_fixed_batch_is_checked() -> None:
    Input("x", (2, 3), torch.float32).check(torch.ones(2, 3))
    with pytest.raises(UserError, match=r"deployed for torch.float32 \[2, 3\]"):
        Input("x", (2, 3), torch.float32).check(torch.ones(4, 3))


def test_running_takes_the_constants_that_the_network_has_now(network: Network) -> None:
    tokens, scale = torch.ones(3, 6, dtype=torch.long), torch.rand(3, 3)
    doubled = {name: 2 * value for name, value in network.constants.items()}
    (before,) = network.runnable()(tokens, scale)
    (after,) = replace(network, constants=doubled).runnable()(tokens, scale)
    expected = network.constants["head.bias"] * scale[:, None]
    torch.testing.assert_close(after - 2 * expected, 4 * (before - expected))
