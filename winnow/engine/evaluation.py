"""Loss and accuracy of a module over a whole split."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from winnow.engine.base import Metrics
from winnow.engine.feed import Feed


@torch.inference_mode()
def evaluate(model: nn.Module, feed: Feed, split: str) -> Metrics:
    """In evaluation mode, in which the module stays."""
    model.eval()
    loss, correct = 0.0, 0
    for x, y in feed.whole(split):
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        correct += int((logits.argmax(1) == y).sum())
    count = feed.count(split)
    return Metrics(loss / count, correct / count)
