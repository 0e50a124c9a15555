"""Tables of objects, as they are printed; :mod:`tungsten.cli.columns` says what they show.

A table fits the terminal; piped, it is one line an object, columns apart by two blanks or more,
without colour, boxes or truncation, so that ``awk`` and ``cut`` work.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from tungsten.cli.columns import columns_of
from tungsten.model import Resource, type_of


def object_table(resources: Sequence[Resource], *, wide: bool, width: int | None) -> str:
    """A table of objects of one type. ``width`` None: nothing is cut."""
    if not resources:
        return ""
    columns = columns_of(type_of(resources[0]), wide=wide)
    rows = [[one_line(read(each)) for _, read in columns] for each in resources]
    return plain_table([name for name, _ in columns], rows, width)


def one_line(value: str) -> str:
    """A cell without what would break a line or a terminal: names are other people's words."""
    return "".join(c if c.isprintable() else "?" for c in value)


def plain_table(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Columns apart by two blanks. With a ``width`` the widest columns are cut to fit in it."""
    sizes = [
        max(len(name), *(len(row[column]) for row in rows)) if rows else len(name)
        for column, name in enumerate(names)
    ]
    if width is not None:
        sizes = _shrunk(sizes, [len(name) for name in names], width)
    return "".join(_line(row, sizes) for row in (names, *rows))


def _shrunk(sizes: list[int], least: Sequence[int], width: int) -> list[int]:
    """Sizes made smaller, the largest first, until the line fits or nothing can give."""
    sizes = list(sizes)
    while sum(sizes) + 2 * (len(sizes) - 1) > width:
        reducible = [n for n, size in enumerate(sizes) if size > max(least[n], 8)]
        if not reducible:
            break
        sizes[max(reducible, key=lambda n: sizes[n])] -= 1
    return sizes


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    shown = [_cut(cell, size).ljust(size) for cell, size in zip(cells, sizes, strict=True)]
    return "  ".join(shown).rstrip() + "\n"


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def terminal_width(is_terminal: bool) -> int | None:
    """The width to fit tables into; None when the output is not a terminal."""
    return shutil.get_terminal_size().columns if is_terminal else None
