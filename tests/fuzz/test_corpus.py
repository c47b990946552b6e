"""Each loader on kept and on mutated inputs: nothing but documented errors, and bounded memory.

`tests/fuzz/fuzz.py` goes on for hours (``make fuzz``). What it has found is kept in ``corpus/``.
"""

from __future__ import annotations

import json
import random
import resource
from pathlib import Path

import pytest
from files import ticket
from fuzz import TARGETS, corpus
from hostile import of_envelope
from mutations import mutated
from targets import Targets

import winnow as wn
from winnow.errors import UserError
from winnow.mask import from_bytes, to_bytes
from winnow.ticketfile import TicketParts, pack_ticket

MUTATED = 25
NAMES = list(TARGETS)


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    return Targets(tmp_path_factory.mktemp("targets"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_documented_errors_comes_out(targets, name):
    read, chosen = targets.by_name[name], random.Random(f"corpus of {name}")
    inputs = targets.seeds(name) + corpus(name)
    for data in [*inputs, *(mutated(chosen.choice(inputs), chosen) for _ in range(MUTATED))]:
        read(data)


def test_each_kept_input_belongs_to_a_target():
    kept = {folder.name for folder in (Path(__file__).parent / "corpus").iterdir()}
    assert kept <= set(NAMES)


@pytest.mark.parametrize(
    "odd", ["1e999", "[" * 20_000, "NaN", "-Infinity", "9" * 5000, '{"a": 1, "a": 1}']
)
def test_what_json_has_and_no_file_of_winnow_is_refused(tmp_path, odd):
    """In the header of a ticket, where the format, a shape or the provenance stands."""
    for key in ("format", "half", "provenance"):
        text = json.dumps({"kind": "ticket", "format": 2, key: "HERE"}).replace('"HERE"', odd)
        header = json.dumps({"__metadata__": {"winnow": text}}).encode()
        (tmp_path / "t").write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(UserError, match=r"damaged|no format"):
            wn.load(tmp_path / "t")


def test_a_shape_is_bounded_by_the_file(tmp_path):
    """A mask of 2⁴⁰ entries that keeps nothing is coded in no byte."""
    _, about = pack_ticket(TicketParts(wn.Mask({}), {}, None, {}), removed=False, half=False)
    shape = [1 << 20, 1 << 20]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for change in (
        {"mask": [["w", shape, "gaps", 0]]},
        {"rewind": {**about["rewind"], "layout": [["w", "float32", shape]]}},
        {"mask": [[f"w{k}", [1 << 26], "gaps", 0] for k in range(4)]},
    ):
        (tmp_path / "t").write_bytes(to_bytes("ticket", {}, {**about, **change}))
        with pytest.raises(UserError, match=r"damaged: \d+ entries are more than"):
            wn.load(tmp_path / "t")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_hostile_envelopes_reach_what_is_behind_the_digest(targets):
    """Fuzzing would be of no use if digests stopped it: a changed envelope is a whole file."""
    (line, rest) = targets.seeds("mask")[1].split(b"\n", 1)
    plain = json.loads(line)
    plain["about"]["shapes"] = {"a": [-1]}
    data = of_envelope("mask", json.dumps(plain).encode() + b"\n" + rest)
    assert from_bytes("mask", data, "here")[1]["shapes"] == {"a": [-1]}
    assert ticket().mask.kept
