"""Which weights compete: by layer, with their axes; what a mask cannot hold is refused by name."""

from __future__ import annotations

import pytest
import torch
from scored_networks import Tied
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import winnow as wn
from winnow.errors import UserError
from winnow.layers import axes_of, weights_of
from winnow.selection import prunable, weight_groups


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.Linear(3, 4), ["weight"]),
        (nn.Bilinear(3, 2, 4), ["weight"]),
        (nn.Conv3d(2, 4, 3, groups=2), ["weight"]),
        (nn.ConvTranspose2d(2, 4, 3), ["weight"]),
        (nn.LSTM(3, 4), ["weight_ih_l0", "weight_hh_l0"]),
        (
            nn.LSTM(3, 4, bidirectional=True, proj_size=2),
            [
                f"weight_{kind}_l0{way}"
                for way in ("", "_reverse")
                for kind in ("ih", "hh", "hr")
            ],
        ),
        (nn.GRU(3, 4, 2), [f"weight_{k}_l{layer}" for layer in (0, 1) for k in ("ih", "hh")]),
        (nn.RNNCell(3, 4), ["weight_ih", "weight_hh"]),
        (nn.MultiheadAttention(4, 2), ["in_proj_weight", "out_proj.weight"]),
        (
            nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
            ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"],
        ),
    ],
)  # fmt: skip
def test_the_weights_of_each_layer_compete(layer: nn.Module, names: list[str]) -> None:
    assert list(prunable(layer)) == names
    assert not [name for name in names if "bias" in name]


@pytest.mark.parametrize(
    ("layer", "inputs", "outputs"),
    [
        (nn.Linear(3, 5), 3, 5),
        (nn.Conv2d(4, 6, 3, groups=2), 2, 6),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), 4, 3),
        (nn.LSTMCell(3, 5), 3, 20),
        (nn.MultiheadAttention(4, 2), 4, 12),
    ],
)
def test_axes(layer: nn.Module, inputs: int, outputs: int) -> None:
    weight = weights_of(layer)[0]
    shape = getattr(layer, weight.name).shape
    assert (shape[weight.inputs], shape[weight.outputs]) == (inputs, outputs)
    assert weight.groups == getattr(layer, "groups", 1)
    assert axes_of(layer)[id(getattr(layer, weight.name))] == weight


def test_group_words_know_recurrent_and_attention_layers_apart() -> None:
    model = nn.ModuleDict({"a": nn.LSTM(3, 4), "b": nn.MultiheadAttention(4, 2)})
    assert weight_groups(model)["linear"] == ["b.out_proj.weight"]
    assert weight_groups(model)["conv"] == []


def old_weight_norm(layer: nn.Module) -> nn.Module:
    """As torch.nn.utils.weight_norm leaves a layer: the weight is no parameter."""
    weight = layer._parameters.pop("weight")
    layer.weight_g, layer.weight_v = nn.Parameter(torch.ones(2, 1)), weight
    layer.weight = weight.detach().clone()
    return layer


def pruned_by_torch(layer: nn.Module) -> nn.Module:
    from torch.nn.utils import prune

    return prune.l1_unstructured(layer, "weight", 1)


class Adapted(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.lora_A = layer, nn.Linear(3, 1)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            parametrizations.weight_norm,
            r"weight of 0 is parametrised \(_WeightNorm\).*remove_parametrizations\(model.0, 'w",
        ),
        (old_weight_norm, r"under weight_norm.*remove_weight_norm\(model.0, 'weight'\)"),
        (nn.utils.spectral_norm, r"under spectral_norm.*remove_spectral_norm\(model.0, 'weight'\)"),
        (pruned_by_torch, r"pruned by torch.nn.utils.prune.*prune.remove\(model.0, 'weight'\)"),
        (Adapted, r"0 has an adapter beside its weight.*merge_and_unload\(\)"),
        (lambda layer: nn.LazyLinear(layer.out_features), "0.weight has no shape yet: run one"),
    ],
)
def test_what_a_mask_cannot_hold_is_refused_with_a_way_out(changed, words) -> None:  # type: ignore[no-untyped-def]
    model = nn.Sequential(changed(nn.Linear(3, 2)), nn.Linear(2, 2))
    for attempt in (
        lambda: wn.score(model, "magnitude"),
        lambda: wn.prune_at_init(model, "magnitude", density=0.5),
        lambda: wn.imp(lambda: model, lambda *_: None, rounds=1),
    ):
        with pytest.raises(UserError, match=words):
            attempt()
    if "no shape" not in words:
        assert list(wn.score(model, "magnitude", params="1.weight")) == ["1.weight"]


def test_the_way_out_works() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)))
    before = model[0].weight.detach().clone()
    parametrize.remove_parametrizations(model[0], "weight")
    assert torch.equal(wn.score(model, "magnitude")["0.weight"], before.abs())


def test_quantised_weights_are_refused() -> None:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)

    with pytest.raises(UserError, match=r"weight is quantised \(torch.int8\)"):
        prunable(Quantised(), "weight")


def test_weights_without_values_have_no_scores() -> None:
    with torch.device("meta"):
        model = nn.Linear(3, 2)
    with pytest.raises(UserError, match="weight is on the meta device, and has no values to score"):
        wn.score(model, "magnitude")


def test_an_embedding_and_what_is_tied_to_it_compete_only_where_they_are_named() -> None:
    assert list(prunable(Tied())) == ["inner.weight"]
    assert list(prunable(Tied(), ["inner.weight", "head.weight"])) == [
        "embedding.weight",
        "inner.weight",
    ]
