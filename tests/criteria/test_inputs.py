"""The inputs that layers multiply their weights with, against what the layers compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scored_networks import seeded
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from winnow.criteria import Subject
from winnow.criteria.inputs import watching
from winnow.errors import UserError
from winnow.selection import parameters


def seen(model: nn.Module, names: list[str], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """The inputs of each weight (groups, n, positions) in one call of the model."""
    found: dict[str, list[Tensor]] = {}
    named = parameters(model)
    subject = Subject("test", model, {name: named[name] for name in names})
    with watching(subject, names, lambda name, parts: found.setdefault(name, []).extend(parts)):
        model(*args, **kwargs)
    return {name: torch.cat(parts, 2) for name, parts in found.items()}


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_linear_layer_called_twice_and_one_that_is_tied() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)
            self.other = nn.Linear(4, 4)
            self.other.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.one(input=self.one(x)))  # type: ignore[no-any-return]

    model = seeded(Twice)
    x = rand(3, 2, 4)
    once = model.one(x)  # type: ignore[operator]
    twice = model.one(once)  # type: ignore[operator]
    expected = torch.cat([v.reshape(-1, 4) for v in (x, once, twice)]).T[None]
    assert torch.equal(seen(model, ["one.weight"], x)["one.weight"], expected)


def test_bilinear() -> None:
    model = seeded(lambda: nn.Bilinear(3, 4, 5, bias=False))
    a, b = rand(6, 3), rand(6, 4).flip(0)
    x = seen(model, ["weight"], a, b)["weight"]
    product = model.weight.reshape(1, 5, 12) @ x  # type: ignore[operator,union-attr]
    assert torch.allclose(product[0].T, model(a, b))


@pytest.mark.parametrize("first", [True, False])
def test_self_attention(first: bool) -> None:
    """out_proj times its inputs is the output; the three projections get the inputs."""
    model = seeded(lambda: nn.MultiheadAttention(8, 2, batch_first=first)).eval()
    x = rand(3, 5, 8)
    with torch.no_grad():
        before = model(x, x, x)[0]
        found = seen(model, ["in_proj_weight", "out_proj.weight"], x, x, x)
        output = model(x, x, x)[0]
        assert torch.equal(output, before), "the layer is as it was"
    assert torch.equal(found["in_proj_weight"], x.reshape(-1, 8).T.expand(3, 8, 15))
    made = model.out_proj.weight @ found["out_proj.weight"][0]  # type: ignore[operator,union-attr]
    bias = model.out_proj.bias[:, None]  # type: ignore[index,union-attr]
    assert torch.allclose((made + bias).T, output.reshape(-1, 8))


def test_attention_to_other_things() -> None:
    """Longer keys, of other widths, given by name."""
    model = seeded(lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4)).eval()
    query, key, value = rand(3, 2, 8), rand(5, 2, 6), rand(5, 2, 4)
    names = [f"{part}_proj_weight" for part in "qkv"]
    found = seen(model, names, query=query, key=key, value=value)
    for name, x in zip(names, (query, key, value), strict=True):
        assert torch.equal(found[name][0], x.reshape(-1, x.shape[2]).T)
    same = seeded(lambda: nn.MultiheadAttention(8, 2)).eval()
    keys = rand(5, 2, 8)
    x = seen(same, ["in_proj_weight"], query, keys, keys)["in_proj_weight"]
    assert torch.equal(x[0, :, :6], query.reshape(-1, 8).T)
    assert not x[0, :, 6:].any()
    assert torch.equal(x[1:], keys.reshape(-1, 8).T.expand(2, 8, 10))


def test_an_encoder_calls_its_layers_in_eval_mode_and_without_gradients() -> None:
    """Where PyTorch would otherwise run whole layers in one kernel, which calls no layer."""

    def make() -> nn.Module:
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    model = seeded(make).eval()
    names = [n for n in parameters(model) if n.endswith("weight") and "norm" not in n]
    assert len(names) == 8
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 3:] = True
    found = seen(model, names, rand(3, 5, 8), src_key_padding_mask=padding)
    assert {name: x.shape[2] for name, x in found.items()} == dict.fromkeys(names, 15)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("given", [True, False])
def test_recurrent_layers(kind: Any, given: bool) -> None:
    """The states of a cell with the same weights, step by step."""
    layer = seeded(lambda: kind(4, 3, batch_first=True))
    cell = seeded(lambda: getattr(nn, f"{kind.__name__}Cell")(4, 3))
    for name, parameter in cell.named_parameters():
        parameter.data = layer.get_parameter(f"{name}_l0").data
    x, state = rand(2, 5, 4), torch.zeros(2, 3).double()
    if given:
        state = rand(2, 3)
    whole = (state, state / 2) if kind is nn.LSTM else state
    initial = tuple(s[None] for s in whole) if isinstance(whole, tuple) else whole[None]
    states, inputs = [], []
    for t in range(5):
        found = seen(cell, ["weight_ih", "weight_hh"], x[:, t], whole)
        states.append(found["weight_hh"])
        inputs.append(found["weight_ih"])
        assert torch.equal(inputs[-1][0].T, x[:, t])
        whole = cell(x[:, t], whole)
    found = seen(layer, ["weight_ih_l0", "weight_hh_l0"], x, *([initial] if given else []))
    expected = torch.cat(states if given else states[1:], 2)
    assert torch.allclose(gram(found["weight_hh_l0"]), gram(expected))
    assert torch.allclose(gram(found["weight_ih_l0"]), gram(torch.cat(inputs, 2)))


def gram(x: Tensor) -> Tensor:
    return x @ x.mT


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (lambda: nn.LSTM(4, 3, num_layers=2), "weight_hh_l0", "LSTM multiplies with it stays"),
        (lambda: nn.GRU(4, 3, bidirectional=True), "weight_hh_l0_reverse", "GRU multiplies"),
        (lambda: nn.Embedding(4, 3), "weight", "no weight of a layer that is known"),
    ],
)
def test_what_is_not_seen_is_refused_by_name(make: Any, name: str, words: str) -> None:
    with pytest.raises(UserError, match=f"of '{name}' are not seen: .*{words}"):
        seen(seeded(make), [name])


def test_packed_sequences_tell_inputs_but_no_states() -> None:
    layer = seeded(lambda: nn.GRU(4, 3))
    x = pack_padded_sequence(rand(5, 2, 4), torch.tensor([5, 3]))
    assert torch.equal(seen(layer, ["weight_ih_l0"], x)["weight_ih_l0"][0].T, x.data)
    with pytest.raises(UserError, match="GRU is called with a packed sequence"):
        seen(layer, ["weight_hh_l0"], x)


def test_an_output_size_is_refused() -> None:
    layer = seeded(lambda: nn.ConvTranspose1d(2, 2, 3, stride=2))
    with pytest.raises(UserError, match="give it output_padding instead"):
        seen(layer, ["weight"], rand(1, 2, 4), [10])
