"""The site, made of these pages by Sphinx: ``make docs``. Nothing in it is fetched, ever."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from making.docstrings import as_rest

SOURCE = "https://github.com/winnow-sparse/winnow"

project = "Winnow"
author = project_copyright = "The Winnow developers"
version = release = installed("winnow")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["results/sources"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!winnow\.).*"),  # of torch and Python, whose sites are not asked
    ("py:.*", r"winnow\..*\._\w+"),
    ("py:.*", r"winnow\.(algorithms\.dynamic\.method|experiment\.(plan|store|train))\..*"),
    ("py:.*", r"winnow\.data\.(facts|image_files|listing|crops)\..*"),
]
"""What signatures name and no page explains: others' types, private ones, those of the inside."""

myst_heading_anchors = 4  # links to headings, by the names that GitHub gives them
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
default_role = "code"
smartquotes = False  # "500it" is a value
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Winnow"
html_extra_path = ["../build/gallery"]  # the reports that making/gallery.py writes
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style, pygments_dark_style = "tango", "monokai"


def _docstring(
    _app: object, _what: str, _name: str, _it: object, _o: object, lines: list[str]
) -> None:
    lines[:] = as_rest(lines)


def _links(_app: object, _page: str, text: list[str]) -> None:
    """What a page links to outside of docs/ is on the site of the source."""
    text[0] = re.sub(r"\]\(\.\./([^)]*)\)", rf"]({SOURCE}/tree/main/\1)", text[0])


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("source-read", _links)
