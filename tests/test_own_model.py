"""A module, a data loader and a loop of the user's own, in few lines."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import winnow as wn


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.data, dtype=torch.float32) / 16
    return images, torch.tensor(found.target, dtype=torch.int64)


def test_a_ticket_of_ones_own_model(tmp_path: Path) -> None:
    x, y = digits()
    train_set, x_test, y_test = TensorDataset(x[:1400], y[:1400]), x[1400:], y[1400:]
    path = tmp_path / "ticket.safetensors"

    def make_model() -> torch.nn.Module:
        layers = (torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
        return torch.nn.Sequential(*layers)

    def train(model, attach):  # type: ignore[no-untyped-def]
        opt = torch.optim.Adam(model.parameters(), lr=2e-3)
        attach(opt)  # holds the mask, counts steps, keeps the weights to rewind to
        for _ in range(8):
            for images, labels in DataLoader(train_set, batch_size=64, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(model(images), labels).backward()
                opt.step()

    ticket = wn.imp(make_model, train, rate=0.4, rounds=3, rewind="20it")
    ticket.save(path)

    model = make_model()
    wn.load(path).apply(model, weights="final")
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
    assert ticket.mask.kept == 1598  # 7,400 weights, three times 40 % less
    assert accuracy > 0.85


def test_one_shot_on_a_dense_model() -> None:
    x, y = digits()
    model = torch.nn.Sequential(torch.nn.Linear(64, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.1)
    with wn.sparsify(model, mask, optimizer=opt):
        for _ in range(20):
            opt.zero_grad()
            F.cross_entropy(model(x), y).backward()
            opt.step()
    assert sum(int((p != 0).sum()) for n, p in model.named_parameters() if n in mask) == mask.kept
