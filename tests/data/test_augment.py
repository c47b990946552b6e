from __future__ import annotations

import numpy as np
import pytest
import torch

from winnow import rng
from winnow.data.augment import flip_crop
from winnow.errors import UserError


def images(b: int, c: int, h: int, w: int) -> torch.Tensor:
    values = np.random.default_rng(0).integers(1, 256, (b, c, h, w), dtype=np.uint8)
    return torch.from_numpy(values)


def one_by_one(x: torch.Tensor, generator: np.random.Generator, pad: int) -> torch.Tensor:
    """The same draws, applied to each image as one would by hand."""
    b, c, h, w = x.shape
    flips = generator.random(b) < 0.5
    down, right = generator.integers(0, 2 * pad + 1, size=(2, b))
    out = []
    for i in range(b):
        padded = np.zeros((c, h + 2 * pad, w + 2 * pad), np.uint8)
        padded[:, pad : pad + h, pad : pad + w] = x[i].numpy()
        crop = padded[:, down[i] : down[i] + h, right[i] : right[i] + w]
        out.append(crop[:, :, ::-1] if flips[i] else crop)
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize(
    ("shape", "pad"), [((64, 3, 9, 7), 4), ((5, 1, 4, 6), 1), ((3, 2, 5, 5), 0)]
)
def test_equals_a_loop_over_images(shape: tuple[int, int, int, int], pad: int) -> None:
    x = images(*shape)
    y = flip_crop(x, rng.stream(1, "augment"), pad)
    assert y.dtype == torch.uint8
    assert y.is_contiguous()
    assert torch.equal(y, one_by_one(x, rng.stream(1, "augment"), pad))


def test_flips_and_offsets_are_uniform_and_independent() -> None:
    b, pad = 20_000, 1
    x = torch.zeros(b, 1, 5, 5, dtype=torch.uint8)
    x[:, 0, 2, 2], x[:, 0, 2, 3] = 1, 2  # a mark with a direction
    y = flip_crop(x, rng.stream(0, "augment"), pad)
    place = (y == 1).flatten(1).to(torch.uint8).argmax(1)
    row, column = place // 5, place % 5
    pointing = y.flatten(1).gather(1, (place - 1)[:, None])[:, 0] == 2  # mirrored
    cells = (row - 1) * 6 + (column - 1) * 2 + pointing.long()
    counts = torch.bincount(cells, minlength=18).double()
    assert len(counts) == 18
    deviation = (b / 18 * (1 - 1 / 18)) ** 0.5
    assert (counts - b / 18).abs().max() < 4.5 * deviation


def test_input_is_unchanged_and_other_types_are_refused() -> None:
    x = images(4, 3, 8, 8)
    before = x.clone()
    flip_crop(x, rng.stream(0, "augment"))
    assert torch.equal(x, before)
    with pytest.raises(UserError, match=r"torch\.float32 \(4, 3, 8, 8\)"):
        flip_crop(x.float(), rng.stream(0, "augment"))
    with pytest.raises(UserError, match="pad=-1"):
        flip_crop(x, rng.stream(0, "augment"), pad=-1)
