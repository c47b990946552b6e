"""What the benches share: families of processors, results side by side, turns, tables."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from making import speed
from torch import nn

BENCH = Path(__file__).parents[2] / "bench"
AVX512 = "fma avx2 avx512f"


@pytest.fixture
def shared(monkeypatch):
    """Imports a module of ``bench/``."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module


@pytest.mark.parametrize(
    ("vendor", "number", "flags", "name"),
    [
        ("GenuineIntel", "6", f"{AVX512} avx512_vnni", "Intel, Cascade Lake (AVX-512)"),
        (  # whatever model a cloud shows
            "GenuineIntel",
            "6",
            f"{AVX512} avx512_vnni avx512_vbmi2 avx512_bf16 amx_tile",
            "Intel, Sapphire Rapids (AVX-512)",
        ),
        ("GenuineIntel", "6", "fma avx2", "Intel, Haswell (AVX2)"),
        ("AuthenticAMD", "25", f"{AVX512} avx512_vnni", "AMD, Zen 4 (AVX-512)"),
        ("AuthenticAMD", "25", "fma avx2", "AMD, Zen 3 (AVX2)"),
        ("AuthenticAMD", "26", AVX512, "AMD, Zen 5 (AVX-512)"),
    ],
)
def test_a_family_is_what_the_processor_can_do(shared, vendor, number, flags, name):
    about = {"vendor_id": vendor, "cpu family": number, "model": "167", "flags": flags}
    assert shared("family").family(about) == name


def test_this_machine_has_a_family(shared):
    found = shared("family").family()
    assert found == shared("family").family()
    assert found.endswith(")")


def test_measuring_here_leaves_the_results_of_others(shared, monkeypatch, tmp_path):
    script = shared("script")
    file, asked = tmp_path / "some.json", argparse.Namespace(smoke=False)
    file.write_text(json.dumps({"Zuse, Z4": {"rows": [1]}}))
    monkeypatch.setattr(script, "family", lambda: "Intel, Some Lake (AVX2)")
    assert script.kept(file) == {}
    script.keep({"rows": [2]}, file, asked)
    script.keep({"rows": [3]}, file, asked)
    answers = {"Intel, Some Lake (AVX2)": {"rows": [3]}, "Zuse, Z4": {"rows": [1]}}
    assert json.loads(file.read_text()) == answers
    assert script.kept(file) == {"rows": [3]}
    script.keep({"rows": [4]}, file, argparse.Namespace(smoke=True))
    assert script.kept(file) == {"rows": [3]}


def test_fewer_than_nine_turns_are_refused(shared, capsys):
    script = shared("script")
    parser = script.arguments("about")
    script.add_turns(parser)
    assert script.parse(parser, [], {"turns": 1}).turns == 9
    assert script.parse(parser, ["--turns", "12"], {"turns": 1}).turns == 12
    assert script.parse(parser, ["--smoke"], {"turns": 1}).turns == 1
    with pytest.raises(SystemExit):
        script.parse(parser, ["--turns", "8"], {"turns": 1})
    assert "8 is not enough: 9 turns or more" in capsys.readouterr().err


def test_turns_alternate_and_each_time_another_begins(shared):
    turns, seen = shared("turns"), []

    def side(name, seconds):
        def timed(count):
            seen.append((name, count))
            return seconds * count

        return timed

    sides = {"slow": side("slow", 0.5), "quick": side("quick", 0.001)}
    times = turns.in_turns(sides, 3, turn=0.03)
    assert times == {"slow": [0.5] * 3, "quick": [pytest.approx(0.001)] * 3}
    slow, quick = ("slow", 1), ("quick", 30)
    assert seen[-6:] == [slow, quick, quick, slow, slow, quick]


def test_caches_are_emptied_before_the_clock_starts(shared, monkeypatch):
    turns, done = shared("turns"), []
    monkeypatch.setattr(turns, "cold", lambda: done.append("cold"))
    clock = iter([10.0, 12.5])

    def now():
        done.append("clock")
        return next(clock)

    assert turns.here(lambda count: done.append(count), now)(7) == 2.5
    assert done == ["cold", "clock", 7, "clock"]


def test_without_jax_a_word_says_so(shared, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WINNOW_JAX_PYTHON", str(tmp_path / "python"))
    assert shared("elsewhere").jax_python() is None
    assert f"{tmp_path / 'python'} has no JAX" in capsys.readouterr().err


def small() -> nn.Sequential:
    norm = nn.BatchNorm2d(4)
    return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(144, 6))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_compiled_rival_trains_as_torch_does(shared, layout):
    x = torch.randn(6, 3, 8, 8).to(memory_format=layout)
    y = torch.arange(6)
    ours, theirs = (small().to(memory_format=layout) for _ in range(2))
    ours.load_state_dict(theirs.state_dict())
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    step = shared("whole_step").compiled(ours, x, y, 0.1, 0.9, 0.01, backend="eager")
    for _ in range(3):
        step(x, y)
        optimizer.zero_grad()
        F.cross_entropy(theirs(x), y).backward()
        optimizer.step()
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def test_families_stand_side_by_side_with_the_goals_and_who_misses_them(monkeypatch, tmp_path):
    def rows(sparse):
        median = {"sparse": sparse, "eager, NCHW": 900.0, "compiled, NCHW": 600.0}
        ratio = {"best dense / sparse, median": 600 / sparse}
        if sparse < 200:  # an older result has no such side
            median["sparse-bf16"] = 100.0
            ratio["best dense / sparse-bf16, median"] = 6.0
        return [{"network": "resnet-20", "batch": 128, "density": 0.1, "median": median} | ratio]

    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    assert speed.networks() == "Not measured yet."
    answers = {"A, One (X)": {"how": "well", "rows": rows(150.0)}}
    file = tmp_path / "network_density.json"
    file.write_text(json.dumps(answers))
    assert "Measured on A, One only." in speed.networks()
    answers["B, Two (Y)"] = {"how": "better", "rows": rows(300.0)}
    file.write_text(json.dumps(answers))
    told = speed.networks()
    dense = "600 (compiled, NCHW)"
    assert f"| 0.1 | {dense} | 150 | 4 | 100 | 6 | {dense} | 300 | 2 |  |  | 3 |" in told
    assert "Goal 3 at density 0.1: reached on A, One (4), missed on B, Two (2)." in told
    assert told.endswith("(A, One (X): well; B, Two (Y): better.)")


def test_one_command_measures_every_table(shared):
    benches = shared("all").BENCHES | shared("all").MORE
    assert all((BENCH / f"{name}.py").is_file() for name in benches)
    made = {"lenet_density", "network_density", "conv_density", "threads", "moments"}
    assert set(shared("all").BENCHES) == made
    assert len(speed.PARTS) == len(made)
