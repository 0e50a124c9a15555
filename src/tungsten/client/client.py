"""The asynchronous client of the configuration API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec

from tungsten.client.errors import (
    ApiError,
    ClientError,
    NotOffered,
    UnexpectedAnswer,
    Unreachable,
)
from tungsten.model import (
    Resource,
    ValidationError,
    decode,
    resource_type,
    to_fields,
    type_of,
)

R = TypeVar("R", bound=Resource)

Json = dict[str, Any]
Name = Sequence[str]

CHANGED = "Precondition Failed"
"""What the text of a 412 begins with when the object is not in the state of ``match``."""

MAX_EVENT = 64 << 20
"""Bytes of one event of a watch; the first one holds all objects of a type."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One change that a watch reports.

    ``event`` is ``init`` (an object that was there from the start), ``create``, ``update`` or
    ``delete``. ``resource`` is None for a delete. ``revision`` is what a later watch may begin
    ``after`` without missing anything: of changes that happened together, only the last one
    reaches theirs.
    """

    event: Literal["init", "create", "update", "delete"]
    type: str
    uuid: str
    resource: Resource | None
    revision: int


class Client:
    """A connection to one API server.

    ``url`` is its address, ``http://host:8082``; ``token`` is of Keystone, for servers that want
    one. Use it as an asynchronous context manager, or call :meth:`close`. Every method raises
    :class:`~tungsten.client.ApiError` when the server refuses and
    :class:`~tungsten.client.Unreachable` when it does not answer in time.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        """Nothing is sent before the first request."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- objects ----------------------------------------------------------------------------

    async def create(self, resource: Resource) -> str:
        """Create an object; returns its uuid. References need ``to`` or ``uuid``."""
        kind = type_of(resource).name
        said = _with_attrs(kind, to_fields(resource))
        answer = await self._json("POST", f"/{kind}s", {kind: said})
        return _text(_inner(answer, kind), "uuid")

    async def read(
        self, type_: str, which: str | Name, *, fields: Iterable[str] | None = None
    ) -> Resource:
        """An object by uuid or name: its properties and references."""
        return _resource(type_, await self.read_fields(type_, which, fields=fields))

    async def get(self, cls: type[R], which: str | Name) -> R:
        """An object of a class of the model."""
        resource = await self.read(_type_name(cls), which)
        assert isinstance(resource, cls)
        return resource

    async def read_fields(
        self,
        type_: str,
        which: str | Name,
        *,
        fields: Iterable[str] | None = None,
        computed: bool = False,
    ) -> Json:
        """An object as the server shows it; with children and back-references if ``computed``."""
        uuid = await self._uuid(type_, which)
        query = {} if computed else {"exclude_children": "true", "exclude_back_refs": "true"}
        if fields is not None:
            query["fields"] = ",".join(fields)
        return _inner(await self._json("GET", f"/{type_}/{uuid}", query=query), type_)

    async def read_tagged(self, type_: str, which: str | Name) -> tuple[Resource, str]:
        """An object, and its entity tag for ``match``; empty from servers that tell none."""
        path = f"/{type_}/{await self._uuid(type_, which)}"
        query = {"exclude_children": "true", "exclude_back_refs": "true"}
        data, tag = await self._exchange("GET", path, query=query)
        return _resource(type_, _inner(_object(data, f"GET {path}"), type_)), tag

    async def update(
        self,
        type_: str,
        which: str | Name,
        fields: Mapping[str, Any] | Resource,
        *,
        match: str = "",
    ) -> None:
        """Change an object: only what ``fields`` has; None removes a property.

        With ``match``, an entity tag, only if nobody changed it since: 412 (:data:`CHANGED`).
        """
        uuid = await self._uuid(type_, which)
        said = to_fields(fields) if isinstance(fields, Resource) else msgspec.to_builtins(fields)
        body = {type_: _with_attrs(type_, said)}
        await self._exchange("PUT", f"/{type_}/{uuid}", body, match=match)

    async def delete(self, type_: str, which: str | Name, *, match: str = "") -> None:
        """Delete an object; with ``match`` only if nobody changed it since, as :meth:`update`."""
        uuid = await self._uuid(type_, which)
        await self._exchange("DELETE", f"/{type_}/{uuid}", match=match)

    async def list(
        self,
        type_: str,
        *,
        parent: str | Name | None = None,
        refers_to: Iterable[str] | None = None,
        uuids: Iterable[str] | None = None,
        filters: Mapping[str, Any] | None = None,
        names_only: bool = False,
    ) -> list[Resource]:
        """The objects of a type: all, or those below a parent, that refer to any of some
        objects, of some uuids, or that have certain values of properties.

        With ``names_only`` nothing of them is filled in but ``uuid`` and ``fq_name``.
        """
        query: Json = {"type": type_, "detail": not names_only}
        if parent is not None:
            key = "parent_id" if isinstance(parent, str) else "parent_fq_name_str"
            query[key] = parent if isinstance(parent, str) else ":".join(parent)
        if refers_to is not None:
            query["back_ref_id"] = ",".join(refers_to)
        if uuids is not None:
            query["obj_uuids"] = ",".join(uuids)
        if filters:
            query["filters"] = ",".join(
                f"{key}=={msgspec.json.encode(value).decode()}" for key, value in filters.items()
            )
        answer = await self._json("POST", "/list-bulk-collection", query)
        if names_only:
            return [
                _resource(type_, {"uuid": one.get("uuid"), "fq_name": one.get("fq_name")})
                for one in _list(answer, f"{type_}s")
            ]
        return [_resource(type_, _inner(one, type_)) for one in _list(answer, f"{type_}s")]

    async def count(self, type_: str) -> int:
        """How many objects of a type there are."""
        answer = await self._json("GET", f"/{type_}s", query={"count": "true"})
        return int(_inner(answer, f"{type_}s").get("count", 0))

    # -- names and references ---------------------------------------------------------------

    async def id_of(self, type_: str, fq_name: Name) -> str:
        """The uuid of the object of this type and name."""
        body = {"type": type_, "fq_name": [*fq_name]}
        return _text(await self._json("POST", "/fqname-to-id", body), "uuid")

    async def name_of(self, uuid: str) -> tuple[str, tuple[str, ...]]:
        """The type and name of the object with this uuid."""
        answer = await self._json("POST", "/id-to-fqname", {"uuid": uuid})
        return _text(answer, "type"), tuple(answer.get("fq_name") or ())

    async def ref_update(
        self,
        type_: str,
        uuid: str,
        ref_type: str,
        ref: str | Name,
        *,
        operation: Literal["ADD", "DELETE"] = "ADD",
        attr: Any = None,
    ) -> None:
        """Add a reference to an object, or take it away; ``ref`` is the target's uuid or name."""
        body = {
            "type": type_,
            "uuid": uuid,
            "ref-type": ref_type,
            "ref-uuid": ref if isinstance(ref, str) else None,
            "ref-fq-name": None if isinstance(ref, str) else [*ref],
            "operation": operation,
            "attr": msgspec.to_builtins(attr),
        }
        await self._json("POST", "/ref-update", body)

    # -- many at once, plans, the past ------------------------------------------------------

    async def apply(
        self,
        documents: Sequence[Json],
        *,
        delete: Sequence[Json] = (),
        owner: str = "",
        prune: bool = False,
    ) -> Sequence[Json]:
        """Make the configuration say what documents (``{type: fields}``) say, all or nothing.

        ``owner`` marks the objects as its own; ``prune`` deletes what has its mark and is not
        among them. What became of each: ``type``, ``fq_name``, ``uuid`` and ``result``.
        """
        body = _asked(documents, delete, owner, prune)
        return _list(await self._offered("POST", "/apply", body), "objects")

    async def plan(
        self,
        documents: Sequence[Json],
        *,
        delete: Sequence[Json] = (),
        owner: str = "",
        prune: bool = False,
        compiling: bool = True,
    ) -> Json:
        """What :meth:`apply` would change, and what would be compiled from it."""
        body = {**_asked(documents, delete, owner, prune), "compile": compiling}
        return await self._offered("POST", "/plan", body)

    async def plan_operations(self, operations: Sequence[Json]) -> Json:
        """What ``POST /transaction`` would change, and what would be compiled from it."""
        return await self._offered("POST", "/plan", {"operations": [*operations]})

    async def history(
        self,
        type_: str | None = None,
        which: str | Name | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
        since: str | None = None,
        until: str | None = None,
    ) -> Json:
        """The newest changes of all objects, of a type, or of one object.

        ``before`` is a revision, ``since`` and ``until`` are times of ISO 8601.
        """
        query = {"limit": str(limit), **_which(which)}
        query |= {k: v for k, v in (("since", since), ("until", until)) if v is not None}
        if type_ is not None:
            query["type"] = type_
        if before is not None:
            query["before"] = str(before)
        return await self._offered("GET", "/history", query=query)

    async def past(
        self, type_: str, at: int | str, which: str | Name | None = None
    ) -> Sequence[Resource]:
        """The objects of a type, or one of them, as they stood at a revision or a time."""
        query = {"type": type_, "revision" if isinstance(at, int) else "time": str(at)}
        answer = await self._offered("GET", "/past", query={**query, **_which(which)})
        return [_resource(type_, _inner(one, type_)) for one in _list(answer, f"{type_}s")]

    async def healthy(self) -> bool:
        """Whether the server answers and is ready."""
        try:
            await self._request("GET", "/healthz")
        except ClientError:
            return False
        return True

    # -- changes ----------------------------------------------------------------------------

    async def watch(self, *types: str, after: int | None = None) -> AsyncGenerator[Watched, None]:
        """The objects of some types and then every change of them, until the server ends it.

        With ``after`` only the changes after that revision. Raises Unreachable when the
        connection breaks; a new watch may begin after the last revision seen.
        """
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        query = {"resource_type": ",".join(types)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout.total)
        try:
            async with self._open().get(
                f"{self._url}/watch",
                params=query,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                await _refuse(response, "GET /watch")
                reached = after or 0
                async for name, revision, data in _events(response.content):
                    if name == "stop":
                        return
                    changes = _changes(name, reached, data)
                    for one in changes[:-1]:
                        yield one
                    reached = revision or reached
                    for one in changes[-1:]:
                        yield replace(one, revision=reached)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"watch of {self._url} broke: {error}") from error

    # -- requests ---------------------------------------------------------------------------

    async def _uuid(self, type_: str, which: str | Name) -> str:
        return which if isinstance(which, str) else await self.id_of(type_, which)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"User-Agent": "tungsten"}
            if self._token:
                headers["X-Auth-Token"] = self._token
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, read_bufsize=1 << 20, headers=headers
            )
        return self._session

    async def _request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> bytes:
        return (await self._exchange(method, path, body, query))[0]

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        match: str = "",
    ) -> tuple[bytes, str]:
        """The body of an answer and its entity tag; ``match`` is sent as ``If-Match``."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        if match:
            headers["If-Match"] = match
        what = f"{method} {path}"
        try:
            async with self._open().request(
                method,
                self._url + path,
                data=data,
                params=query,
                headers=headers,
                allow_redirects=False,
            ) as response:
                await _refuse(response, what)
                return await response.read(), response.headers.get("ETag", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error).replace(" ssl:default", "") or type(error).__name__
            raise Unreachable(f"{what} at {self._url}: {reason}") from error

    async def _offered(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Json:
        """As :meth:`_json`, for what upstream's servers do not have. Raises NotOffered."""
        try:
            return await self._json(method, path, body, query)
        except ApiError as error:
            if error.status not in (404, 405):
                raise
            links = _list(await self._json("GET", "/"), "links")
            hrefs = [str((one.get("link") or {}).get("href")) for one in links]
            if any(href.endswith(path) for href in hrefs):
                raise
            raise NotOffered(error.status, f"the server at {self._url} has no {path}") from error

    async def _json(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Json:
        return _object(await self._request(method, path, body, query), f"{method} {path}")


def _object(data: bytes, what: str) -> Json:
    """The JSON object of an answer to ``what``."""
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise UnexpectedAnswer(f"{what}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnexpectedAnswer(f"{what}: not a JSON object")
    return value


async def _refuse(response: aiohttp.ClientResponse, what: str) -> None:
    """Raise ApiError unless the answer is a success."""
    if not 200 <= response.status < 300:
        text = (await response.read()).decode("utf-8", "replace")
        if text.lstrip().startswith("<"):  # a page, of a proxy or of another kind of server
            text = response.reason or "refused"
        raise ApiError(response.status, text, what)


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, int, bytes]]:
    """Server-sent events as (name, id, data)."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        if len(buffer) > MAX_EVENT:
            raise UnexpectedAnswer(f"an event of a watch is larger than {MAX_EVENT} bytes")
        while (end := buffer.find(b"\n\n")) >= 0:
            fields = dict(
                line.split(b": ", 1) for line in bytes(buffer[:end]).split(b"\n") if b": " in line
            )
            del buffer[: end + 2]
            if b"event" in fields:
                number = int(fields.get(b"id", b"0"))
                yield fields[b"event"].decode(), number, fields.get(b"data", b"{}")


def _changes(name: str, revision: int, data: bytes) -> list[Watched]:
    """What one event reports."""
    try:
        (key, value), *_ = msgspec.json.decode(data, type=dict[str, Any]).items()
    except (msgspec.DecodeError, ValueError) as error:
        raise UnexpectedAnswer(f"an event of a watch cannot be read: {error}") from error
    match name:
        case "init":
            kind = key[:-1]
            shown = [_inner(element, kind) for element in value]
            return [
                Watched("init", kind, _text(one, "uuid"), _resource(kind, one), revision)
                for one in shown
            ]
        case "create" | "update":
            return [Watched(name, key, _text(value, "uuid"), _resource(key, value), revision)]
        case "delete":
            return [Watched("delete", key, _text(value, "uuid"), None, revision)]
        case _:
            return []


def _type_name(cls: type[Resource]) -> str:
    return type_of(cls()).name


def _asked(documents: Sequence[Json], delete: Sequence[Json], owner: str, prune: bool) -> Json:
    """The body of apply and plan; what is not asked for is left out, older servers know less."""
    body: Json = {"apply": [*documents], "delete": [*delete]}
    if owner:
        body["owner"] = owner
    if prune:
        body["prune"] = True
    return body


def _which(which: str | Name | None) -> dict[str, str]:
    """An object in a query, by uuid or name."""
    if which is None:
        return {}
    return {"uuid": which} if isinstance(which, str) else {"fq_name_str": ":".join(which)}


def _list(answer: Mapping[str, Any], key: str) -> list[Json]:
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnexpectedAnswer(f"no {key} in the answer")
    return found


def _inner(answer: Mapping[str, Any], key: str) -> Json:
    inner = answer.get(key)
    if not isinstance(inner, dict):
        raise UnexpectedAnswer(f"no {key} in the answer")
    return inner


def _text(answer: Mapping[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise UnexpectedAnswer(f"no {key} in the answer")
    return value


def _with_attrs(type_: str, fields: Json) -> Json:
    """Fields whose references say ``attr`` where the link can say something, null included."""
    said = dict(fields)
    for name, reference in resource_type(type_).references.items():
        refs = said.get(name)
        if reference.attr is not None and isinstance(refs, list):
            said[name] = [{"attr": None, **ref} if isinstance(ref, dict) else ref for ref in refs]
    return said


def _resource(type_: str, fields: Json) -> Resource:
    try:
        return decode(type_, fields, strict=False)
    except ValidationError as error:
        raise UnexpectedAnswer(f"the server's {type_} cannot be read: {error}") from error
