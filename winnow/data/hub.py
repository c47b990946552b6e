"""A dataset on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.data.decode import ROWS, at_most, decode, reason
from winnow.data.facts import Facts
from winnow.data.images import Arrays
from winnow.errors import UserError

_log = logging.getLogger(__name__)
_PROBE_SECONDS = 4.0  # how long the hub may take to answer before it counts as unreachable


class Unreachable(UserError):  # noqa: N818  says what it is of the dataset
    """The dataset is neither in the data folder, nor cached, nor to be had from the hub."""


class Hub:
    """The copy of a dataset on the hub."""

    def __init__(self, facts: Facts) -> None:
        assert facts.hub is not None
        self.facts = facts
        self.hub = facts.hub

    def key(self) -> str:
        """The same for all revisions: once decoded, the hub is not asked again."""
        return hashlib.sha256(f"hub {self.hub}".encode()).hexdigest()

    def read(self, scratch: Path, key: str) -> tuple[Arrays, str]:  # noqa: ARG002  one signature
        """Download and decode; Unreachable, with the short reason, when that fails."""
        with quiet():
            splits, revision = _download(self.hub, scratch)
            return self._decoded(splits), f"hub {self.hub} at revision {revision}"

    def _decoded(self, splits: Any) -> Arrays:
        arrays: Arrays = {}
        splits_of_parts = (
            ("train", "train", self.facts.train_size),
            ("test", self.facts.test_split, self.facts.test_size),
        )
        for part, split, size in splits_of_parts:
            where = f"{self.hub} on the hub, split {split}"
            if split not in splits:
                raise UserError(f"{where}: there is no such split, only {', '.join(splits)}")
            batches = splits[split].with_format("arrow").iter(batch_size=ROWS)
            arrays[f"{part}_x"], arrays[f"{part}_y"] = decode(
                at_most(size, batches, self.facts, where), self.facts, where
            )
        return arrays


def _download(hub: str, scratch: Path) -> tuple[Any, str]:
    """All splits of a hub dataset, and its revision.

    The hub is probed first, once and with a short time limit, because ``load_dataset`` itself
    tries again and again for minutes when there is no network.
    """
    import datasets
    from huggingface_hub import HfApi

    try:
        revision = str(HfApi().dataset_info(hub, timeout=_PROBE_SECONDS).sha)
        _log.info("downloading %s from the hub", hub)
        return datasets.load_dataset(hub, revision=revision, cache_dir=str(scratch)), revision
    except Exception as error:  # those of httpx, requests, the hub and datasets share no base
        raise Unreachable(reason(error)) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and log lines of ``datasets`` and the hub inside; as before afterwards."""
    import datasets
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # they warn when the environment forces bars on or off
        for logger in (datasets.logging, hub_logging):
            stack.callback(logger.set_verbosity, logger.get_verbosity())
            logger.set_verbosity(logging.CRITICAL)
        if datasets.is_progress_bar_enabled():
            stack.callback(datasets.enable_progress_bars)
            datasets.disable_progress_bars()
        if not are_progress_bars_disabled():
            stack.callback(enable_progress_bars)
            disable_progress_bars()
        yield
