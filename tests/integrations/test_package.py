"""Each adapter imports its library, and nothing else does."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "winnow"
LIBRARIES = {"lightning", "pytorch_lightning", "transformers", "accelerate"}


def libraries(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    return found & LIBRARIES


def test_a_library_is_imported_in_its_own_file_alone():
    where = {p.relative_to(FOLDER).as_posix(): libraries(p) for p in FOLDER.rglob("*.py")}
    assert {name: used for name, used in where.items() if used} == {
        "integrations/lightning.py": {"lightning"},
        "integrations/transformers.py": {"transformers"},
    }


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_without_its_library_an_adapter_says_what_to_install(name):
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "import winnow.integrations.sparse_training\n"
        f"try: import winnow.integrations.{name}\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'winnow[{name}]'" in done.stdout
