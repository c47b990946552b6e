"""What SECURITY.md promises: files of others are read without running code from them."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest
import torch

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.plan.size import MOST_ANALYSES, MOST_AT_ALL, MOST_WEIGHTS, UNASKED_RUNS
from winnow.experiment.recipe.limits import CHARACTERS, DEPTH, DIGITS, MOST_VALUES, SIZE
from winnow.pretrained import load_pretrained

ROOT = Path(wn.__file__).parent
UNPICKLES = {
    "kernels/cache.py": "folders that nobody else can write to",
    "deployment/exporting.py": "the file that it has just written itself",
}
"""Where pickles are read that can run code, and why they may be."""


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_torch_load_is_of_weights_only_and_no_other_pickle_is_read():
    found = 0
    for path in ROOT.rglob("*.py"):
        place = str(path.relative_to(ROOT))
        for name, call in _calls(ast.parse(path.read_text("utf-8"))):
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if name == "torch.load":
                found += 1
                assert said.get("weights_only") == "True", place
            if name in ("np.load", "numpy.load"):
                assert said.get("allow_pickle", "False") == "False", place
            if name in ("pickle.load", "pickle.loads", "torch.jit.load", "torch.export.load"):
                assert place in UNPICKLES, place
            assert name not in ("eval", "yaml.unsafe_load", "yaml.full_load"), place
    assert found >= 3


class _Runs:
    """A pickle that makes a file when it is read by one who runs it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.bin", "a.safetensors", "a.npz", "a.ckpt"])
@pytest.mark.parametrize("plain", [True, False], ids=["pickle", "torch"])
def test_a_pickle_that_runs_code_is_refused_by_every_loader(name, plain, tmp_path):
    ran, file = tmp_path / "ran", tmp_path / name
    if plain:
        file.write_bytes(pickle.dumps({"weight": _Runs(ran)}))
    else:
        torch.save({"weight": _Runs(ran)}, file)
    for load in (
        wn.load,
        wn.load_deployed,
        lambda path: load_pretrained(torch.nn.Linear(2, 2), path),
    ):
        with pytest.raises((UserError, OSError)):
            load(str(file))
        assert not ran.exists()


def test_security_md_has_the_limits_as_they_are():
    text = (ROOT.parent / "SECURITY.md").read_text("utf-8")
    for number in (SIZE, MOST_VALUES, CHARACTERS, UNASKED_RUNS, MOST_ANALYSES):
        assert f"{number:,}" in text
    assert f"{DEPTH} levels" in text
    assert f"{DIGITS} digits" in text
    assert f"{MOST_WEIGHTS // 10**6} million" in text
    assert f"{MOST_AT_ALL // 10**9} billion" in text
