"""Fetching introspect answers, page after page, the way operators' scripts do.

What comes back is foreign bytes: it is read with a limit on its size, refused when it carries
a document type (entities have no place here), and every fault is an :class:`IntrospectError`
that says which URL it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree

import aiohttp

MAX_ANSWER = 512 * 1024 * 1024
MAX_PAGES = 100_000


class IntrospectError(Exception):
    """No usable answer. ``url`` was asked; ``status`` is the HTTP status if there was one."""

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Introspect:
    """The introspect server of one process."""

    host: str
    port: int
    timeout_s: float = 60.0

    def url(self, request: str, parameters: Mapping[str, str] | None = None) -> str:
        """The URL of a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        pairs = (parameters or {}).items()
        query = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in pairs)
        return f"http://{host}:{self.port}/Snh_{request}" + (f"?{query}" if query else "")

    async def fetch(
        self, request: str, parameters: Mapping[str, str] | None = None
    ) -> list[ElementTree.Element]:
        """The roots of all pages of an answer. Raises :class:`IntrospectError`."""
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            first = await _get(session, self.url(request, parameters))
            if (whole := whole_table_key(first)) is not None:
                return [await _get(session, self.url("PageReq", {"x": whole}))]
            roots = [first]
            while (batch := next_batch(roots[-1])) is not None:
                if len(roots) >= MAX_PAGES:
                    raise IntrospectError(self.url(batch[0]), f"more than {MAX_PAGES} pages")
                roots.append(await _get(session, self.url(batch[0], {"x": batch[1]})))
            return roots

    def get(
        self, request: str, parameters: Mapping[str, str] | None = None
    ) -> list[ElementTree.Element]:
        """:meth:`fetch` for callers without an event loop."""
        return asyncio.run(self.fetch(request, parameters))


async def _get(session: aiohttp.ClientSession, url: str) -> ElementTree.Element:
    try:
        async with session.get(url, allow_redirects=False) as response:
            body = await response.content.read(MAX_ANSWER + 1)
            while len(body) <= MAX_ANSWER and not response.content.at_eof():
                body += await response.content.read(MAX_ANSWER + 1 - len(body))
            status = response.status
    except TimeoutError as error:
        raise IntrospectError(url, "no answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise IntrospectError(url, str(error) or type(error).__name__) from error
    if len(body) > MAX_ANSWER:
        raise IntrospectError(url, f"answer is longer than {MAX_ANSWER} bytes")
    if status != 200:
        raise IntrospectError(url, _reason(status, body), status)
    return parse_answer(url, body)


def _reason(status: int, body: bytes) -> str:
    try:
        text = parse_answer("", body).findtext("resp") or ""
    except IntrospectError:
        text = ""
    return f"HTTP {status}" + (f", {text}" if text else "")


def parse_answer(url: str, body: bytes) -> ElementTree.Element:
    """The root of an answer. Raises :class:`IntrospectError` for what is not one."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise IntrospectError(url, "the answer is not introspect XML (it declares a document type)")
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - no DTD, so no entities to expand
    except (ElementTree.ParseError, ValueError, RecursionError, LookupError) as error:
        raise IntrospectError(url, f"the answer is not XML: {error}") from error


def next_batch(root: ElementTree.Element) -> tuple[str, str] | None:
    """The request and cursor of the next part of an answer; None at its end."""
    element = root.find(".//next_batch")
    if element is None or not element.text or not element.get("link"):
        return None
    return element.attrib["link"], element.text


def whole_table_key(root: ElementTree.Element) -> str | None:
    """The key of the whole table when an answer shows one page of several; else None."""
    page = root.find("Pagination/req/PageReqData")
    if page is None or not page.findtext("next_page"):
        return None
    return page.findtext("all") or None


def rows(roots: list[ElementTree.Element], tag: str) -> Iterator[ElementTree.Element]:
    """Every element named ``tag`` in the answer, in order."""
    for root in roots:
        yield from root.iter(tag)
