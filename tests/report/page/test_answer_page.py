"""A page around one question: its parts in order, with figures and tables, all escaped."""

from __future__ import annotations

import base64

from parsed_page import ParsedPage

from winnow.report.figures.drawing import Drawing
from winnow.report.page.answer_page import AnswerPart, Picture, answer_page, picture
from winnow.report.page.tables import PageTable, TableRow, plain_table

EVIL = '</title><script>alert("&\'")</script><!--'


def test_parts_stand_in_their_order_with_all_they_have() -> None:
    drawing = Drawing("accuracy", "A caption.", b"png", b"<svg/>")
    parts = [
        AnswerPart("First", ("One.", "Two."), picture(drawing)),
        AnswerPart("Second", table=plain_table("T", [("a", "b"), ("1", "2")]), note="A note."),
    ]
    page = ParsedPage(
        answer_page(
            "Title", "It is so.", parts, "winnow enter x", [("rows.csv", "Rows"), ("a", "B")]
        )
    )
    places = [page.text.index(one) for one in (
        "winnow enter x", "It is so.", "First", "One.", "Two.", "A caption.", "Second", "A note.",
        "Rows", "B",
    )]  # fmt: skip
    assert places == sorted(places)
    (image,) = page.attributes("img")
    head, data = str(image["src"]).split(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == b"<svg/>"
    assert image["alt"] == "A caption."
    assert page.table("T").lines == [["a", "b"], ["1", "2"]]
    targets = [own["href"] for own in page.attributes("a")]
    assert targets == ["accuracy.svg", "accuracy.png", "rows.csv", "a"]


def test_what_is_not_there_leaves_nothing_behind() -> None:
    page = ParsedPage(answer_page("Title", "It is so.", [AnswerPart("Only")], ""))
    tags = {tag for tag, _ in page.tags}
    assert not {"ul", "figure", "table", "a", "img", "script"} & tags
    assert "Made by" not in page.text
    assert picture(None) is None


def test_all_text_is_escaped() -> None:
    table = PageTable(EVIL, (EVIL,), (TableRow((EVIL,)),), EVIL)
    part = AnswerPart(EVIL, (EVIL,), Picture(EVIL, EVIL, "data"), table, EVIL)
    page = ParsedPage(answer_page(EVIL, EVIL, [part], EVIL, [(EVIL, EVIL)]))
    assert page.scripts == []
    # title, heading, command, answer, heading, sentence, figure's caption, table: note, caption,
    # head and cell, the part's note, link
    assert page.text.count(EVIL) == 13
    (image,) = page.attributes("img")
    assert image["alt"] == EVIL
    assert [own["href"] for own in page.attributes("a")] == [f"{EVIL}.svg", f"{EVIL}.png", EVIL]


def test_it_asks_nothing_of_any_host() -> None:
    page = ParsedPage(answer_page("Title", "It is so.", [], ""))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
