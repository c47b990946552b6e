"""One torch thread in tests: the tensors are small, and pytest itself runs in several processes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)
