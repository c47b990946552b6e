"""``winnow bench`` at the command line: table, files, and answers to bad input."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TINY = ("bench", "--data", "digits", "--batch", "20", "--density", "1,0.1", "--seconds", "0.01")


@pytest.fixture
def winnow(capsys, monkeypatch):
    from winnow.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["winnow", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


def test_a_table_a_file_with_the_machine_and_a_figure(winnow, tmp_path):
    out = tmp_path / "new" / "folder"
    code, told, err = winnow(*TINY, "--engine", "sparse", "--engine", "dense", "--out", out)
    assert (code, err) == (0, "")
    lines = told.splitlines()
    assert " ".join(lines[0].split()) == "density % sparse µs dense µs dense / sparse"
    assert [line.split()[0] for line in lines[1:3]] == ["100", "10"]
    assert lines[3].startswith("break-even: sparse is ")
    stem = out / "lenet-300-100-digits-20-adam"
    assert lines[4:] == [f"rows: {stem}.json", f"figure: {stem}.png", f"figure: {stem}.svg"]
    plain = json.loads(stem.with_suffix(".json").read_text())
    assert {"processor", "torch", "numba", "float32 lanes", "winnow"} <= set(plain["machine"])
    assert plain["work"]["batch"] == 20
    assert [row["density"] for row in plain["rows"]] == [1.0, 0.1]
    for line, row in zip(lines[1:3], plain["rows"], strict=True):
        times = [float(number.replace(",", "")) for number in line.split()[1:3]]
        assert times == pytest.approx(list(row["microseconds"].values()), abs=0.1)
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in stem.with_suffix(".svg").read_text()


def test_by_default_it_goes_to_bench_results_here(winnow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told, _ = winnow(*TINY, "--engine", "dense")
    assert code == 0
    assert "rows: bench/results/lenet-300-100-digits-20-adam.json" in told
    assert (tmp_path / "bench" / "results" / "lenet-300-100-digits-20-adam.png").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lenet-30"], "unknown network 'lenet-30'. Did you mean 'lenet-300-100'"),
        (["--data", "digit"], "unknown dataset 'digit'. Did you mean 'digits'"),
        (["--engine", "dens"], "unknown engine 'dens'. Did you mean 'dense'"),
        (["--optimizer", "adan"], "unknown optimizer 'adan'. Did you mean 'adam'"),
        (["--density", "0"], "--density is 0: a density lies above 0, up to 1"),
        (["--density", "1,2"], "--density is 2: a density lies above 0, up to 1"),
        (["--density", "nan"], "--density is nan: a density lies above 0"),
        (["--density", "ten"], "is no list of densities, e.g. 1,0.5,0.1"),
        (["--batch", "0"], "--batch is 0: a batch has at least 1 image"),
        (["--batch", "few"], "'few' is no whole number"),
        (["--seconds", "0"], "--seconds is 0: each density needs some time"),
        (["vgg-11", "--data", "digits"], "vgg-11"),
    ],
)
def test_bad_input_is_answered(winnow, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, out, err = winnow("bench", *arguments)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_told_before_anything_is_timed(winnow, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "x"):
        code, told, err = winnow(*TINY, "--out", out)
        assert (code, told) == (2, "")
        assert f"{tmp_path / 'file'} is a file: name a folder" in err


def test_help_imports_no_torch():
    code = (
        "import sys; from winnow.cli import main; sys.argv = ['winnow', 'bench', '--help']\n"
        "try: main()\n"
        "finally: print({'torch', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
    assert "winnow bench" in done.stdout
