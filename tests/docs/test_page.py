"""What does the pages notices where a page is wrong."""

from __future__ import annotations

import sys

import page
import pytest


def test_an_edit_goes_behind_the_lines_before_it():
    text = "one = 1\ntable = {\n    1,\n    2,\n}\nend"
    diff = "-one = 1\n+one = 11\n+two = 2\n table = {\n     2,\n+    3,\n }\n"
    assert page.edited(text, diff) == (
        "one = 11\ntwo = 2\ntable = {\n    1,\n    2,\n    3,\n}\nend"
    )


@pytest.mark.parametrize("diff", [" three\n+x\n", "-three\n", " two\n one\n+x\n", " tw\n"])
def test_an_edit_of_lines_that_are_not_there_in_this_order(diff):
    with pytest.raises(AssertionError, match="there is no line"):
        page.edited("one\ntwo", diff)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("", True),
        ("a 1\nc", True),
        ("…1\n…", True),
        ("c\na   1", False),
        ("a", False),
        ("b.", False),
        ("a 1\na 1", False),
    ],
)
def test_expected_lines_are_printed_in_order(expected, printed):
    assert page.is_printed(expected, "a  1\nbb\nc\n") is printed


def write(folder, monkeypatch, text):
    (folder / "docs").mkdir()
    (folder / "docs/a-page.md").write_text(text)
    monkeypatch.setattr(page, "ROOT", folder)


PAGE = """# A page
```python a.py
x = 1
```
and
```diff a.py
 x = 1
+x += 1
```
```python
from pathlib import Path
y = Path("a.py").read_text()
```
```python
z = y.upper()
```
```yaml
nothing
```
"""


def test_files_edits_and_code_are_done_in_order(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, PAGE)
    monkeypatch.chdir(tmp_path)
    assert page.do("a-page", tmp_path)["z"] == "X = 1\nX += 1\n"


def test_a_command_that_prints_something_else_or_fails(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, "```console\n$ winnow methods snip\nsnip: a dynamic method\n```\n")
    with pytest.raises(AssertionError, match=r"\$ winnow methods snip\nsnip: at initialisation"):
        page.do("a-page", tmp_path)
    (tmp_path / "docs/a-page.md").write_text("```console\n$ winnow methods snp\n```\n")
    with pytest.raises(AssertionError):
        page.do("a-page", tmp_path)


def test_a_checkout_imports_its_copy_and_leaves_no_trace(tmp_path):
    before = {name: module for name, module in sys.modules.items() if name.startswith("winnow")}
    with page.checkout(tmp_path):
        (tmp_path / "winnow/errors.py").write_text("MARK = 1\n")
        from winnow import errors

        assert errors.MARK == 1
    after = {name: module for name, module in sys.modules.items() if name.startswith("winnow")}
    assert after == before
