"""Pages: the two ways in which clients walk long tables.

**Cursors** (control). An answer ends with ``next_batch``: an opaque text that the client
passes to ``<Request>Iterate?x=``. Ours is base64url of a JSON array of strings, because
clients put it in a URL without encoding. Empty means done.

**Page keys** (agent). Every table answer is a series: messages of up to :data:`PAGE_ROWS`
rows, then one ``Pagination`` that says which pages exist. A page is named by a key of
``name:value`` pairs in fixed order, which users also type by hand::

    begin:100,end:199,table:db.interface.0,name:tap1

``begin:-1,end:-1`` is the whole table; it is produced a message at a time while it is sent.
Filters follow the table; a value that is not plain text for both a key and a URL is written
as ``~`` and base64url.

Rows are taken from a snapshot of keys made when the request comes, so a table may change
while it is read; pages are by position, as clients expect.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from tungsten.introspect.request import AnyRequest, F, Form, Request, RequestError, Series
from tungsten.introspect.wire import U32, Field, Message, Struct

PAGE_ROWS = 100
_WHOLE = (-1, -1)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@ -]*\Z")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{text!r} is not a cursor or key made by this process") from error


def encode_cursor(*parts: str) -> str:
    """A cursor that carries ``parts``, safe in a URL as it is."""
    return _b64(msgspec.json.encode(parts))


def decode_cursor(text: str, count: int) -> tuple[str, ...]:
    """The ``count`` parts of a cursor. Raises :class:`RequestError` for anything else."""
    try:
        parts = msgspec.json.decode(_unb64(text), type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{text!r} is not a cursor made by this process") from error
    if len(parts) != count:
        raise RequestError(f"cursor {text!r} has {len(parts)} parts where {count} are expected")
    return tuple(parts)


class PageReqData(Struct, frozen=True, kw_only=True):
    """Which pages exist around the one shown, by their keys, and how many rows match."""

    prev_page: Annotated[str, Field(1, link="PageReq")] = ""
    next_page: Annotated[str, Field(2, link="PageReq")] = ""
    first_page: Annotated[str, Field(3, link="PageReq")] = ""
    all: Annotated[str, Field(4, link="PageReq")] = ""
    table_size: Annotated[U32, Field(5)] = 0
    entries: Annotated[str, Field(6)] = ""


class Pagination(Message, frozen=True, kw_only=True):
    """The last message of a table answer."""

    req: Annotated[PageReqData, Field(1)]


class PageReq(Form, frozen=True):
    """Asks for a page by its key."""

    key: str = ""


@dataclass(frozen=True)
class PageKey:
    """A parsed page key: positions (inclusive), table name, and the request's filters."""

    begin: int
    end: int
    table: str
    filters: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """True for the key of all rows."""
        return (self.begin, self.end) == _WHOLE


def format_key(begin: int, end: int, table: str, filters: Mapping[str, str]) -> str:
    """The text of a page key."""
    pairs = [("begin", str(begin)), ("end", str(end)), ("table", table), *filters.items()]
    return ",".join(f"{name}:{_key_value(value)}" for name, value in pairs)


def _key_value(value: str) -> str:
    return value if _PLAIN.match(value) else "~" + _b64(value.encode(errors="replace"))


def parse_key(text: str) -> PageKey:
    """A page key as a client sent it. Raises :class:`RequestError`."""
    values: dict[str, str] = {}
    for pair in text.split(","):
        name, colon, value = pair.partition(":")
        if not colon:
            raise RequestError(f"page key {text!r}: {pair!r} is not of the form name:value")
        if value.startswith("~"):
            value = _unb64(value[1:]).decode(errors="replace")
        values[name] = value
    try:
        begin, end = int(values.pop("begin", "0")), int(values.pop("end", "-1"))
    except ValueError as error:
        raise RequestError(f"page key {text!r}: begin and end are not integers") from error
    table = values.pop("table", "")
    if not table:
        raise RequestError(f"page key {text!r} names no table")
    if (begin, end) != _WHOLE and not 0 <= begin <= end:
        raise RequestError(f"page key {text!r}: begin:-1,end:-1 or 0 <= begin <= end is expected")
    return PageKey(begin, end, table, values)


Row = TypeVar("Row")


@dataclass(frozen=True)
class PagedTable(Generic[F, Row]):
    """A table that is answered in pages.

    ``table``: the name in keys of the table that a form asks for. ``accepts``: the form for a
    table name and filters out of a key, or None when it is another's table. ``rows``: the
    matching rows, in order, as cheap handles. ``message``: rows to a message; called per page,
    so only what is shown is converted.
    """

    form: type[F]
    group: str
    table: Callable[[F], str]
    accepts: Callable[[str, Mapping[str, str]], F | None]
    rows: Callable[[F], Sequence[Row]]
    message: Callable[[Sequence[Row]], Message]

    def request(self) -> AnyRequest:
        """The request that answers the first page."""
        return Request(self.form, lambda form: self.page(form, 0, PAGE_ROWS - 1), self.group)

    def page(self, form: F, begin: int, end: int) -> Series:
        """The rows from ``begin`` to ``end`` (both included; -1, -1: all), then Pagination."""
        rows = self.rows(form)
        if (begin, end) == _WHOLE:
            return Series(self._messages(form, rows, 0, max(len(rows) - 1, 0), whole=True))
        return Series(self._messages(form, rows, begin, end, whole=False))

    def _messages(
        self, form: F, rows: Sequence[Row], begin: int, end: int, *, whole: bool
    ) -> Iterator[Message]:
        last = min(end, len(rows) - 1)
        for start in range(begin, max(last, begin) + 1, PAGE_ROWS):
            yield self.message(rows[start : min(start + PAGE_ROWS, last + 1)])
        yield Pagination(req=self._summary(form, len(rows), begin, end, last, whole=whole))

    def _summary(
        self, form: F, total: int, begin: int, end: int, last: int, *, whole: bool
    ) -> PageReqData:
        table = self.table(form)
        filters = _given(form)
        size = end - begin + 1

        def key(first: int, final: int) -> str:
            return format_key(first, final, table, filters)

        return PageReqData(
            prev_page=key(max(begin - size, 0), begin - 1) if begin > 0 and not whole else "",
            next_page=key(last + 1, last + size) if not whole and last + 1 < total else "",
            first_page=key(0, PAGE_ROWS - 1),
            all=key(*_WHOLE),
            table_size=total,
            entries=f"{begin}-{last}/{total}" if begin <= last else f" 0 / {total}",
        )


def _given(form: Form) -> dict[str, str]:
    """The parameters of a form that differ from their defaults, as a key carries them."""
    absent = type(form)()
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name in form.__struct_fields__
        if (value := getattr(form, name)) != getattr(absent, name)
    }


def form_of(form: type[F], filters: Mapping[str, str]) -> F | None:
    """A form from the filters of a key; None when one is not a field of it, or ill typed."""
    try:
        return msgspec.convert(dict(filters), form, strict=False) if _known(form, filters) else None
    except msgspec.ValidationError:
        return None


def _known(form: type[Form], filters: Mapping[str, str]) -> bool:
    return set(filters) <= set(form.__struct_fields__)


def page_request(tables: Sequence[PagedTable[Any, Any]]) -> Request[PageReq]:
    """The ``PageReq`` of a process with these tables."""

    def answer(form: PageReq) -> Series:
        key = parse_key(form.key)
        for table in tables:
            wanted = table.accepts(key.table, key.filters)
            if wanted is not None:
                return table.page(wanted, key.begin, key.end)
        raise RequestError(f"there is no table {key.table!r} with these filters", status=404)

    return Request(PageReq, answer, "agent")
