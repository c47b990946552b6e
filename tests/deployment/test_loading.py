"""`wn.load_deployed` and what modules are saved and pickled as."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

import winnow as wn
from winnow.deployment.runtime import module as modules

X = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))


def deployed(run: str = "kernels") -> wn.SparseModule:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4))
    mask = {"0.weight": torch.rand(9, 6) < 0.4, "2.weight": torch.rand(4, 9) < 0.4}
    made = wn.deploy(model, mask, X, run=run)
    assert isinstance(made, wn.SparseModule)
    return made


def test_a_module_is_saved_and_pickled_as_its_file(tmp_path: Path) -> None:
    made, file = deployed(), tmp_path / "a.safetensors"
    made.save(file)
    assert file.read_bytes() == made.to_bytes()
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again(X), made(X))
    assert torch.equal(wn.load_deployed(file, run="kernels")(X), made(X))
    with pytest.raises(FileNotFoundError):
        wn.load_deployed(tmp_path / "b.safetensors")
    with pytest.raises(wn.UserError, match="fast"):
        wn.load_deployed(file, run="fast")  # type: ignore[arg-type]


def test_it_is_measured_again_on_another_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, file = deployed("measured"), tmp_path / "network.safetensors"
    made.save(file)
    measured: list[int] = []
    real = modules.chosen

    def counted(*given):
        measured.append(given[-1])
        return real(*given)

    monkeypatch.setattr(modules, "chosen", counted)
    here = wn.load_deployed(tmp_path)
    assert measured == []
    assert here.choices == made.choices
    assert here.table() == made.table()
    monkeypatch.setattr(modules, "measured_on", lambda: {"processor": "another"})
    wn.load_deployed(file)
    assert measured == [1, 16, 64]
