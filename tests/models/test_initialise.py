from __future__ import annotations

import copy
import math

import pytest
import torch
from scipy import stats
from torch import nn

from winnow import models, rng
from winnow.errors import UserError
from winnow.models.initialise import SCHEMES, initialise


def lenet() -> nn.Module:
    return models.build("lenet-300-100", inputs=(1, 28, 28), classes=10)


def first(model: nn.Module) -> torch.Tensor:
    return model.get_parameter("hidden.0.weight").detach()


EXPECTED = {  # standard deviation of a (300, 784) matrix
    "glorot-normal": math.sqrt(2 / 1084),
    "glorot-uniform": math.sqrt(2 / 1084),
    "kaiming-normal": math.sqrt(2 / 784),
    "kaiming-uniform": math.sqrt(2 / 784),
    "kaiming-fan-out": math.sqrt(2 / 300),
    "normal": 0.1,
    "signed-glorot": math.sqrt(2 / 1084),
    "signed-kaiming": math.sqrt(2 / 784),
}
DRAWN = [scheme for scheme in SCHEMES if not scheme.startswith("signed")]


@pytest.mark.parametrize("scheme", DRAWN)
def test_moments_and_distribution(scheme: str) -> None:
    model = lenet()
    initialise(model, scheme, seed=3, std=0.1 if scheme == "normal" else None)
    values, deviation = first(model).double().flatten().numpy(), EXPECTED[scheme]
    count = len(values)
    assert abs(values.mean()) < 4 * deviation / math.sqrt(count)
    assert values.std() == pytest.approx(deviation, rel=4 / math.sqrt(count))
    if scheme.endswith("uniform"):
        bound = math.sqrt(3) * deviation
        assert abs(values).max() <= bound * (1 + 1e-6)
        reference = stats.uniform(-bound, 2 * bound)
    else:
        reference = stats.norm(0, deviation)
    assert stats.kstest(values, reference.cdf).pvalue > 1e-3


@pytest.mark.parametrize("scheme", [s for s in DRAWN if s != "normal"])
def test_scale_of_a_convolution_is_that_of_torch(scheme: str) -> None:
    model = nn.Sequential(nn.Conv2d(64, 128, (3, 5)))
    initialise(model, scheme, seed=0)
    theirs = torch.empty(128, 64, 3, 5)
    kind = {"glorot": "xavier_", "kaiming": "kaiming_"}[scheme.split("-")[0]]
    options = {"nonlinearity": "relu"} if kind == "kaiming_" else {}
    shape = scheme.split("-")[1]
    if shape == "fan":
        shape, options = "normal", options | {"mode": "fan_out"}
    generator = torch.Generator().manual_seed(0)
    getattr(nn.init, f"{kind}{shape}_")(theirs, generator=generator, **options)
    assert model[0].weight.std().item() == pytest.approx(theirs.std().item(), rel=0.01)


@pytest.mark.parametrize("kind", ["glorot", "kaiming"])
def test_signed_constants_have_the_signs_and_the_deviation_of_the_normal_draw(kind: str) -> None:
    model, normal = lenet(), lenet()
    initialise(model, f"signed-{kind}", seed=3)
    initialise(normal, f"{kind}-normal", seed=3)
    assert torch.equal(first(model), first(normal).sign() * EXPECTED[f"signed-{kind}"])


def test_the_fan_in_of_a_network_of_which_a_part_is_kept() -> None:
    model, whole = lenet(), lenet()
    initialise(model, "signed-kaiming", seed=3, kept=0.25)
    initialise(whole, "signed-kaiming", seed=3)
    assert torch.allclose(first(model), 2 * first(whole))
    with pytest.raises(UserError, match=r"kept=0\.25 with the initialisation glorot-normal"):
        initialise(model, "glorot-normal", seed=3, kept=0.25)
    with pytest.raises(UserError, match=r"kept=0"):
        initialise(model, "signed-kaiming", seed=3, kept=0)


def test_a_head_of_its_own_and_nothing_else_changes() -> None:
    model, usual = lenet(), lenet()
    initialise(model, "kaiming-fan-out", seed=3, draw=2, head=0.01)
    initialise(usual, "kaiming-fan-out", seed=3, draw=2)
    assert torch.equal(first(model), first(usual))
    generator = rng.torch_generator(3, "init", 2, "output.weight")
    expected = torch.empty(10, 100).normal_(0.0, 0.01, generator=generator)
    assert torch.equal(model.get_parameter("output.weight"), expected)
    assert not model.get_parameter("output.bias").any()


def test_norms_drawn_from_0_to_1_anew_in_every_draw() -> None:
    drawn = []
    for draw in (0, 1):
        model = models.build("vgg-11", inputs=(1, 16, 16), classes=3)
        initialise(model, "kaiming-normal", seed=3, draw=draw, norm="uniform")
        scales = [m.weight.detach() for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        drawn.append(torch.cat(scales).double().numpy())
        assert all(not m.bias.any() for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert stats.kstest(drawn[0], stats.uniform(0, 1).cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(*drawn).statistic) < 5 / math.sqrt(len(drawn[0]))
    usual = models.build("vgg-11", inputs=(1, 16, 16), classes=3)
    initialise(usual, "kaiming-normal", seed=3, draw=1)
    for name, parameter in model.named_parameters():
        assert parameter.ndim == 1 or torch.equal(parameter, usual.get_parameter(name))


def test_parts_that_a_network_does_not_have() -> None:
    with pytest.raises(UserError, match="cannot be uniform: the network has none"):
        initialise(lenet(), "glorot-normal", seed=0, norm="uniform")
    with pytest.raises(UserError, match="for a Linear output layer"):
        initialise(nn.Sequential(nn.Conv2d(1, 1, 1)), "glorot-normal", seed=0, head=0.1)
    with pytest.raises(UserError, match=r"head=-1"):
        initialise(lenet(), "glorot-normal", seed=0, head=-1)
    with pytest.raises(UserError, match="unknown norm 'unifrom'"):
        initialise(lenet(), "glorot-normal", seed=0, norm="unifrom")
    with pytest.raises(UserError, match=r"kept=0\.5 with the initialisation kaiming-fan-out"):
        initialise(lenet(), "kaiming-fan-out", seed=0, kept=0.5)


def test_values_come_from_the_stream_of_the_parameter_name() -> None:
    model = lenet()
    initialise(model, "normal", seed=7, std=2.0, draw=4)
    generator = rng.torch_generator(7, "init", 4, "hidden.1.weight")
    expected = torch.empty(100, 300).normal_(0.0, 2.0, generator=generator)
    assert torch.equal(model.get_parameter("hidden.1.weight"), expected)


def test_same_seed_same_values_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    one = lenet()
    initialise(one, "glorot-normal", seed=5)
    torch.manual_seed(2)
    two = lenet()
    state = torch.get_rng_state()
    initialise(two, "glorot-normal", seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_parameter_does_not_depend_on_the_others() -> None:
    wide = models.build("lenet-300-100", inputs=(1, 28, 28), classes=10, hidden=[300, 50, 20])
    model = lenet()
    initialise(wide, "glorot-normal", seed=5)
    initialise(model, "glorot-normal", seed=5)
    assert torch.equal(first(wide), first(model))


def test_draws_seeds_and_layers_are_independent() -> None:
    model, drawn = nn.Sequential(nn.Linear(80, 80), nn.Linear(80, 80)), []
    for seed, draw in [(0, 0), (0, 1), (1, 0)]:
        initialise(model, "kaiming-normal", seed, draw=draw)
        drawn += [m.weight.detach().flatten().clone() for m in model]
    correlations = torch.corrcoef(torch.stack(drawn)) - torch.eye(6)
    assert correlations.abs().max() < 5 / math.sqrt(6400)


@pytest.mark.parametrize("name", [n for n, k in models.NETWORKS.items() if k.check is None])
def test_all_parameters_and_statistics_are_set(name: str) -> None:
    width = 0.25 if "width" in models.network_options(name) else 1.0
    model = models.build(name, inputs=(1, 16, 16), classes=3, width=width)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
        for buffer in model.buffers():
            buffer.fill_(9)
    fresh = models.build(name, inputs=(1, 16, 16), classes=3, width=width)
    initialise(model, "kaiming-normal", seed=0)
    for key, parameter in model.named_parameters():
        assert parameter.isfinite().all(), key
        if parameter.ndim == 1:
            norm = "weight" in key
            assert (parameter == (1.0 if norm else 0.0)).all(), key
    for key, buffer in fresh.named_buffers():
        assert torch.equal(model.get_buffer(key), buffer), key


def test_values_do_not_depend_on_the_type_of_the_weights() -> None:
    model = lenet()
    double = copy.deepcopy(model).double()
    initialise(model, "glorot-uniform", seed=1)
    initialise(double, "glorot-uniform", seed=1)
    assert torch.equal(first(double), first(model).double())


def test_unknown_kind_of_parameter_is_named_and_nothing_changes() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.PReLU())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UserError, match=r"'1\.weight' of a PReLU"):
        initialise(model, "glorot-normal", seed=0)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="Did you mean 'glorot-normal'"):
        initialise(lenet(), "glorot_normal", seed=0)
    with pytest.raises(UserError, match="std > 0"):
        initialise(lenet(), "normal", seed=0)
    with pytest.raises(UserError, match=r"-1"):
        initialise(lenet(), "normal", seed=0, std=-1)
    with pytest.raises(UserError, match=r"leave out std=0\.5"):
        initialise(lenet(), "kaiming-normal", seed=0, std=0.5)
