"""Your own model and your own training loop: find a ticket, save it, train it again.

    python examples/own_model.py

A small convolutional network on scikit-learn's handwritten digits, trained with SGD in a loop that
Winnow does not know. Expect: with 8 % of its weights the ticket is about as good as the dense
network, and some points better than the same mask with other initial weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import winnow as wn


def make_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 10),
    )  # fmt: skip


def fit(model: nn.Module, opt: torch.optim.Optimizer, epochs: int = 10) -> None:
    """An ordinary loop. Zeros stay zero in it without a line of its own."""
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(50):
            opt.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            opt.step()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(model: nn.Module, attach) -> None:
    """What `wn.imp` calls in every round."""
    opt = sgd(model)
    attach(opt)  # holds the mask, counts steps, keeps the weights to rewind to
    fit(model, opt)


def accuracy(model: nn.Module) -> float:
    with torch.no_grad():
        return float((model(x_test).argmax(1) == y_test).float().mean())


def sparse(ticket: wn.Ticket, model: nn.Module, weights: str) -> float:
    """Train a model under the ticket's mask, from the ticket's weights or from its own."""
    opt = sgd(model)
    with wn.sparsify(model, ticket.apply(model, weights=weights), optimizer=opt):
        fit(model, opt)
    return accuracy(model)


torch.set_num_threads(1)
digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float32).view(-1, 1, 8, 8) / 16
labels = torch.tensor(digits.target)
(x, x_test), (y, y_test) = images.split([1400, 397]), labels.split([1400, 397])

dense = make_model()
fit(dense, sgd(dense))

ticket = wn.imp(make_model, train, rate=0.4, rounds=5, rewind="20it")
ticket.save("ticket.safetensors")

ticket = wn.load("ticket.safetensors")
print(f"weights kept      {100 * ticket.mask.density:5.1f} %")
print(f"dense             {100 * accuracy(dense):5.1f} %")
print(f"ticket            {100 * sparse(ticket, make_model(), 'rewind'):5.1f} %")
print(f"other weights     {100 * sparse(ticket, make_model(seed=1), 'none'):5.1f} %")
