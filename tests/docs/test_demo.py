"""The README's demo prints what the README says, on machines of its vector width."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from documents import README, blocks

from winnow.kernels.simd import W


def flat(text: str) -> str:
    """The text without its line breaks and runs of spaces."""
    return " ".join(text.split())


@pytest.mark.slow
def test_the_demo(tmp_path):
    (shown,) = [block.text for block in blocks(README, "text")]
    done = subprocess.run(
        [sys.executable, "-m", "winnow", "run", "lth/digits", "--quiet", "--store", "runs"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    sentence, _, rest = shown.partition("\n\n")
    assert re.search(r"^page: runs/reports/lth-digits/index.html$", done.stdout, re.M)
    if W == 16:
        for part in (sentence, *rest.splitlines()):
            assert flat(part) in flat(done.stdout)
    keeps = re.match(r"Tickets keep the dense accuracy \([\d.]+ %\)", flat(sentence))
    assert keeps
    assert keeps.group() in flat(done.stdout)
