"""How numbers of examples are run, and what is done with the rest."""

from __future__ import annotations

import pytest
import torch
from runtime.slow_steps import Maker, examples, run_slowly

from winnow.deployment.runtime.assemble import assemble
from winnow.deployment.runtime.runner import Runner
from winnow.errors import UserError


def runner(seconds, ranks=(2,), shapes=None):
    made = Maker(1)
    part = made.made(made.linear(made.input(6), 4))
    programs = {n: assemble(part, n) for n in seconds}
    return part, Runner(programs, seconds, list(ranks), shapes or [(4,)])


def test_the_fastest_passes():
    _, made = runner({1: 1.0, 16: 4.0, 64: 8.0})
    assert made.passes(1) == ((1, 0),)
    assert made.passes(3) == ((1, 0), (1, 1), (1, 2))
    assert made.passes(5) == ((16, 0),)  # 4 / 5 of a second an example
    assert made.passes(32) == ((16, 0), (16, 16))  # as fast as one of 64
    assert made.passes(33) == ((64, 0),)
    assert made.passes(81) == ((64, 0), (16, 64), (1, 80))
    assert made.passes(0) == ()
    for count in range(600):  # more than it remembers
        covered = [(first, first + lanes) for lanes, first in made.passes(count)]
        assert [begin for begin, _ in covered] == [0, *(end for _, end in covered)][: len(covered)]
        assert not covered or covered[-1][1] >= count
    assert made.passes(81) == ((64, 0), (16, 64), (1, 80))


@pytest.mark.parametrize("count", [1, 7, 16, 33, 64, 100, 145])
@pytest.mark.parametrize("seconds", [{1: 1.0}, {16: 1.0}, {64: 1.0}, {1: 1.0, 16: 4.0, 64: 8.0}])
def test_rests(seconds, count):
    part, made = runner(seconds)
    (x,) = examples(part, count)
    wanted = run_slowly(part, [x])[0].flatten(1)
    found = made(x.flatten(1))
    assert found.shape == (count, 4)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5)
    assert torch.equal(found, made(x.flatten(1)))


@pytest.mark.parametrize("shape", [(2, 5, 6), (1, 1, 6), (17, 3, 6), (0, 3, 6), (3, 0, 6)])
def test_tokens(shape):
    part, made = runner({1: 1.0, 16: 4.0}, ranks=(3,))
    x = torch.randn(shape)
    wanted = run_slowly(part, [x.reshape(-1, 6, 1, 1)])[0].reshape(*shape[:2], 4)
    torch.testing.assert_close(made(x).double(), wanted, rtol=0, atol=1e-5)


def test_inputs_of_other_sizes_are_refused():
    """Kernels would read memory that is not theirs."""
    _, made = runner({1: 1.0, 16: 4.0})
    for wrong in (torch.ones(2, 5), torch.ones(2, 7), torch.ones(2, 6, 2, 2)):
        with pytest.raises(UserError, match="other sizes"):
            made(wrong)
