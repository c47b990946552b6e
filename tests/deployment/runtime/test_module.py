"""`SparseModule` against the models that it is made of."""

from __future__ import annotations

import copy
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from runtime.networks import (
    OWN,
    check_equal,
    given_to,
    own_network,
    ready,
    sparse_module,
    tensors_in,
)
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.runtime.module import SparseModule, nearest
from winnow.deployment.runtime.plan import SparseNetwork
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.simplify import simplified
from winnow.errors import UserError
from winnow.models import build

COUNTS = (0, 1, 2, 3, 5, 15, 16, 17, 40, 64, 65, 130)

PAPERS = [
    ("lenet-300-100", (1, 28, 28), {}),
    ("vgg-11", (3, 32, 32), {"width": 0.125}),
    ("resnet-20", (3, 16, 16), {"width": 0.5, "shortcut": "projection"}),
]
MORE_PAPERS = [
    ("conv-6", (3, 16, 16), {"width": 0.125}),
    ("conv-2", (3, 16, 16), {"width": 0.25}),
    ("conv-4", (3, 16, 16), {"width": 0.125}),
    ("vgg-19", (3, 32, 32), {"width": 0.25}),
    ("resnet-20", (3, 32, 32), {"width": 1.0, "shortcut": "projection"}),
    ("resnet-32", (3, 13, 13), {"width": 0.25, "shortcut": "padded"}),
]


@functools.cache
def captured(name: str) -> SparseNetwork:
    model, shapes = own_network(name)
    return sparse_network(simplified(capture(model, given_to(shapes, 3))))


@pytest.mark.parametrize("run", ["kernels", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OWN)
def test_own_networks(name, run):
    model, shapes = own_network(name)
    module = SparseModule(captured(name), run=run)
    for count in COUNTS:
        given = given_to(shapes, count)
        check_equal(module(*given), model(*given))


def check_paper(name, shape, options, run, int8=False):
    torch.manual_seed(0)
    model = ready(build(name, inputs=shape, classes=10, **options), density=0.2)
    module = sparse_module(model, [shape], run, int8)
    if int8:  # the weights are others: those that the module holds
        assert all(w.values.dtype == "int8" for w in module.sparse.nonzeros.values())
        wanted = SparseModule(module.sparse, run="torch")
    else:
        wanted = model
    for count in (1, 3, 20, 64):
        given = given_to([shape], count)
        check_equal(module(*given), wanted(*given))
    if run == "kernels" and options.get("shortcut") != "padded":  # whose slices are torch's
        assert all(plan.only is not None for plan in module._plans.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "options"), PAPERS)
def test_networks_of_papers(name, shape, options):
    check_paper(name, shape, options, "kernels")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "options"), PAPERS[:1] + PAPERS[-1:])
def test_networks_of_papers_in_int8(name, shape, options):
    check_paper(name, shape, options, "kernels", int8=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "options"), MORE_PAPERS)
@pytest.mark.parametrize("run", ["kernels", "measured", "torch"])
def test_more_networks_of_papers(name, shape, options, run):
    check_paper(name, shape, options, run)


@pytest.mark.parametrize("name", ["separable", "several"])
def test_every_number_of_examples(name):
    model, shapes = own_network(name)
    module = SparseModule(captured(name), run="kernels")
    whole = given_to(shapes, 70)
    for count in range(71):
        given = tuple(x[:count] for x in whole)
        check_equal(module(*given), model(*given))


def test_measured_ways_are_equal():
    model, shapes = own_network("squeeze")
    module = SparseModule(captured("squeeze"))
    assert set(module.choices) == {1, 16, 64}
    for count in COUNTS:
        given = given_to(shapes, count)
        check_equal(module(*given), model(*given))
    lines = module.table().splitlines()
    assert sum(line.startswith("batch ") for line in lines) == 3
    assert all(f"{c.way} at {n}" in repr(module) for n, c in module.choices.items())
    again = SparseModule(captured("squeeze"), choices=list(module.choices.values()))
    assert again.choices == module.choices


@pytest.mark.slow
def test_what_it_keeps_in_memory_falls_with_density():
    def size(density):
        torch.manual_seed(0)
        model = ready(nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)), density)
        sparse = sparse_module(model, [(400,)]).sparse
        arrays = [a for w in sparse.nonzeros.values() for a in (w.index, w.values)]
        whole = [v.numpy() for v in sparse.network.constants.values()]
        assert sum(a.size for a in whole) == 410  # the biases
        return sum(a.nbytes for a in arrays)

    assert size(0.02) < 0.12 * size(0.2)


def test_threads_at_once():
    model, shapes = own_network("separable")
    module = SparseModule(captured("separable"), run="kernels")
    inputs = [given_to(shapes, 1 + i % 67, seed=i) for i in range(48)]
    alone = [module(*given) for given in inputs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda given: module(*given), inputs))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    check_equal(together[-1], model(*inputs[-1]))


@pytest.mark.parametrize("name", ["squeeze", "several"])
def test_copies(name):
    model, shapes = own_network(name)
    module = SparseModule(captured(name), run="kernels")
    other = copy.deepcopy(nn.Sequential(module))[0]
    assert other is not module
    given = given_to(shapes, 20)
    check_equal(other(*given), model(*given))
    check_equal(module(*given), model(*given))


@pytest.mark.parametrize("name", ["separable", "several", "tokens"])
def test_outputs_are_their_own(name):
    """No gradient, no memory that a later call writes or that the input has."""
    _, shapes = own_network(name)
    module = SparseModule(captured(name), run="kernels")
    given = tuple(x.requires_grad_() for x in given_to(shapes, 17))
    found = tensors_in(module(*given))
    before = [x.clone() for x in found]
    module(*given_to(shapes, 17, seed=5))
    assert all(torch.equal(a, b) for a, b in zip(before, found, strict=True))
    made = [x for x in found if all(x is not one for one in given)]
    assert not any(x.requires_grad for x in made)
    assert module.training is False


@pytest.mark.parametrize("run", ["kernels", "torch"])
def test_inputs_in_any_layout(run):
    model, ((channels, high, wide),) = own_network("separable")
    module = SparseModule(captured("separable"), run=run)
    (x,) = given_to([(channels, high, wide)], 20)
    wanted = model(x)
    turned = x.transpose(2, 3).contiguous().transpose(2, 3)
    expanded = x[:1].expand(20, -1, -1, -1)
    check_equal(module(turned), wanted)
    check_equal(module(x.contiguous(memory_format=torch.channels_last)), wanted)
    check_equal(module(torch.stack([x, x], 4)[..., 1]), wanted)
    check_equal(module(expanded), model(expanded))
    check_equal(module(x.flip(0).flip(0)[3:]), wanted[3:])


def test_inputs_that_do_not_fit():
    _, (shape, other) = own_network("several")
    module = SparseModule(captured("several"), run="kernels")
    x, y = given_to([shape, other], 2)
    for wrong in (
        (x.double(), y), (x, y.half()), (x[:, :6], y), (x, y[0]), (x[None], y), (x.long(), y),
        (x.tolist(), y), (None, y), (torch.ones(()), y),
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"input '(image|other)' is"):
            module(*wrong)
    for away in ((x.to("meta"), y), (x, y.to("meta"))):
        with pytest.raises(UserError, match="runs on the CPU"):
            module(*away)
    for args, kwargs in (((x,), {}), ((x, y, y), {}), ((x, y), {"other": y}), ((x,), {"z": y})):
        with pytest.raises(TypeError, match="forward"):
            module(*args, **kwargs)
    check_equal(module(other=y, image=x), module(x, y))
    with pytest.raises(UserError, match="run"):
        SparseModule(captured("several"), run="fast")


class TextCnn(nn.Module):
    """A convolution whose map is as wide as the text is long."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.conv, self.last = (
            nn.Embedding(20, 6),
            nn.Conv2d(1, 4, (3, 6)),
            nn.Linear(4, 2),
        )

    def forward(self, tokens):
        x = self.conv(self.table(tokens)[:, None]).relu()
        return self.last(x.amax((2, 3)))


def test_texts_of_any_length():
    torch.manual_seed(0)
    model = ready(TextCnn())
    tokens = torch.randint(20, (3, 9))
    module = SparseModule(sparse_network(simplified(capture(model, tokens))), run="kernels")
    assert any(plan.parts for plan in module._plans.values())  # the last layer
    for count, length in ((1, 9), (3, 5), (17, 9), (64, 30)):
        given = torch.randint(20, (count, length))
        check_equal(module(given), model(given))


class Sizes(nn.Module):
    """One example, whatever the batch is: shapes of one batch look like those of another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = self.a(x)
        return self.b(x.reshape(1, -1, 4)), self.b(x.reshape(-1, 2, 2).flatten(1))


def test_the_batch_in_another_place():
    torch.manual_seed(0)
    model = ready(Sizes())
    module = sparse_module(model, [(3, 4)])
    for count in (1, 2, 3, 17):
        given = given_to([(3, 4)], count)
        check_equal(module(*given), model(*given))


def test_the_nearest_batch():
    assert [nearest(n) for n in (0, 1, 4, 5, 16, 32, 33, 64, 1000)] == [
        1,
        1,
        1,
        16,
        16,
        16,
        64,
        64,
        64,
    ]


def test_tokens_are_examples():
    """Seven tokens of one text run side by side."""
    runners = SparseModule(captured("tokens"), run="kernels")._plans[1].runners
    assert any(set(runner.programs) == {1, 16} for runner in runners)
