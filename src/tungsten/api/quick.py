"""Reads of one object, answered where the request is parsed: what most requests are.

An answer is made from the object, its children and its referrers, and is kept as it is sent, with
the revision that the store had reached before it was made. It holds while the store has not touched
the object since (:mod:`tungsten.store.touched`); nothing has to be told to forget it. So a read
sees every write that was acknowledged before it, as it does without this.

Only for those who may see everything, without a question asked: an API without users, on a store
that only this process writes. Whatever is not an ordinary read that succeeds is answered by
:mod:`tungsten.api.app`; so is an object with more around it than is quickly read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import httptools
import msgspec
from starlette.datastructures import QueryParams

from tungsten.api import errors, queries, views
from tungsten.api.bodies import Json
from tungsten.api.callers import SYSTEM
from tungsten.api.engine import Showing, show
from tungsten.api.errors import ApiFault
from tungsten.api.introspect import RestTrace
from tungsten.api.preconditions import tag_of
from tungsten.api.views import Hrefs
from tungsten.model import RESOURCE_TYPES
from tungsten.store.base import Embedded, Snapshot, StoreError, TooMuch

KEPT = 32 * 1024 * 1024
"""Bytes of answers that are kept; the least used are forgotten."""

LARGEST = 64 * 1024
"""Bytes of the largest answer that is kept."""

OVERHEAD = 400
"""Bytes that an answer takes beside its own."""

UNUSUAL = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"sec-fetch-site"}
)
"""Headers of requests that are not quick reads."""

OK = b"HTTP/1.1 200 OK\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer: from when it is, headers and body as they are sent, how it is traced."""

    uuid: str
    revision: int
    etag: bytes
    sent: bytes
    url: str


def reading(target: str, query: str, base: str) -> tuple[str, str, Showing]:
    """Type and uuid that ``/type/uuid?query`` asks for, and how they are shown.

    Raises KeyError, ValueError for what is no read of an object.
    """
    type_, uuid = target.strip("/").split("/")
    how = showing(QueryParams(query), base) if query else Showing(Hrefs(base), None, True, True)
    return RESOURCE_TYPES[type_].name, uuid, how


def showing(query: QueryParams, base: str) -> Showing:
    """How a query says that an object is to be shown."""
    return Showing(
        Hrefs(base, wanted="exclude_hrefs" not in query),
        queries.split(query.get("fields")),
        with_children="exclude_children" not in query,
        with_back_references="exclude_back_refs" not in query,
    )


def etag_of(shown: Json) -> str:
    """The entity tag of an object as it is shown."""
    return tag_of(views.last_modified(shown))


class QuickReads:
    """Answers reads of objects of a store. ``is_host`` says for which Host headers it may."""

    def __init__(
        self,
        store: Embedded,
        trace: RestTrace,
        is_host: Callable[[str], bool],
        count: Callable[[str], None],
    ) -> None:
        self._store = store
        self._trace = trace
        self._is_host = is_host
        self._count = count
        self._kept: OrderedDict[tuple[bytes, bytes], _Kept] = OrderedDict()
        self._bytes = 0

    def answer(self, scheme: str, target: bytes, headers: Headers) -> tuple[bytes, bytes] | None:
        """Status line, and what comes after the Date header; None: this is no quick read."""
        host = known = request_id = b""
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"if-none-match":
                known = value
            elif name == b"x-request-id":
                request_id = value
            elif name in UNUSUAL:
                return None
        key = (host, target)
        kept = self._kept.get(key)
        if kept is None or not self._store.touched.holds(kept.uuid, kept.revision):
            kept = self._make(scheme, host, target)
            if kept is None:
                return None
            self._keep(key, kept)
        unchanged = known == kept.etag
        status = "304" if unchanged else "200"
        self._count(status)
        said = errors.echo(request_id.decode("latin-1")) if request_id else ""
        self._trace.add(said, "GET", kept.url, int(status), "")
        if unchanged:
            return NOT_MODIFIED, b"etag: %s\r\n\r\n" % kept.etag
        return OK, kept.sent

    def _make(self, scheme: str, host: bytes, target: bytes) -> _Kept | None:
        name = host.decode("latin-1")
        if not target.startswith(b"/") or b"%" in target or not self._is_host(name):
            return None
        revision = self._store.reached
        try:
            url = httptools.parse_url(target)
            query = (url.query or b"").decode("ascii")
            type_, uuid, how = reading(url.path.decode("ascii"), query, f"{scheme}://{name}")

            def look(snapshot: Snapshot) -> Json:
                return show(snapshot, SYSTEM, RESOURCE_TYPES[type_], uuid, how)

            shown = self._store.look(look)
        except (ApiFault, StoreError, TooMuch, KeyError, ValueError, httptools.HttpParserError):
            return None  # it is answered at length
        body = msgspec.json.encode({type_: shown})
        etag = etag_of(shown).encode("latin-1")
        sent = b"content-length: %d\r\netag: %s\r\ncontent-type: application/json\r\n\r\n%s" % (
            len(body),
            etag,
            body,
        )
        return _Kept(uuid, revision, etag, sent, errors.echo(target.decode("ascii").rstrip("?")))

    def _keep(self, key: tuple[bytes, bytes], kept: _Kept) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= len(old.sent) + len(key[1]) + OVERHEAD
        if len(kept.sent) > LARGEST:
            return
        self._kept[key] = kept
        self._bytes += len(kept.sent) + len(key[1]) + OVERHEAD
        while self._bytes > KEPT:
            oldest, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.sent) + len(oldest[1]) + OVERHEAD
