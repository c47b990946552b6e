from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase

import pytest
import torch
from torch import fx, nn

from winnow import models
from winnow.errors import UserError

CIFAR = (3, 32, 32)
OWN = [name for name, known in models.NETWORKS.items() if known.check is None]
"""The networks of Winnow itself; those of torchvision have tests of their own."""


def meta(name: str, inputs: tuple[int, int, int] = CIFAR, **options: object) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, inputs=inputs, classes=10, **options)  # type: ignore[arg-type]


def weights(model: nn.Module, pattern: str = "*") -> int:
    """Kernels and matrices only, as the papers count."""
    named = model.named_parameters()
    return sum(p.numel() for name, p in named if p.ndim >= 2 and fnmatchcase(name, pattern))


def conv_weights(model: nn.Module) -> int:
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))


def last_linear(model: nn.Module) -> nn.Linear:
    return [m for m in model.modules() if isinstance(m, nn.Linear)][-1]


def test_lenet_has_the_printed_weights() -> None:
    assert weights(meta("lenet-300-100", (1, 28, 28))) == 266_200
    assert weights(meta("lenet-300-100", (1, 8, 8))) == 64 * 300 + 300 * 100 + 100 * 10


@pytest.mark.parametrize(
    ("name", "count"), [("conv-2", 4_300_992), ("conv-4", 2_425_024), ("conv-6", 2_261_184)]
)
def test_conv_networks_have_the_printed_weights(name: str, count: int) -> None:
    # 4.3 M and 2.4 M in print; Conv-6's 1.7 M is a misprint of 2,261,184
    assert weights(meta(name)) == count


def test_vgg_19_has_the_printed_weights() -> None:
    network = meta("vgg-19")
    assert conv_weights(network) == 20_018_880
    assert last_linear(network).weight.numel() == 5_120
    assert weights(network) == 20_018_880 + 5_120


@pytest.mark.parametrize(("name", "layers"), [("vgg-11", 8), ("vgg-16", 13), ("vgg-19", 16)])
def test_vgg_has_as_many_layers_as_its_name_says(name: str, layers: int) -> None:
    # the name counts two hidden Linear layers that the CIFAR form does not have
    assert (
        sum(isinstance(m, nn.Conv2d) for m in meta(name).modules()) == layers == int(name[4:]) - 3
    )


def test_resnet_20_has_the_printed_weights() -> None:
    network = meta("resnet-20")
    assert weights(network) == 270_896
    assert weights(network, "*shortcut*") == 2_560
    assert last_linear(network).weight.numel() == 640
    assert weights(network) - 2_560 - 640 == 267_696


@pytest.mark.parametrize("name", ["resnet-20", "resnet-32"])
def test_resnet_has_as_many_layers_as_its_name_says(name: str) -> None:
    network = meta(name)
    named = network.named_modules()
    layers = [n for n, m in named if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in n]
    assert len(layers) == int(name[-2:])


def test_doubled_filters_count_as_by_hand() -> None:
    stem = 9 * 3 * 32
    stages = 9 * (10 * 32 * 32 + 32 * 64 + 9 * 64 * 64 + 64 * 128 + 9 * 128 * 128)
    shortcuts = 32 * 64 + 64 * 128
    assert weights(meta("resnet-32", width=2)) == stem + stages + shortcuts + 128 * 10
    assert conv_weights(meta("vgg-11", width=0.5)) == 9 * (
        3 * 32 + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 3 * 256 * 256
    )
    convolutions = 9 * (3 * 32 + 32 * 32)
    linear = 32 * 16 * 16 * 128 + 128 * 128 + 128 * 10
    assert weights(meta("conv-2", width=0.5)) == convolutions + linear


@pytest.mark.parametrize("name", OWN)
def test_network_runs_and_can_be_traced(name: str) -> None:
    torch.manual_seed(0)
    inputs = (1, 16, 20)
    width = 0.25 if "width" in models.network_options(name) else 1.0
    network = models.build(name, inputs=inputs, classes=7, width=width).eval()
    x = torch.randn(2, *inputs)
    with torch.no_grad():
        y = network(x)
        traced = fx.symbolic_trace(network)
        assert torch.equal(traced(x), y)
    assert y.shape == (2, 7)
    assert y[0].ne(y[1]).any()
    leaves = {
        type(network.get_submodule(n.target)) for n in traced.graph.nodes if n.op == "call_module"
    }  # type: ignore[arg-type]
    assert leaves <= {nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.Dropout}


@pytest.mark.parametrize("name", OWN)
def test_every_parameter_gets_a_gradient_and_output_is_last(name: str) -> None:
    torch.manual_seed(0)
    width = 0.25 if "width" in models.network_options(name) else 1.0
    network = models.build(name, inputs=(1, 16, 16), classes=7, width=width)
    network(torch.randn(4, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert last_linear(network) is network.output
    assert last_linear(network).out_features == 7


def test_lenet_computes_what_its_formula_says() -> None:
    torch.manual_seed(0)
    network = models.build("lenet-300-100", inputs=(1, 2, 3), classes=4, hidden=[5])
    first, last = network.hidden[0], network.output  # type: ignore[index]
    x = torch.randn(3, 1, 2, 3)
    by_hand = (x.reshape(3, 6) @ first.weight.T + first.bias).clamp(
        min=0
    ) @ last.weight.T + last.bias
    torch.testing.assert_close(network(x), by_hand)


def test_residual_block_adds_its_shortcut() -> None:
    from winnow.models.resnet import ResidualBlock

    block = ResidualBlock(2, 2, stride=1).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(block(x), x.clamp(min=0))
    assert ResidualBlock(2, 3, stride=2)(x.repeat(2, 1, 1, 1)).shape == (2, 3, 3, 3)


def test_padded_shortcuts_take_every_second_pixel_and_have_no_weights() -> None:
    from winnow.models.resnet import ResidualBlock

    assert weights(meta("resnet-32", shortcut="padded")) == 461_872  # 9 · 51,248 + 640
    block = ResidualBlock(4, 9, stride=2, shortcut="padded").eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 4, 5, 6)
    expected = torch.zeros(2, 9, 3, 3)
    expected[:, 2:6] = x[:, :, ::2, ::2].clamp(min=0)
    assert torch.equal(block(x), expected)
    assert torch.equal(fx.symbolic_trace(block)(x), expected)
    narrow = ResidualBlock(3, 3, stride=2, shortcut="padded").eval()
    nn.init.zeros_(narrow.norm2.weight)
    assert torch.equal(narrow(x[:, :3]), x[:, :3, ::2, ::2].clamp(min=0))


def test_convolutions_with_biases_that_batch_norm_takes_away() -> None:
    torch.manual_seed(0)
    network = models.build("vgg-11", inputs=(3, 16, 16), classes=10, width=0.25, conv_bias=True)
    biases = [m.bias for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(biases) == 8
    assert all(b is not None for b in biases)
    x = torch.randn(8, 3, 16, 16)
    with torch.no_grad():
        before = network(x)
        for bias in biases:
            bias.normal_()
        torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-3)
    assert weights(meta("vgg-19", conv_bias=True)) == 20_018_880 + 5_120


def test_dropout_acts_on_both_hidden_layers_in_training_only() -> None:
    torch.manual_seed(0)
    network = models.build("conv-2", inputs=(1, 4, 4), classes=3, dropout=0.5)
    seen: list[torch.Tensor] = []
    network.dropout.register_forward_hook(lambda _m, _i, out: seen.append(out))  # type: ignore[operator]
    x = torch.randn(2, 1, 4, 4)
    assert not torch.equal(network(x), network(x))
    assert len(seen) == 4
    network.eval()
    assert torch.equal(network(x), network(x))


def test_hidden_sizes_are_free() -> None:
    assert weights(meta("lenet-300-100", (1, 28, 28), hidden=[25, 9])) == 784 * 25 + 25 * 9 + 90
    assert weights(meta("lenet-300-100", (1, 2, 2), hidden=[])) == 40


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'resnet20'.*Did you mean 'resnet-20'.*vgg-19"):
        meta("resnet20")
    with pytest.raises(UserError, match="unknown network"):
        models.network_options("alexnet")


@pytest.mark.parametrize("name", OWN)
def test_an_option_that_does_not_apply_is_refused_by_name(name: str) -> None:
    values: dict[str, object] = {
        **{"hidden": [5], "width": 0.25, "dropout": 0.5},
        **{"conv_bias": True, "shortcut": "padded"},
    }
    for option, value in values.items():
        if option in models.network_options(name):
            meta(name, **{option: value})
        else:
            with pytest.raises(UserError, match=f"{name} does not take the option {option}"):
                meta(name, **{option: value})


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("lenet-300-100", {"hidden": [300, 0]}, r"\[300, 0\]"),
        ("conv-2", {"dropout": 1.0}, r"1\.0.*\[0, 1\)"),
        ("conv-2", {"dropout": float("nan")}, "nan"),
        ("vgg-11", {"width": 0.0}, r"width=0\.0"),
        ("resnet-20", {"width": float("inf")}, "width=inf"),
        ("resnet-20", {"shortcut": "pad"}, "shortcut='pad'.*projection, padded"),
        ("resnet-20", {"inputs": (3, 0, 32)}, r"\(3, 0, 32\)"),
    ],
)
def test_values_out_of_range_are_named(name: str, options: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        meta(name, **options)  # type: ignore[arg-type]


def test_one_class_is_refused() -> None:
    with pytest.raises(UserError, match="classes=1"):
        models.build("conv-2", inputs=CIFAR, classes=1)


@pytest.mark.parametrize(("name", "least"), [("conv-2", 2), ("conv-6", 8), ("vgg-16", 16)])
def test_images_too_small_for_the_pools_are_refused(name: str, least: int) -> None:
    with torch.device("meta"):
        network = models.build(name, inputs=(1, least, least), classes=10)
        assert network.eval()(torch.empty(2, 1, least, least)).shape == (2, 10)
    with pytest.raises(UserError, match=f"at least {least}x{least}.*{least - 1}x{least}"):
        meta(name, (1, least - 1, least))


def test_listing_networks_and_datasets_imports_no_torch() -> None:
    code = (
        "import sys; from winnow import data, models; from winnow.data import facts; "
        "models.network_names(); models.network_options('vgg-19'); data.dataset_names(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
