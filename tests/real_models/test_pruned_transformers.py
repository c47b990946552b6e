"""Transformers at 2:4, by Wanda and by SparseGPT: a GPT-2 and a BERT made from configs."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import pytest
import torch
from slow_sparsegpt import best_of_rows, hessian, slowly
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import stages

transformers = pytest.importorskip(
    "transformers", reason="needs transformers, of the extra real-models"
)


def gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.GPT2LMHeadModel(config).eval()


def bert() -> Any:
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, num_labels=4,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(config).eval()


def llama() -> Any:
    """With keys and values shared by heads, gated layers, rotary positions."""
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=4,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=16,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.LlamaForCausalLM(config).eval()


def tokens(seed: int = 0) -> Tensor:
    return torch.randint(1, 50, (8, 12), generator=torch.Generator().manual_seed(seed))


def batches() -> list[dict[str, Tensor]]:
    """As tokenizers and collators give them."""
    return [
        {"input_ids": tokens(seed), "attention_mask": torch.ones(8, 12, dtype=torch.long)}
        for seed in (1, 2)
    ]


def units(model: Any, name: str, tensor: Tensor) -> Tensor:
    """(outputs, inputs) of what is shaped like a weight."""
    layer = model.get_submodule(name.rpartition(".")[0])
    return tensor if isinstance(layer, nn.Linear) else tensor.T


def two_of_four(first: int, last: int, costs: Tensor) -> Tensor:  # noqa: ARG001
    return best_of_rows(costs, 2)


@pytest.mark.parametrize("make", [gpt2, bert])
@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
def test_every_output_keeps_two_of_four_inputs(make: Any, criterion: str) -> None:
    model = make()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    mask = wn.prune_trained(model, criterion, pattern="2:4", loader=batches())
    kinds = (nn.Linear, transformers.pytorch_utils.Conv1D)
    tied = model.get_input_embeddings().weight
    expected = {
        f"{path}.weight"
        for path, layer in model.named_modules()
        if isinstance(layer, kinds) and layer.weight is not tied
    }
    assert set(mask) == expected
    assert len(mask) == (8 if make is gpt2 else 14)
    for name, parameter in model.named_parameters():
        if name not in mask:
            assert torch.equal(parameter, start[name])
            continue
        kept = units(model, name, mask[name])
        assert (kept.reshape(len(kept), -1, 4).sum(2) == 2).all()
        assert not parameter[~mask[name]].any()
        moved = not torch.equal(parameter[mask[name]], start[name][mask[name]])
        assert moved == (criterion == "sparsegpt")


def test_the_first_layers_of_gpt2_are_those_of_loops() -> None:
    """c_attn sees ln_1 of the embeddings; c_proj, behind the attention, what c_attn has become."""
    model = gpt2().double()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        inputs = torch.cat([model.transformer.wte(b["input_ids"]) for b in batches()])
        inputs = model.transformer.h[0].ln_1(inputs + model.transformer.wpe.weight[:12])
    norms = inputs.flatten(0, 1).norm(dim=0)
    weight = start["transformer.h.0.attn.c_attn.weight"]  # (inputs, outputs)
    scores = wn.score(model, "wanda", loader=batches())
    found = scores["transformer.h.0.attn.c_attn.weight"]
    assert torch.allclose(found, weight.abs() * norms[:, None], rtol=1e-9)
    mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", loader=batches())
    kept, updated = slowly(weight.T, hessian(inputs.flatten(0, 1), 0.01), two_of_four, 4)
    own = model.transformer.h[0].attn
    assert torch.equal(mask["transformer.h.0.attn.c_attn.weight"].T, kept)
    assert torch.allclose(own.c_attn.weight.T, updated, atol=1e-9)

    q, k, v = (inputs @ updated.T + own.c_attn.bias.detach()).split(16, 2)
    heads = [t.reshape(16, 12, 2, 8).transpose(1, 2) for t in (q, k, v)]
    logits = heads[0] @ heads[1].mT / math.sqrt(8)
    later = torch.ones(12, 12, dtype=torch.bool).triu(1)
    attended = logits.masked_fill(later, -math.inf).softmax(3) @ heads[2]
    came = attended.transpose(1, 2).reshape(-1, 16)
    _, second = slowly(
        start["transformer.h.0.attn.c_proj.weight"].T,
        hessian(came, 0.01),
        two_of_four,
        4,
    )
    assert torch.allclose(own.c_proj.weight.T, second, atol=1e-7)


def test_rows_and_blocks_of_transposed_weights() -> None:
    model = gpt2()
    scores = wn.score(model, "magnitude")
    name = "transformer.h.0.mlp.c_fc.weight"  # (16 inputs, 64 outputs)
    rows = wn.prune(scores, density=0.25, scope="row")
    assert rows[name].sum(0).tolist() == [4] * 64
    blocks = wn.prune(scores, density=0.5, block=(8, 2), scope="layer")[name]
    parts = blocks.reshape(8, 2, 8, 8)
    assert torch.equal(parts.all(3).all(1), parts.any(3).any(1))
    plain = wn.prune(dict(scores), density=0.25, scope="row", inputs=dict.fromkeys(scores, 0))
    assert plain == rows


@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
def test_they_harm_what_the_model_says_less_than_magnitude(criterion: str) -> None:
    """On other tokens than those of the calibration, of a model whose inputs differ in scale."""

    def made() -> Any:
        model = gpt2()
        for path, layer in model.named_modules():
            if "ln_" in path:
                scale = torch.rand(16, generator=torch.Generator().manual_seed(len(path)))
                layer.weight.data *= 4 * scale**3
        return model

    harms = []
    with torch.no_grad():
        said = made()(tokens(9)).logits.log_softmax(2)
        for one in (criterion, "magnitude"):
            model = made()
            wn.prune_trained(model, one, pattern="2:4", loader=batches() * 2)
            now = model(tokens(9)).logits.log_softmax(2)
            harms.append(float((said.exp() * (said - now)).sum(2).mean()))
    assert harms[0] < 0.9 * harms[1]


@pytest.mark.parametrize("method", ["rigl", "set", "gradual"])
def test_masks_that_change_keep_two_of_four_inputs(method: str) -> None:
    model = gpt2()
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    usual = {"steps": "12it", "every": "3it", "ignore": []}
    sparse = wn.dynamic(model, method, pattern="2:4", optimizer=opt, **usual)
    first = sparse.mask
    for batch in batches() * 6:
        opt.zero_grad()
        model(**batch, labels=batch["input_ids"]).loss.backward()
        sparse.step()
    assert sparse.mask != first
    for name, keep in sparse.mask.items():
        kept = units(model, name, keep)
        assert (kept.reshape(len(kept), -1, 4).sum(2) == 2).all()
        assert not model.get_parameter(name)[~keep].any()


def test_blocks_that_are_done_need_not_run_again() -> None:
    """The mask and the weights are those of runs from the tokens on, with fewer calls of layers."""
    found = []
    for blocks in (True, False):
        model, calls = llama(), [0]

        def count(*_: object, calls: list[int] = calls) -> None:
            calls[0] += 1

        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_pre_hook(count)
        with mock.patch.object(stages, "_blocks", return_value=([], {})) as none:
            if blocks:
                none.side_effect = FINDS_BLOCKS
            mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", loader=batches() * 2)
        found.append((mask, model.state_dict(), calls[0]))
    (mask, weights, fewer), (expected, others, calls_from_the_start) = found
    assert mask == expected
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert fewer < 0.6 * calls_from_the_start


FINDS_BLOCKS = stages._blocks
