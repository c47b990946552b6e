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


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """Decoded images in a cache of the module's own, and no store but those that tests name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("WINNOW_STORE", raising=False)
        yield


@pytest.fixture(scope="session")
def kernels():
    """The kernels of inference from the user's cache, before tests have a cache of their own."""
    from winnow.deployment.runtime.kernels.program import ENTRIES, ENTRIES_INT8
    from winnow.kernels.cache import prepare

    prepare("deployed", ENTRIES)
    prepare("deployed-int8", ENTRIES_INT8)


@pytest.fixture(scope="module")
def no_fsync():
    """Files need not outlast a power cut here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def browser():
    """One for all tests of a process: Playwright opens no second one beside it."""
    from watched import opened_browser

    with opened_browser() as opened:
        yield opened
