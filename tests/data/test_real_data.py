"""The real images, where there are any: $WINNOW_DATA, or shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from winnow import data

BESIDE = Path(__file__).parents[3] / "shared" / "data"
ROOT = Path(os.environ.get("WINNOW_DATA") or BESIDE)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not any((ROOT / folder).is_dir() for folder in data.facts(name).folders),
                reason=f"no {name} in $WINNOW_DATA",
            ),
        )
        for name in ("mnist", "cifar-10")
    ],
)
def test_real_images_are_those_of_the_facts(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    known = data.facts(name)
    cache = tmp_path_factory.mktemp("cache")
    images = data.load_images(name, root=ROOT, cache=cache, online=False)
    assert tuple(images.train_x.shape) == (known.train_size, *known.shape)
    assert tuple(images.test_x.shape) == (known.test_size, *known.shape)
    assert images.test_y.unique().tolist() == list(range(known.classes))
    pixels = images.train_x[::10].transpose(0, 1).flatten(1).float()
    # a copy in JPEG may deviate by half a grey level
    torch.testing.assert_close(pixels.mean(1), torch.tensor(known.mean), atol=1.0, rtol=0)
    torch.testing.assert_close(pixels.std(1), torch.tensor(known.std), atol=1.0, rtol=0)
    assert data.dataset_content(name, root=ROOT, cache=cache, online=False) == images.content
