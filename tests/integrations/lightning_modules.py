"""Small modules and trainers for the tests of the Lightning callback."""

from __future__ import annotations

from collections.abc import Iterator

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

X = torch.randn(96, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(96) % 4
BATCH = 8


def network(norm: bool = True) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(8, 16),
            nn.BatchNorm1d(16) if norm else nn.Tanh(),
            nn.ReLU(),
            nn.Linear(16, 16),
            nn.Linear(16, 4),
        )


def loader(shuffle: bool = False, size: int = BATCH) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), batch_size=size, shuffle=shuffle)


def batches() -> list[tuple[Tensor, Tensor]]:
    return list(zip(X.split(BATCH), Y.split(BATCH), strict=True))


def optimizer(model: nn.Module, kind: str = "sgd") -> torch.optim.Optimizer:
    if kind == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)


class Module(pl.LightningModule):
    """A network with its loss; it logs, counts, and has a schedule."""

    def __init__(self, kind: str = "sgd", norm: bool = True) -> None:
        super().__init__()
        self.net = network(norm)
        self.kind = kind
        self.calls = 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.calls += 1
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("loss", loss, on_step=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        opt = optimizer(self, self.kind)
        schedule = torch.optim.lr_scheduler.StepLR(opt, 10, 0.5)
        return [opt], [{"scheduler": schedule, "interval": "step"}]


def trainer(*callbacks: pl.Callback, epochs: int = 2, package=pl, **options) -> pl.Trainer:
    options = {"enable_checkpointing": False, "logger": False, "devices": 1, **options}
    return package.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


class Resumable:
    """Batches in order, that a checkpoint can stop in the middle of."""

    def __init__(self) -> None:
        self._at = 0

    def __len__(self) -> int:
        return len(X) // BATCH

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self._at, len(self)):
            here, self._at = self._at, (self._at + 1) % len(self)
            yield batches()[here]

    def state_dict(self) -> dict[str, int]:
        return {"at": self._at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._at = state["at"]
