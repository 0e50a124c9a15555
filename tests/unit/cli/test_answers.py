"""The two forms of answers, character by character, and tables of objects."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tungsten.cli.answers import bordered, cell, dump, table
from tungsten.cli.tables import plain_table

ANSWER = ElementTree.fromstring(
    '<R type="sandesh"><rows type="list" identifier="1"><list type="struct" size="2">'
    '<Row><name type="string" identifier="1">peer-with-a-long-name.example.net</name>'
    '<state type="string" identifier="2">Up</state>'
    '<note type="string" identifier="3"></note>'
    '<addrs type="list" identifier="4"><list type="string" size="2">'
    "<element>10.0.0.1:8086</element><element>10.0.0.2:8086</element></list></addrs>"
    '<none type="list" identifier="5"><list type="string" size="0"></list></none></Row>'
    '<Row><name type="string" identifier="1">b</name></Row>'
    '</list></rows><more type="bool" identifier="0">false</more></R>'
)


def test_table_wraps_columns_and_marks_what_is_empty_or_absent() -> None:
    found = list(ANSWER.iter("Row"))
    assert table(found, ["name", "state", "note", "addrs"], width=20) == (
        "+----------------------+-------+------+-----------------+\n"
        "| name                 | state | note | addrs           |\n"
        "+----------------------+-------+------+-----------------+\n"
        "| peer-with-a-long-    | Up    | n/a  |   10.0.0.1:8086 |\n"
        "| name.example.net     |       |      |   10.0.0.2:8086 |\n"
        "| b                    | -     | -    | -               |\n"
        "+----------------------+-------+------+-----------------+\n"
    )


def test_table_takes_its_columns_from_the_first_row() -> None:
    found = list(ANSWER.iter("Row"))
    assert table(found).splitlines()[1].split() == [
        "|",
        "name",
        "|",
        "state",
        "|",
        "note",
        "|",
        "addrs",
        "|",
        "none",
        "|",
    ]
    assert table([]) == ""


def test_empty_list_is_an_empty_cell() -> None:
    assert cell(next(ANSWER.iter("Row")), "none") == ""


def test_dump_indents_by_level_and_skips_more() -> None:
    assert dump(ANSWER) == (
        "R\n"
        "  rows\n"
        "      Row\n"
        "        name: peer-with-a-long-name.example.net\n"
        "        state: Up\n"
        "        note\n"
        "        addrs\n"
        "            10.0.0.1:8086\n"
        "            10.0.0.2:8086\n"
        "        none\n"
        "      Row\n"
        "        name: b\n"
    )


def test_dump_aligns_the_lines_of_a_text() -> None:
    element = ElementTree.fromstring("<info>first\nsecond</info>")
    assert dump(element, "  ") == "  info: first\n        second\n"


@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=2), max_size=4))
def test_bordered_lines_are_all_of_one_width(rows: list[list[str]]) -> None:
    clean = [["".join(c for c in text if c.isprintable()) for text in row] for row in rows]
    lines = bordered(["a", "b"], clean, 12).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_piped_table_is_whole_and_terminal_table_fits() -> None:
    names, rows = ["NAME", "ID"], [["x" * 60, "1"], ["y", "22"]]
    whole = plain_table(names, rows, None)
    assert whole.splitlines()[1] == "x" * 60 + "  1"
    fitted = plain_table(names, rows, 40).splitlines()
    assert all(len(line) <= 40 for line in fitted)
    assert fitted[1].endswith("…  1")
