"""The public names of winnow.analysis, loaded on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import winnow.analysis as an


def test_every_name_is_there():
    assert set(an.__all__) <= set(dir(an))
    for name in an.__all__:
        assert getattr(an, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'gradient_nrom'"):
        an.gradient_nrom  # noqa: B018


def test_importing_it_is_light():
    code = "import sys, winnow.analysis as a; dir(a); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_file_has_the_name_of_a_public_function():
    """Importing the file would replace the name."""
    assert not {path.stem for path in Path(an.__file__).parent.iterdir()} & set(an.__all__)
