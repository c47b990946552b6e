"""scikit-learn's bundled handwritten digits."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from winnow import rng
from winnow.data.images import Arrays


class Digits:
    """1,797 images of 8x8 pixels, 0..16, of which a fixed, stratified fifth (360) is the test set.

    Every class gives a fifth of its images, up to one. Pixels are kept as they are.
    """

    def key(self) -> str:
        """Changes with the version of scikit-learn, which the images come with."""
        return hashlib.sha256(_origin().encode()).hexdigest()

    def read(self, scratch: Path, key: str) -> tuple[Arrays, str]:  # noqa: ARG002  one signature
        """Read the bundled file and split it."""
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        images = np.asarray(x).reshape(-1, 1, 8, 8).astype(np.uint8)
        labels = np.asarray(y).astype(np.int64)
        test = held_out(labels)
        train = np.setdiff1d(np.arange(len(labels)), test)
        arrays = {
            "train_x": torch.from_numpy(images[train]),
            "train_y": torch.from_numpy(labels[train]),
            "test_x": torch.from_numpy(images[test]),
            "test_y": torch.from_numpy(labels[test]),
        }
        return arrays, _origin()


def held_out(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sorted rows of the test set: shuffle with a fixed seed, sort by class, take each fifth."""
    shuffled = rng.stream(0, "digits", "test").permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.sort(by_class[::5])


def _origin() -> str:
    return f"digits of scikit-learn {importlib.metadata.version('scikit-learn')}"
