"""Small whole files of each kind that Winnow writes: what flips and fuzzing begin with."""

from __future__ import annotations

from pathlib import Path

import torch
from network_files import small
from sample_runs import RUN
from stored_runs import put, state
from torch import Tensor, nn

import winnow as wn
from winnow.data.cache import through
from winnow.deployment.card import Card
from winnow.deployment.card_files import write_card
from winnow.deployment.saved import pack_network
from winnow.engine.calibration import Calibration, Cost, Rung
from winnow.engine.calibration import _written as write_calibration
from winnow.experiment.analyses import Analysed, Analysis
from winnow.experiment.expected import Experiment, write_experiment
from winnow.experiment.runs import Record
from winnow.experiment.store.analyses import write_analysis
from winnow.experiment.store.exported import write_exported
from winnow.experiment.store.images import Source, remember_sources
from winnow.experiment.store.store import Store
from winnow.experiment.train.checkpoint import Checkpoints, Progress, save_checkpoint
from winnow.mask import to_bytes

ANALYSIS = Analysis("overlap", {"a": 1}, (Analysed(RUN.id),), ("w",), None, 1)
EXPERIMENT = Experiment("lth/made-up", {"title": "x", "lr": 1e-05}, (), (), ())
KEY = "ab" * 32


def store_in(folder: Path) -> Store:
    """A store with one of each thing."""
    store = Store(folder / "store").open()
    put(store)
    remember_sources({"digits": Source(20, "c0ffee")}, store)
    write_experiment(EXPERIMENT, store.path)
    write_analysis(store, ANALYSIS, [{"x": 1 / 3}], {"winnow": "x"})
    checkpoints = Checkpoints(store.path / "checkpoints" / f"{RUN.id}.safetensors", 1.0)
    save_checkpoint(checkpoints, Record(), state(), Progress(states={7: state(1)}))
    costs = Calibration(KEY, {"cpu": "x"}, (Rung(0.5, Cost(1e-5, 2e-6), None),), {}, {})
    (store.path / "calibration").mkdir()
    write_calibration(store.path / "calibration", KEY, costs)
    return store


def ticket() -> wn.Ticket:
    """A ticket with trained weights, a tied tensor and a provenance."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    weights = {name: torch.arange(float(p.numel())).reshape(p.shape) + 0.5
               for name, p in model.state_dict().items()}  # fmt: skip
    mask = wn.Mask({"0.weight": torch.eye(3, 4) > 0, "2.weight": torch.ones(2, 3) > 0})
    final = {name: value * 2 for name, value in weights.items()}
    return wn.Ticket(mask, weights, final, {"lr": 1e-05, "from": "tést"})


def whole_files(folder: Path) -> dict[str, Path]:
    """The files, by kind."""
    store = store_in(folder)
    found = store.find(RUN)
    assert found is not None
    ticket().save(folder / "ticket.safetensors")
    ticket().save(folder / "with-removed.safetensors", removed=True, half=True)
    ticket().mask.save(folder / "mask.safetensors")
    (folder / "network.safetensors").write_bytes(pack_network(small(), {"choices": 1e-05}))
    card = Card("a", "sparse", "network.safetensors", 9, 99, (), (), "", {}, notes=("é",))
    write_card(folder, card)
    table = write_exported(folder / "exported", "mine", [found])
    images = folder / f"digits-{KEY[:16]}.safetensors"
    through(images, KEY, lambda _: (arrays(), "made up"))
    (experiment,) = store.path.glob("experiments/*/experiment.json")
    return {
        "ticket": folder / "ticket.safetensors",
        "ticket with removed weights": folder / "with-removed.safetensors",
        "mask": folder / "mask.safetensors",
        "network": folder / "network.safetensors",
        "card": folder / "card.json",
        "table": table,
        "images": images,
        "state": found.folder / "final.safetensors",
        "run": found.folder / "run.json",
        "result": found.folder / "result.json",
        "experiment": experiment,
        "analysis": store.path / "analyses" / ANALYSIS.folder / "analysis.json",
        "checkpoint": store.path / "checkpoints" / f"{RUN.id}.safetensors",
        "calibration": store.path / "calibration" / f"{KEY[:16]}.json",
        "source": store.path / "sources" / "digits.json",
        "store": store.path / "store.json",
    }


def arrays() -> dict[str, Tensor]:
    """Four images of four pixels."""
    images = torch.arange(16, dtype=torch.uint8).reshape(4, 1, 2, 2)
    labels = torch.tensor([0, 1, 0, 1])
    return {
        "train_x": images,
        "train_y": labels,
        "test_x": images.clone(),
        "test_y": labels.clone(),
    }


def old_ticket() -> bytes:
    """A ticket of before digests and of before compact files."""
    given = ticket()
    packed, shapes = given.mask.pack()
    tensors = {f"mask/{name}": bits for name, bits in packed.items()}
    tensors |= {f"rewind/{name}": value for name, value in given.rewind.items()}
    about = {"shapes": shapes, "final": False, "provenance": {}}
    return to_bytes("ticket", tensors, about, digest=False)
