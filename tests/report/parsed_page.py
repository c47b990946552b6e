"""A page as a parser sees it: well-formed or refused, with its text, tags, tables and scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "img", "br", "link", "input", "hr"}

Attributes = dict[str, str | None]


@dataclass
class ParsedTable:
    """``lines``: the cells of each row, its head first; ``attributes`` of each row."""

    caption: str = ""
    lines: list[list[str]] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)


class ParsedPage(HTMLParser):
    """Fails on a tag that is closed in the wrong place. Scripts and styles are no part of ``text``;
    ``scripts``: the attributes and the content of each.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, Attributes]] = []
        self.pieces: list[str] = []
        self.scripts: list[tuple[Attributes, str]] = []
        self.tables: list[ParsedTable] = []
        self.feed(html)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        """All that a reader sees."""
        return "".join(self.pieces)

    @property
    def ids(self) -> list[str]:
        """In their order."""
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]

    @property
    def data(self) -> dict[str, Any]:
        """The JSON of the page."""
        (text,) = [text for own, text in self.scripts if own.get("type") == "application/json"]
        found: dict[str, Any] = json.loads(text)
        return found

    def attributes(self, name: str) -> list[Attributes]:
        """Of each element of a name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    def table(self, caption: str) -> ParsedTable:
        """The only one with a caption."""
        (found,) = [table for table in self.tables if table.caption == caption]
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "table":
            self.tables.append(ParsedTable())
        if tag == "tr":
            self.tables[-1].lines.append([])
            self.tables[-1].attributes.append(dict(attrs))
        if tag in ("td", "th"):
            self.tables[-1].lines[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        last = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif inside != "style":
            self.pieces.append(data)
        if inside == "caption":
            self.tables[-1].caption += data
        if {"td", "th"} & set(self.open):
            self.tables[-1].lines[-1][-1] += data
