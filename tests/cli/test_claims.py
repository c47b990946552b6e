"""``winnow claims``."""

from __future__ import annotations

import pytest
from command_line import RECIPE, folders, refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")
CLAIMS = """
claims:
  - id: has-fewer
    says: half of the weights are kept
    paper: A test
    of: weights_kept
    compare: [ticket, dense]
    as: ratio
    at: {density: 50}
    expect: [0.4, 0.6]
  - id: misprinted
    says: it prints two numbers
    paper: A test
    status: paper inconsistent
    reason: they differ
"""


@pytest.fixture
def with_claims(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(RECIPE + CLAIMS)
    return path


def test_an_empty_store_is_no_error(with_claims, tmp_path):
    code, out, err = winnow("claims", with_claims, "--store", tmp_path / "none")
    assert (code, err) == (0, "")
    assert out.startswith("A test: 1 not run, 1 paper inconsistent\n  not run: has-fewer: half")
    assert "why: they differ" in out
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_all_shipped_recipes_of_an_empty_store(tmp_path):
    code, out, _ = winnow("claims", "--store", tmp_path / "none")
    assert code == 0
    assert not any(f"{word}:" in out for word in ("confirmed", "contradicted", "undecided"))


def test_what_is_finished_is_judged_and_nothing_is_trained(with_claims, store):
    """The runs are those of the same recipe without claims: a claim changes no run."""
    before = folders(store)
    code, out, err = winnow("claims", with_claims, "--store", store)
    assert (code, err) == (0, "")
    assert "  undecided: has-fewer: half" in out
    assert "n: 1; why: 3 replicates are the least" in out
    assert folders(store) == before
    tables = winnow("claims", with_claims, "--store", store, "--markdown").out
    assert "## A test\n1 undecided, 1 paper inconsistent\n\n| verdict | claim |" in tables


def test_other_values_are_other_runs(with_claims, store):
    changed = ("claims", with_claims, "--store", store, "-o", "train.steps=30it")
    assert "  not run: has-fewer" in winnow(*changed).out
    assert "n: 1" in winnow("claims", with_claims, "--store", store, "--replicates", 2).out


def test_a_recipe_without_claims_says_so(recipe, store):
    code, out, err = winnow("claims", recipe, "--store", store)
    assert (code, out) == (0, "No recipe here has claims.\n")
    assert err == f"note: {recipe} has no claims\n"


def test_names_that_are_not_there(with_claims, store, tmp_path):
    text = with_claims.read_text()
    for old, new, told in (
        ("compare: [ticket", "compare: [tickt", "Did you mean 'ticket'?"),
        ("of: weights_kept", "of: weights", "Did you mean 'weights_kept'?"),
        ("as: ratio", "line: low", "unknown line 'low'"),
    ):
        with_claims.write_text(text.replace(old, new))
        refused(winnow("claims", with_claims, "--store", store), told)
    with_claims.write_text(text)
    gone = winnow("claims", with_claims, "--store", store, "-o", "prune.algorithm=one-shot")
    assert gone.code == 0
    other = tmp_path / "other.yaml"
    other.write_text(text)
    told = f"the claim 'has-fewer' stands in {with_claims} and in {other}"
    refused(winnow("claims", with_claims, other, "--store", store), told)
    refused(winnow("claims", tmp_path / "gone.yaml", "--store", store), "gone.yaml")


def test_the_page_of_a_recipe_has_its_claims(with_claims, store, tmp_path):
    arguments = ("--store", store, "--out", tmp_path / "out")
    assert winnow("report", with_claims, *arguments).code == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<h2>Claims</h2>" in page
    assert '<p class="soft">1 undecided, 1 paper inconsistent. ' in page


def test_a_scale_may_leave_lines_out_that_claims_are_about(tmp_path):
    path = tmp_path / "lines.yaml"
    lines = (
        "\nlines: {a: {train.optimizer.lr: 0.1}, b: {}}\nscales: {small: {lines: {b: null}}}"
        "\nclaims:\n  - {id: b-is-dense, says: one line has as many weights, line: b,"
        " of: weights_kept, compare: [ticket, dense], at: {density: 50}, expect: [-inf, 0]}\n"
    )
    path.write_text(RECIPE + lines)
    code, out, _ = winnow("claims", path, "--scale", "small", "--store", tmp_path / "none")
    assert code == 0
    assert "not run: b-is-dense" in out
    assert "there is no line 'b' here" in out


def test_by_figure_and_table(tmp_path):
    code, out, _ = winnow("claims", "lth/4", "lth/9", "--items", "--store", tmp_path / "none")
    lines = out.splitlines()
    assert code == 0
    assert lines[-1] == "0 of 85 say seen"
    assert [line.split()[0] for line in lines[:-1]] == [
        f"lth/{number}" for number in (1, 3, 4, 9, 11, 12, 14)
    ]
    assert lines[3].endswith("2 not run, 1 paper inconsistent")
