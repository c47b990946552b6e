"""GPT-2, BERT, ViT and a mixture of experts of transformers, from small configs: all criteria."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow import LowCoverage
from winnow.algorithms.in_rounds import prune_in_rounds
from winnow.coverage import coverage
from winnow.errors import UserError

transformers = pytest.importorskip("transformers", reason="needs winnow[transformers]")

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

CRITERIA = ("magnitude", "snip", "grasp", "data-dependent", "obd", "mlprune")


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=2, n_embd=16, n_head=2, vocab_size=23, n_positions=12, bos_token_id=0,
        eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def bert() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        vocab_size=23, max_position_embeddings=12, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def vit() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        image_size=8, patch_size=4, num_channels=1,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


def tokens(model: nn.Module) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    if isinstance(model, transformers.ViTForImageClassification):
        pixels = torch.randn(6, 1, 8, 8, generator=g)
        return {"pixel_values": pixels, "labels": torch.randint(0, 2, (6,), generator=g)}
    ids = torch.randint(0, 23, (6, 8), generator=g)
    whole = isinstance(model, transformers.GPT2LMHeadModel)
    labels = ids if whole else torch.randint(0, 2, (6,), generator=g)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def scored(model: nn.Module, criterion: str, **how: object) -> wn.Scores:
    options = {"temperature": 1} if criterion == "grasp" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowCoverage)
        return wn.score(model, criterion, batch=tokens(model), **options, **how)  # type: ignore[arg-type]


def test_in_gpt2_every_conv1d_competes_and_the_tied_embedding_does_not() -> None:
    model = gpt2()
    found = coverage(model)
    blocks = sum(p.numel() for n, p in model.transformer.h.named_parameters() if p.dim() == 2)
    assert found.competing == blocks == 2 * 12 * 16 * 16
    assert {one.name: one.why for one in found.left_out} == {
        "transformer.wte.weight": "embedding and its tied output layer",
        "transformer.wpe.weight": "embedding",
    }
    mask = wn.prune(scored(model, "magnitude"), density=0.5)
    assert mask.size == blocks
    assert "transformer.wte.weight" in mask.report(model)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("make", [gpt2, bert, vit])
def test_every_criterion_scores_every_layer(make, criterion: str) -> None:  # type: ignore[no-untyped-def]
    model = make()
    scores = scored(model, criterion)
    assert scores.keys() == scored(model, "magnitude").keys()
    dead = [name for name, tensor in scores.items() if not tensor.any()]
    assert dead == []


def linear_twin(model: nn.Module) -> nn.Module:
    """The same network with a Linear of the transposed weight for each Conv1D."""
    for path, layer in list(model.named_modules()):
        if type(layer).__name__ == "Conv1D":
            inputs, outputs = layer.weight.shape
            linear = nn.Linear(inputs, outputs)
            linear.weight.data, linear.bias.data = layer.weight.detach().T.clone(), layer.bias.data
            parent, _, own = path.rpartition(".")
            setattr(model.get_submodule(parent), own, linear)
    return model


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_conv1d_is_scored_as_the_linear_layer_that_it_is(criterion: str) -> None:
    found, want = scored(gpt2(), criterion), scored(linear_twin(gpt2()), criterion)
    assert found.keys() == want.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.T, want[name], rtol=1e-4, atol=1e-9, msg=name)


def test_the_surgeon_moves_the_survivors_of_a_conv1d_as_those_of_a_linear_layer() -> None:
    models, masks = [gpt2(), linear_twin(gpt2())], []
    for model in models:
        weights = {name: model.get_parameter(name) for name in scored(model, "magnitude")}
        keep = {name: weight.numel() // 2 for name, weight in weights.items()}
        start = wn.Mask.dense(weights)
        masks.append(prune_in_rounds(model, "mlprune", keep, start, loader=[tokens(model)]))
    for name in masks[0]:
        assert torch.equal(masks[0][name].T, masks[1][name])
        turned = models[0].get_parameter(name).T
        torch.testing.assert_close(turned, models[1].get_parameter(name), rtol=1e-3, atol=1e-5)


def test_a_loss_function_gets_the_logits() -> None:
    def next_token(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())

    own, given = scored(gpt2(), "snip"), scored(gpt2(), "snip", loss_fn=next_token)
    for name in own:
        torch.testing.assert_close(own[name], given[name])


def test_grasp_needs_the_logits_to_divide() -> None:
    with pytest.raises(UserError, match="divides the logits by 200"):
        wn.score(gpt2(), "grasp", batch=tokens(gpt2()))


def test_synflow_is_fed_behind_the_embedding() -> None:
    scores = wn.score(
        gpt2().eval(), "synflow", input_shape=(8, 16),
        forward=lambda model, ones: model(inputs_embeds=ones).logits,
    )  # fmt: skip
    assert all(tensor.isfinite().all() for tensor in scores.values())
    with pytest.raises(UserError, match="Feed a network of tokens behind its embedding"):
        wn.score(gpt2(), "synflow", batch=tokens(gpt2()))


def test_experts_in_one_stacked_parameter_are_left_out_with_a_word() -> None:
    config = transformers.MixtralConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=24, vocab_size=23, num_local_experts=3,
    )  # fmt: skip
    model = transformers.MixtralForCausalLM(config)
    with pytest.warns(LowCoverage, match=r"experts\.\w+ \(2,304, parameter of MixtralExperts"):
        wn.score(model, "magnitude")


def test_zeros_stay_while_gpt2_trains() -> None:
    model = gpt2()
    mask = wn.prune(scored(model, "snip"), density=0.3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with wn.sparsify(model, mask, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(**tokens(model)).loss.backward()
            optimizer.step()
    for name in mask:
        assert not model.get_parameter(name)[~mask[name]].any()


def test_adapters_beside_frozen_weights_are_refused_and_merged_ones_are_not() -> None:
    peft = pytest.importorskip("peft", reason="needs winnow[real-models]")
    config = peft.LoraConfig(target_modules=["c_attn"], r=2, fan_in_fan_out=True)
    model = peft.get_peft_model(gpt2(), config)
    with pytest.raises(UserError, match=r"c_attn has an adapter beside its weight.*merge_and_unlo"):
        wn.score(model, "magnitude")
    own = wn.score(model, "snip", batch=tokens(gpt2()), params="*.lora_?.*")
    assert len(own) == 4
    merged = model.merge_and_unload()
    assert coverage(merged).competing == coverage(gpt2()).competing
