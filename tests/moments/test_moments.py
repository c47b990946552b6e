"""Moments against a loop over examples, by autograd, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from winnow import models
from winnow.errors import UserError
from winnow.moments import layers, moments


def by_loop(model, x, y, loss_fn, names, kind) -> dict[str, Tensor]:
    """The definition, in float64: example after example, in evaluation mode."""
    exact = copy.deepcopy(model).double().eval().requires_grad_()
    weights = [exact.get_parameter(name) for name in names]
    sums = [torch.zeros_like(w) for w in weights]
    for i in range(len(x)):
        row = x[i : i + 1]
        out = exact(row.double() if row.is_floating_point() else row)
        loss = loss_fn(out, y[i : i + 1]).sum()
        for total, g in zip(
            sums, torch.autograd.grad(loss, weights, allow_unused=True), strict=True
        ):
            if g is not None:
                total += g.abs() if kind == "abs" else g**2
    return {name: total / len(x) for name, total in zip(names, sums, strict=True)}


def check(model, x, y, *, batch=5, loss_fn=F.cross_entropy, names=None, rtol=2e-5) -> None:
    """Both moments of all parameters, in batches, agree with the loop."""
    names = [n for n, _ in model.named_parameters()] if names is None else names
    batches = list(zip(x.split(batch), y.split(batch), strict=True))
    for kind in ("abs", "square"):
        found = moments(model, iter(batches), loss_fn, names, kind)
        expected = by_loop(model, x, y, loss_fn, names, kind)
        assert list(found) == names
        for name in names:
            assert found[name].shape == expected[name].shape
            close = torch.allclose(
                found[name].double(), expected[name], rtol=rtol, atol=rtol * expected[name].max()
            )
            assert close, (kind, name, (found[name] - expected[name]).abs().max())


def labelled(*shape: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw), torch.randint(classes, shape[:1], generator=draw)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def by_formula(monkeypatch):
    """Fails where a parameter is not covered by a formula."""

    def forbidden(_self, weights, *_):
        raise AssertionError(f"{list(weights)} went through examples one by one")

    monkeypatch.setattr("winnow.moments.alone.Alone.moments", forbidden)


def head(channels: int) -> list[nn.Module]:
    return [nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 3)]


@pytest.mark.usefixtures("by_formula")
class TestByFormula:
    def test_linear(self):
        model = nn.Sequential(nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3, bias=False))
        check(model, *labelled(13, 7))

    @pytest.mark.parametrize("kernel", [1, 2, 3, 5, (1, 3)])
    @pytest.mark.parametrize("how", [{}, {"stride": 2, "padding": 1}, {"stride": (1, 2)}])
    def test_convolution(self, kernel, how, monkeypatch):
        monkeypatch.setattr(layers, "_WORTH", 0)  # also compiled kernels, where there are some
        model = nn.Sequential(nn.Conv2d(2, 5, kernel, **how), nn.ReLU(), *head(5))
        check(model, *labelled(7, 2, 7, 6))

    @pytest.mark.parametrize(
        "how",
        [
            {"kernel_size": 3, "dilation": 2},
            {"kernel_size": 4, "padding": "same"},
            {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
            {"kernel_size": 3, "padding": "same", "padding_mode": "circular"},
        ],
    )
    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
    def test_convolution_with_other_edges(self, how):
        check(nn.Sequential(nn.Conv2d(2, 4, **how), *head(4)), *labelled(6, 2, 7, 6))

    def test_convolution_in_one_dimension(self):
        model = nn.Sequential(nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.Tanh(), *head(4))
        check(model, *labelled(7, 2, 9))

    def test_tokens(self):
        class Tokens(nn.Module):
            def __init__(self):
                super().__init__()
                self.up, self.down, self.out = nn.Linear(6, 9), nn.Linear(9, 6), nn.Linear(6, 3)
                self.norm = nn.LayerNorm(6)

            def forward(self, x):
                x = x + self.down(F.gelu(self.up(self.norm(x))))
                return self.out(x).mean(1)

        model = Tokens()
        check(
            model,
            *labelled(8, 4, 6),
            names=[
                f"{layer}.{own}" for layer in ("up", "down", "out") for own in ("weight", "bias")
            ],
        )

    def test_a_relu_that_overwrites_the_output(self):
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3)
        )
        check(model, *labelled(7, 2, 6, 6))

    def test_hooks_that_replace_the_output(self):
        model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
        model[0].register_forward_hook(lambda _m, _x, out: out * 3)
        model[1].register_forward_pre_hook(lambda _m, x: (x[0] ** 2,))
        check(model, *labelled(9, 5))

    def test_a_parameter_that_is_not_used(self):
        class Spare(nn.Module):
            def __init__(self):
                super().__init__()
                self.used, self.spare = nn.Linear(5, 3), nn.Linear(2, 2)

            def forward(self, x):
                return self.used(x)

        check(Spare(), *labelled(6, 5))

    def test_a_batch_of_one_and_a_last_partial_batch(self):
        model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        check(model, *labelled(6, 5), batch=1)
        check(model, *labelled(7, 5), batch=3)

    @pytest.mark.parametrize("name", ["conv-2", "vgg-11", "resnet-20"])
    def test_the_papers_networks(self, name, monkeypatch):
        monkeypatch.setattr(layers, "_WORTH", 10**5)
        options = {} if name == "conv-2" else {"width": 0.25}
        model = models.build(name, inputs=(3, 16, 16), classes=3, **options)
        with torch.no_grad():
            model(labelled(32, 3, 16, 16, seed=1)[0])  # statistics that are not 0 and 1
        model.eval()
        weights = [n for n, p in model.named_parameters() if p.ndim > 1]
        check(model, *labelled(5, 3, 16, 16), batch=3, names=weights, rtol=2e-4)

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(1, 40),
        st.integers(1, 4),
        st.integers(1, 5),
        st.sampled_from([1, 3]),
        st.integers(1, 2),
        st.integers(0, 2),
        st.tuples(st.integers(3, 9), st.integers(3, 9)),
    )
    def test_any_shape(self, count, inputs, outputs, kernel, stride, padding, image):
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
        model = nn.Sequential(conv, nn.Tanh(), *head(outputs))
        check(model, *labelled(count, inputs, *image), batch=17)


class TestByDefinition:
    """What no formula covers."""

    def test_batch_norm_and_other_layers(self):
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.GroupNorm(2, 4), *head(4)
        )
        model(labelled(20, 2, 6, 6)[0])
        check(model.eval(), *labelled(7, 2, 6, 6))

    def test_convolution_in_groups_and_transposed(self):
        model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(6, 4, 2), *head(4))
        check(model, *labelled(6, 4, 5, 5))

    def test_a_layer_used_twice(self):
        shared = nn.Linear(5, 5)
        check(nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(5, 3)), *labelled(9, 5))

    def test_a_weight_used_outside_its_layer(self):
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.encode = nn.Linear(5, 4)

            def forward(self, x):
                return F.linear(torch.tanh(self.encode(x)), self.encode.weight.t())

        check(Tied(), *labelled(9, 5, classes=5))

    def test_a_layer_whose_output_is_dropped(self):
        class Functional(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(5, 3)

            def forward(self, x):
                self.layer(x)
                return F.linear(x, 2 * self.layer.weight)

        check(Functional(), *labelled(9, 5))

    def test_tied_embedding(self):
        class Language(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
                self.out.weight = self.embed.weight

            def forward(self, x):
                return self.out(self.embed(x).mean(1))

        x, y = torch.randint(7, (9, 4)), torch.randint(7, (9,))
        model = Language()
        check(model, x, y)
        both = moments(model, [(x, y)], F.cross_entropy, ["embed.weight", "out.weight"])
        assert torch.equal(both["embed.weight"], both["out.weight"])

    def test_parametrized_weights(self):
        model = nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Linear(4, 3)
        )
        check(model, *labelled(8, 5))

    @pytest.mark.parametrize("length", [2, 5])
    def test_tokens_before_examples(self, length):
        """(T, N, C) inside: rows of the layer are tokens, also where T = N."""

        class First(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner, self.out = nn.Linear(4, 6), nn.Linear(6, 3)

            def forward(self, x):
                return self.out(torch.tanh(self.inner(x.transpose(0, 1))).mean(0))

        check(First(), *labelled(10, length, 4), batch=5)
        check(First(), *labelled(10, length, 4), batch=2)

    def test_attention(self):
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
                self.out = nn.Linear(4, 3)

            def forward(self, x):
                return self.out(self.attend(x, x, x, need_weights=False)[0].mean(1))

        check(Attention(), *labelled(6, 3, 4))

    def test_what_vmap_cannot_do(self):
        class Branches(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale, self.out = nn.Parameter(torch.ones(5)), nn.Linear(5, 3)

            def forward(self, x):
                return self.out(x * self.scale if float(x.sum()) > 0 else x * self.scale**2)

        x, y = labelled(9, 5)
        names = ["scale"]  # the branch looks at the whole batch: one by one it looks at each
        check(Branches(), x, y, names=names)

    def test_examples_that_meet_in_the_batch(self):
        """Batch norm without statistics: the definition is each example alone."""
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3, bias=False),
            nn.BatchNorm2d(3, track_running_stats=False),
            nn.ReLU(),
            *head(3),
        )
        check(model, *labelled(6, 2, 5, 5))


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *head(4))


def test_one_loss_for_each_example_or_their_mean():
    model, (x, y) = small().eval(), labelled(9, 2, 6, 6)
    each = moments(
        model, [(x, y)], lambda out, y: F.cross_entropy(out, y, reduction="none"), ["0.weight"]
    )
    mean = moments(model, [(x, y)], F.cross_entropy, ["0.weight"])
    torch.testing.assert_close(each["0.weight"], mean["0.weight"])
    check(model, x, y, loss_fn=lambda out, y: F.cross_entropy(out, y, label_smoothing=0.1))


@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda out, y: F.cross_entropy(out, y, reduction="sum"),
        lambda out, y: F.cross_entropy(out, y, weight=torch.tensor([1.0, 9.0, 0.1])),
    ],
)
def test_other_reductions_are_refused(loss_fn):
    x, y = labelled(9, 2, 6, 6)
    y[:2] = torch.tensor([0, 1])
    with pytest.raises(UserError, match=r"must be a plain mean.*reduction='none'"):
        moments(small().eval(), [(x, y)], loss_fn, ["0.weight"])


def test_batching_changes_rounding_only_and_runs_are_equal():
    model, (x, y) = small().eval(), labelled(30, 2, 6, 6)
    names = ["0.weight", "1.weight", "6.weight"]
    whole = moments(model, [(x, y)], F.cross_entropy, names)
    again = moments(model, [(x, y)], F.cross_entropy, names)
    parts = moments(model, zip(x.split(7), y.split(7), strict=True), F.cross_entropy, names)
    for name in names:
        assert torch.equal(whole[name], again[name])
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-5, atol=1e-7)


def test_batch_norm_uses_its_statistics_in_training_mode_and_nothing_changes():
    model, (x, y) = small(), labelled(12, 2, 6, 6)
    F.cross_entropy(model(x), y).backward()
    model[0].weight.requires_grad_(False)
    before, gradients = copy.deepcopy(model), [p.grad.clone() for p in model.parameters()]
    check(model, x, y)
    for now, then, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        assert torch.equal(now, then)
        assert now.requires_grad == then.requires_grad
        assert torch.equal(now.grad, gradient)
    for now, then in zip(model.buffers(), before.buffers(), strict=True):
        assert torch.equal(now, then)
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert not any(m._forward_hooks for m in model.modules())


def test_everything_is_put_back_after_an_error():
    model, (x, y) = small(), labelled(12, 2, 6, 6)
    model.requires_grad_(False)

    def broken(_out, _y):
        raise RuntimeError("no loss today")

    with pytest.raises(RuntimeError, match="no loss today"):
        moments(model, [(x, y)], broken, ["0.weight"])
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert model[1].training


def test_half_precision_gives_float32():
    model, (x, y) = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), labelled(20, 6)
    expected = by_loop(model, x, y, F.cross_entropy, ["0.weight"], "abs")["0.weight"]
    found = moments(model.bfloat16(), [(x.bfloat16(), y)], F.cross_entropy, ["0.weight"])
    assert found["0.weight"].dtype == torch.float32
    torch.testing.assert_close(found["0.weight"].double(), expected, rtol=0.1, atol=0.01)


def test_bad_input_says_what_is_wrong():
    model, (x, y) = small(), labelled(5, 2, 6, 6)
    with pytest.raises(UserError, match=r"unknown parameter '0.wait'.*'0.weight'"):
        moments(model, [(x, y)], F.cross_entropy, ["0.wait"])
    with pytest.raises(UserError, match=r"unknown kind of moment 'sqare'.*'square'"):
        moments(model, [(x, y)], F.cross_entropy, ["0.weight"], "sqare")
    with pytest.raises(UserError, match="no examples"):
        moments(model, [], F.cross_entropy, ["0.weight"])
    with pytest.raises(UserError, match=r"one loss for each of its 2 examples, got shape \[2, 3\]"):
        moments(model, [(x, y)], lambda out, _: out, ["0.weight"])
    with pytest.raises(UserError, match="does not depend on any parameter"):
        moments(model, [(x, y)], lambda out, y: F.cross_entropy(out.detach(), y), ["0.weight"])
