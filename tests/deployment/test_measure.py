"""Latency of several rivals in turns, and accuracy, on made-up ones whose numbers are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.deployment.measure import (
    Accuracy,
    Latency,
    accuracy_of,
    latencies,
    module_rival,
    printed_seconds,
    three_digits,
)
from winnow.errors import UserError


class Clock:
    """A clock that stands still but where a side moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    def read(self):
        return self.now

    def side(self, name, seconds):
        """Takes ``seconds`` (a function of how many calls there were) for each example."""

        def prepared(inputs):
            self.now += 100  # preparing is not timed

            def call():
                self.calls.append((name, len(inputs[0])))
                self.now += seconds(len(self.calls)) * len(inputs[0])

            return call

        return prepared


@pytest.fixture
def clock():
    return Clock()


def test_medians_of_a_clock_that_is_known(clock):
    fast = clock.side("ours", lambda _: 1e-5)
    sides = {"dense": clock.side("dense", lambda _: 0.002), "ours": fast}
    found = latencies(sides, [torch.zeros(3, 2)], (1, 64), turn=0.004, clock=clock.read)
    assert [(one.rival, one.batch, one.turns) for one in found] == [
        ("dense", 1, 9), ("ours", 1, 9), ("dense", 64, 9), ("ours", 64, 9)
    ]  # fmt: skip
    assert [one.median for one in found] == pytest.approx([0.002, 1e-5, 0.128, 64e-5])
    assert [one.low for one in found] == pytest.approx([one.high for one in found])


def test_short_calls_are_repeated_and_sides_take_turns(clock):
    sides = {"a": clock.side("a", lambda _: 0.001), "b": clock.side("b", lambda _: 0.0001)}
    latencies(sides, [torch.zeros(1, 2)], (1,), turns=9, turn=0.01, clock=clock.read)
    runs = [(clock.calls[0][0], 0)]
    for name, _ in clock.calls:
        runs = [*runs[:-1], (name, runs[-1][1] + 1)] if runs[-1][0] == name else [*runs, (name, 1)]
    assert [name for name, _ in runs[-18:]] == ["a", "b"] * 9
    assert {count for name, count in runs[-16:] if name == "a"} == {10}
    assert {count for name, count in runs[-16:] if name == "b"} == {100}


def test_quartiles_are_those_of_the_turns(clock):
    """Nine turns of 1 to 9 ms."""
    turn = iter([5, 5, *range(1, 10)])  # warm-up, a first look, the turns
    side = clock.side("a", lambda _: next(turn) / 1000)
    (found,) = latencies({"a": side}, [torch.zeros(1)], (1,), turn=0.001, clock=clock.read)
    assert (found.low, found.median, found.high) == pytest.approx((0.003, 0.005, 0.007))
    assert str(found) == "5.00 ms (3.00–7.00)"


def test_rows_of_the_example_are_repeated_to_a_batch():
    seen = []

    def side(inputs):
        seen.append([value.clone() for value in inputs])
        return lambda: None

    latencies({"a": side}, [torch.arange(3), torch.arange(6).view(3, 2)], (1, 5), turn=1e-6)
    assert [value.tolist() for value in seen[0]] == [[0], [[0, 1]]]
    assert [value.tolist() for value in seen[1]] == [
        [0, 1, 2, 0, 1], [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]
    ]  # fmt: skip


def test_threads_are_one_while_it_measures_and_as_before_after():
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        latencies(
            {"a": lambda _: lambda: seen.add((torch.get_num_threads(), torch.is_grad_enabled()))},
            [torch.zeros(1)],
            turn=1e-6,
        )
        assert seen == {(1, False)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Named(nn.Module):
    def forward(self, x, *, y):
        return x - y


def test_modules_are_called_in_order_or_by_name():
    x, y = torch.tensor([5.0]), torch.tensor([3.0])
    assert module_rival(nn.Bilinear(1, 1, 1))([x[None], y[None]])().shape == (1, 1)
    assert module_rival(Named(), ["y", "x"])([y, x])() == 2


@pytest.mark.parametrize("wrap", [lambda y: y, lambda y: (y, None), lambda y: {"logits": y}])
def test_accuracy_counts_right_answers(wrap):
    labels = torch.arange(600) % 10
    logits = nn.functional.one_hot(labels, 10).float()
    logits[::3] = logits[::3].roll(1, 1)  # every third is wrong
    assert accuracy_of(lambda x: wrap(x), [logits], labels) == Accuracy(400, 600)
    assert Accuracy(400, 600).share == pytest.approx(2 / 3)


def test_accuracy_of_tokens_skips_what_has_no_label():
    logits = torch.zeros(2, 3, 4)
    logits[..., 1] = 1
    labels = torch.tensor([[1, 2, -100], [1, 1, -100]])
    assert accuracy_of(lambda x: x, [logits], labels) == Accuracy(3, 4)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ([torch.zeros(3, 2)], torch.zeros(4), r"\[3, 4\] examples"),
        ([torch.zeros(3, 2)], torch.zeros(3, 2), r"labels are \[3, 2\] .* decides on \[3\]"),
        ([torch.zeros(0, 2)], torch.zeros(0), "no labels"),
        ([torch.zeros(1, 2)], torch.full((1,), -100), "no labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(inputs, labels, message):
    with pytest.raises(UserError, match=message):
        accuracy_of(lambda x: x, inputs, labels)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (13.62e-6, "13.6 µs"),
        (0.4e-6, "0.40 µs"),
        (999.4e-6, "999 µs"),
        (999.6e-6, "1.00 ms"),
        (0.12345, "123 ms"),
        (0.99951, "1.00 s"),
        (2.5, "2.50 s"),
        (1234, "1,234 s"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert printed_seconds(seconds) == text


def test_three_digits_at_the_edges():
    assert [three_digits(v) for v in (9.994, 9.996, 99.94, 99.96)] == [
        "9.99",
        "10.0",
        "99.9",
        "100",
    ]


def test_a_latency_has_one_unit():
    assert str(Latency("a", 1, 0.9e-3, 0.8e-3, 1.2e-3, 9)) == "900 µs (800–1,200)"
