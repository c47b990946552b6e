"""Tiny language models made from configurations, random tokens, and trainers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.data import Dataset

WORDS = 40
BLOCKS = [
    "*.attn.c_attn.weight",
    "*.attn.c_proj.weight",
    "*.mlp.c_fc.weight",
    "*.mlp.c_proj.weight",
]


class Tokens(Dataset):
    """Random tokens, the same ones each time, with themselves as labels."""

    def __init__(self, number: int = 48) -> None:
        draws = torch.Generator().manual_seed(0)
        self.ids = torch.randint(0, WORDS, (number, 8), generator=draws)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def gpt2(dropout: float = 0.1) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=WORDS, n_positions=8, n_embd=16, n_layer=2, n_head=2,
            resid_pdrop=dropout, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config)


def bert() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=WORDS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=8, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        return transformers.BertForMaskedLM(config)


def arguments(folder: Path, **options: Any) -> transformers.TrainingArguments:
    given = {
        "per_device_train_batch_size": 4,
        "max_steps": 12,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "weight_decay": 0.1,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "dataloader_pin_memory": False,
    }
    return transformers.TrainingArguments(str(folder), **{**given, **options})


def trainer(
    model: nn.Module, folder: Path, *callbacks: Any, data: Any = None, evaluated: Any = None,
    kind: Any = transformers.Trainer, compute_metrics: Any = None, **options: Any,
) -> transformers.Trainer:  # fmt: skip
    return kind(
        model,
        arguments(folder, **options),
        train_dataset=data or Tokens(),
        eval_dataset=evaluated,
        callbacks=list(callbacks),
        compute_metrics=compute_metrics,
    )
