"""Tests draw the same examples each time, and use one torch thread.

The tensors are small, and pytest itself runs in several processes. ``--hypothesis-profile=explore``
draws other examples.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)
