"""Introspect answers on a terminal, in the forms that ist.py made familiar.

Two forms: a bordered table of chosen fields per row, and an indented dump of an element. In a
table an empty field shows ``n/a``, one that is not there ``-``, and a nested one its dump.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

DEFAULT_WIDTH = 36


def dump(element: Element, indent: str = "") -> str:
    """``tag: text`` lines, two more blanks a level; every line ends with a line end."""
    if element.tag == "more":
        return ""
    if element.text:
        if element.tag == "element":
            return f"{indent}{element.text}\n"
        hanging = "\n" + indent + " " * (len(element.tag) + 2)
        return f"{indent}{element.tag}: {element.text.replace(chr(10), hanging)}\n"
    out = f"{indent}{element.tag}\n" if element.tag != "list" else ""
    if element.get("type") == "list" and len(element) and element[0].get("size") == "0":
        return out
    return out + "".join(dump(child, indent + "  ") for child in element)


def dumps(elements: Iterable[Element]) -> str:
    """The dumps of several elements."""
    return "".join(dump(element).rstrip() + "\n" for element in elements)


def cell(row: Element, field: str) -> str:
    """A field of a row as a table shows it."""
    element = row.find(field)
    if element is None:
        return "-"
    if element.text:
        return element.text
    if len(element):
        return "\n".join(dump(child).rstrip() for child in element)
    return "n/a"


def table(rows: Sequence[Element], fields: Sequence[str] = (), width: int = DEFAULT_WIDTH) -> str:
    """A bordered table of ``fields`` (those of the first row when none are given).

    Cells are wrapped at ``width`` characters. No rows: an empty text.
    """
    if not rows:
        return ""
    names = list(fields) or [child.tag for child in rows[0] if child.tag != "more"]
    return bordered(names, [[cell(row, name) for name in names] for row in rows], width)


def bordered(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Rows of cells under column names, with lines around."""
    widths = [len(name) for name in names]
    for row in rows:
        for column, text in enumerate(row):
            longest = max((len(line) for line in text.split("\n")), default=0)
            widths[column] = max(widths[column], min(longest, width))
    border = "+" + "+".join("-" * (size + 2) for size in widths) + "+\n"
    body = "".join(_row(row, widths) for row in rows)
    return border + _row(names, widths) + border + body + border


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    wrapped = [_wrapped(text, size) for text, size in zip(cells, widths, strict=True)]
    height = max(len(lines) for lines in wrapped)
    out = ""
    for number in range(height):
        texts = (lines[number] if number < len(lines) else "" for lines in wrapped)
        padded = (f" {text:<{size}} " for text, size in zip(texts, widths, strict=True))
        out += "|" + "|".join(padded) + "|\n"
    return out


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        lines += (textwrap.wrap(line, width) or [""]) if len(line) > width else [line]
    return lines
