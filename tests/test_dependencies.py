"""Every pin has its hashes, every package its licence, and a release the means to be made."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "requirements"
FILES = ("all.txt", "runtime.txt", "release.txt")


def blocks(file: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> version and hashes; fails on any other line."""
    lines = (FOLDER / file).read_text("utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#"))
    found = {}
    for block in re.split(r"\n(?=\w)", text.strip()):
        pin, *hashes = block.split(" \\\n    --hash=")
        name, version = pin.partition(" ; ")[0].split("==")
        if version.endswith("+cpu"):  # of torch there are two, for different systems
            name += "+cpu"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), block
        assert name not in found
        found[canonicalize_name(name)] = version, hashes
    return found


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("file", FILES)
def test_every_pin_has_hashes(file):
    assert all(hashes for _, hashes in blocks(file).values())


def test_the_hashed_pins_are_the_constraints():
    pins = {name: version for name, (version, _) in blocks("all.txt").items()}
    cpu = pins.pop("torch+cpu")
    assert pins == constraints()
    assert cpu == f"{pins['torch']}+cpu"


@pytest.mark.parametrize("file", ["all.txt", "runtime.txt"])
def test_torch_is_one_build_on_each_system(file):
    """Were both allowed, pip would take the published one with CUDA, whose needs have no pins."""
    text = (FOLDER / file).read_text("utf-8")
    markers = [Marker(one) for one in re.findall(r"^torch==\S+ ; (.*) \\$", text, re.MULTILINE)]
    assert len(markers) == 2
    for system in ("linux", "darwin", "win32"):
        for machine in ("x86_64", "aarch64", "arm64"):
            here = {"sys_platform": system, "platform_machine": machine}
            assert sum(marker.evaluate(here) for marker in markers) == 1
    assert len(blocks(file)["torch"][1]) > 20  # the published wheels, of as many systems
    assert len(blocks(file)["torch+cpu"][1]) >= 1


def wanted(requirements: list[str]) -> set[str]:
    """All that these bring, as installed here."""
    left = [Requirement(one) for one in requirements]
    found: set[str] = set()
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        if name in found or not (one.marker is None or one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        left += map(Requirement, importlib.metadata.requires(name) or [])
    return found


def test_what_the_package_needs_is_all_pinned_for_a_release():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    everything = blocks("all.txt")
    needed = {name: everything[name] for name in wanted(project["dependencies"])}
    extra = {"torch"}  # with CUDA it needs packages that no pin is for
    assert needed.keys() - extra == wanted(project["dependencies"]) - extra
    runtime = blocks("runtime.txt")
    assert needed.items() <= runtime.items()
    assert runtime.items() <= everything.items()


def test_every_package_has_a_licence():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (FOLDER / "licences.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and "package" not in line
    ]
    assert {canonicalize_name(name): version for name, version, *_ in rows} == constraints()
    assert all(licence for _, _, licence, _ in rows)
    needed = {canonicalize_name(name) for name, *_, mark in rows if mark == "yes"}
    assert needed == blocks("runtime.txt").keys() - {"torch+cpu"}


def test_licences_are_those_that_the_installed_packages_state():
    told = subprocess.run(
        [sys.executable, "-c", STATED], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    table = (FOLDER / "licences.md").read_text("utf-8")
    assert len(told) > 40
    assert [line for line in told if line not in table] == []


STATED = """
import importlib.machinery, importlib.metadata, importlib.util
loader = importlib.machinery.SourceFileLoader("licences", ".ci/licences")
spec = importlib.util.spec_from_loader("licences", loader)
module = importlib.util.module_from_spec(spec)
loader.exec_module(module)
for name, version in module.pins("all.txt").items():
    try:
        installed = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        continue
    if installed.partition("+")[0] == version:
        print(f"| {name} | {version} | {module.licence(name)} |")
"""


def test_a_wheel_with_other_bytes_is_refused(tmp_path):
    """As pip sees the pins: a package of the right name and version, and none of its hashes."""
    wheel = tmp_path / "idna-3.20-py3-none-any.whl"
    wheel.write_bytes(b"PK\x05\x06" + bytes(18))
    version, hashes = blocks("all.txt")["idna"]
    wheel = wheel.rename(tmp_path / f"idna-{version}-py3-none-any.whl")
    pins = " ".join((f"idna=={version}", *(f"--hash={one}" for one in hashes)))
    (tmp_path / "pins.txt").write_text(pins)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--find-links"]
    done = subprocess.run(
        [*pip, tmp_path, "--require-hashes", "-r", tmp_path / "pins.txt", "--target", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr or "hash" in done.stderr.lower()


@pytest.mark.slow
@pytest.mark.skipif("WINNOW_RELEASE" not in os.environ, reason="makes a release: WINNOW_RELEASE=1")
def test_a_release_is_made_from_an_empty_clone(tmp_path):
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    made = ["make", "release", f"PYTHON={sys.executable}"]
    subprocess.run(made, cwd=tmp_path / "clone", check=True, capture_output=True)
    made_of = {path.name for path in (tmp_path / "clone" / "dist").iterdir()}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    name = f"winnow-{version}"
    assert made_of == {
        f"{name}-py3-none-any.whl",
        f"{name}.tar.gz",
        f"{name}.cdx.json",
        f"{name}-licences.md",
    }
    listed = json.loads((tmp_path / "clone" / "dist" / f"{name}.cdx.json").read_text("utf-8"))
    parts = {canonicalize_name(part["name"]) for part in listed["components"]}
    assert blocks("runtime.txt").keys() - {"torch+cpu"} <= parts
