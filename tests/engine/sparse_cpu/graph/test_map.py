"""The layout of activations in groups of W examples."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.kernels.simd import W


@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 2), st.integers(1, 2 * W + 1), st.data())
def test_a_buffer_holds_every_pixel_where_the_steps_say(shape, border, batch, data):
    layout = Map(*shape, border)
    x = torch.from_numpy(np.random.default_rng(batch).normal(size=(batch, *shape))).float()
    buffer = layout.pack(x)
    assert buffer.shape == (group_count(batch) * layout.group,)
    assert torch.equal(layout.unpack(buffer, batch), x)
    assert np.count_nonzero(buffer) == x.numel()  # border and elements without example are 0
    i, c, y, z = (data.draw(st.integers(0, n - 1)) for n in x.shape)
    inside = layout.origin + c * layout.plane + y * layout.row + z * layout.pixel
    assert buffer[i // W * layout.group + inside + i % W] == x[i, c, y, z]
