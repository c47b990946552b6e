"""Networks of torchvision: against its own builders where it is here, and what is said if not."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import fx, nn

from winnow import models
from winnow.errors import UserError
from winnow.models import vision as ours
from winnow.models.initialise import initialise

NAMES = [name for name, known in models.NETWORKS.items() if known.check is not None]
LEAST = {"inception-v3": 75, "squeezenet": 21}  # others: 32


@pytest.fixture
def theirs() -> Any:
    return pytest.importorskip("torchvision.models", reason="torchvision is not installed")


def built(name: str, side: int, classes: int = 4, **options: Any) -> nn.Module:
    return models.build(name, inputs=(3, side, side), classes=classes, **options)


def drawn(name: str, side: int, **options: Any) -> nn.Module:
    model = built(name, side, **options)
    initialise(model, "kaiming-normal", seed=0)
    return model


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("name", NAMES)
def test_the_outline_has_the_layers_of_the_network(name: str) -> None:
    with torch.device("meta"):
        network = built(name, 224, 1000)
        outline = built(name, 224, 1000, outline=True)
    for kind in ("named_parameters", "named_buffers"):
        shapes = [[(n, t.shape) for n, t in getattr(m, kind)()] for m in (network, outline)]
        assert shapes[0] == shapes[1]
    kinds = [
        [(n, type(m)) for n, m in model.named_modules() if m._parameters]
        for model in (network, outline)
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("name", [n for n in NAMES if "vgg" not in n])  # those take a gigabyte
def test_logits_of_the_smallest_images_and_gradients_everywhere(name: str) -> None:
    torch.manual_seed(0)
    side = LEAST.get(name, 32)
    network = drawn(name, side)
    x = torch.randn(3, 3, side, side)
    logits = network.train()(x)  # Inception-v3 with its auxiliary classifier returns two
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.any()
    with torch.no_grad():
        network.eval()
        assert torch.equal(fx.symbolic_trace(network)(x), network(x))


@pytest.mark.parametrize("name", ["inception-v3", "squeezenet"])
def test_it_computes_what_torchvision_does(name: str, theirs: Any) -> None:
    side = LEAST[name]
    network = drawn(name, side).eval()
    if name == "squeezenet":
        other = theirs.squeezenet1_0(weights=None, num_classes=4)
    else:  # with the auxiliary classifier, which evaluation leaves out
        other = theirs.inception_v3(
            weights=None, num_classes=4, transform_input=False, init_weights=False
        )
    left = other.load_state_dict(network.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert all(key.startswith("AuxLogits.") for key in left.missing_keys)
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(network(x), other.eval()(x))


@pytest.mark.usefixtures("theirs")
def test_dropout_is_none_unless_said() -> None:
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = drawn("squeezenet", 64).train()
        assert torch.equal(plain(x), plain(x))
        dropping = drawn("squeezenet", 64, dropout=0.5).train()
        assert not torch.equal(dropping(x), dropping(x))
    with torch.device("meta"):
        rates = {m.p for m in built("vgg-16-imagenet", 224, dropout=0.3).modules() if is_dropout(m)}
    assert rates == {0.3}


def is_dropout(module: nn.Module) -> bool:
    return isinstance(module, nn.Dropout)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_installed_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    text = f"{name} .*torchvision, which is not installed: pip install 'winnow\\[vision\\]'"
    with pytest.raises(UserError, match=text):
        built(name, 224)
    with pytest.raises(UserError, match=text):
        models.check_buildable(name)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operator torchvision::nms does not exist"),
        ModuleNotFoundError("No module named 'PIL'", name="PIL"),
        ImportError("undefined symbol"),
    ],
)
def test_one_that_does_not_load_is_said_with_its_reason(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: str) -> None:
        raise error

    monkeypatch.setattr(ours, "import_module", failing)
    with pytest.raises(UserError, match=r"does not load \(.*(nms|PIL|symbol).*winnow\[vision\]"):
        models.check_buildable("resnet-50")


def test_networks_of_ours_need_nothing() -> None:
    for name in set(models.NETWORKS) - set(NAMES):
        models.check_buildable(name)
    with pytest.raises(UserError, match="unknown network"):
        models.check_buildable("resnet50")


def test_images_are_checked_before_torchvision_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "import_module", pytest.fail)
    with pytest.raises(UserError, match="at least 75x75"):
        built("inception-v3", 64)
