"""The client for callers without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

from tungsten.client.client import Client, Json, Name
from tungsten.model import Resource

T = TypeVar("T")
R = TypeVar("R", bound=Resource)


class BlockingClient:
    """What :class:`~tungsten.client.Client` does, each call waiting for its answer.

    It runs an event loop of its own, so it cannot be used where one is running already.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, token: str = "") -> None:
        self._client = Client(url, timeout=timeout, token=token)
        self._runner = asyncio.Runner()

    def __enter__(self) -> BlockingClient:
        """Nothing is sent before the first request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections and the event loop; the client is done."""
        self._run(self._client.close())
        self._runner.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def create(self, resource: Resource) -> str:
        """Create an object; returns its uuid."""
        return self._run(self._client.create(resource))

    def read(self, type_: str, which: str | Name) -> Resource:
        """An object by uuid or name."""
        return self._run(self._client.read(type_, which))

    def get(self, cls: type[R], which: str | Name) -> R:
        """An object of a class of the model."""
        return self._run(self._client.get(cls, which))

    def read_fields(self, type_: str, which: str | Name, *, computed: bool = False) -> Json:
        """An object as the server shows it."""
        return self._run(self._client.read_fields(type_, which, computed=computed))

    def read_tagged(self, type_: str, which: str | Name) -> tuple[Resource, str]:
        """An object, and its entity tag for ``match``; empty from servers that tell none."""
        return self._run(self._client.read_tagged(type_, which))

    def update(
        self,
        type_: str,
        which: str | Name,
        fields: Mapping[str, Any] | Resource,
        *,
        match: str = "",
    ) -> None:
        """Change an object: only what ``fields`` has; None removes a property.

        With ``match``, an entity tag, only if nobody changed it since: 412.
        """
        self._run(self._client.update(type_, which, fields, match=match))

    def delete(self, type_: str, which: str | Name, *, match: str = "") -> None:
        """Delete an object; with ``match`` only if nobody changed it since."""
        self._run(self._client.delete(type_, which, match=match))

    def list(
        self,
        type_: str,
        *,
        parent: str | Name | None = None,
        refers_to: Iterable[str] | None = None,
        uuids: Iterable[str] | None = None,
        filters: Mapping[str, Any] | None = None,
        names_only: bool = False,
    ) -> list[Resource]:
        """The objects of a type; see :meth:`~tungsten.client.Client.list`."""
        return self._run(
            self._client.list(
                type_,
                parent=parent,
                refers_to=refers_to,
                uuids=uuids,
                filters=filters,
                names_only=names_only,
            )
        )

    def apply(
        self,
        documents: Sequence[Json],
        *,
        delete: Sequence[Json] = (),
        owner: str = "",
        prune: bool = False,
    ) -> Sequence[Json]:
        """Make the configuration say what documents say, all or nothing."""
        call = self._client.apply(documents, delete=delete, owner=owner, prune=prune)
        return self._run(call)

    def plan(
        self,
        documents: Sequence[Json],
        *,
        delete: Sequence[Json] = (),
        owner: str = "",
        prune: bool = False,
        compiling: bool = True,
    ) -> Json:
        """What :meth:`apply` would change, and what would be compiled from it."""
        call = self._client.plan(
            documents, delete=delete, owner=owner, prune=prune, compiling=compiling
        )
        return self._run(call)

    def plan_operations(self, operations: Sequence[Json]) -> Json:
        """What ``POST /transaction`` would change, and what would be compiled from it."""
        return self._run(self._client.plan_operations(operations))

    def history(
        self,
        type_: str | None = None,
        which: str | Name | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
        since: str | None = None,
        until: str | None = None,
    ) -> Json:
        """The newest changes of all objects, of a type, or of one object."""
        call = self._client.history(
            type_, which, before=before, limit=limit, since=since, until=until
        )
        return self._run(call)

    def past(
        self, type_: str, at: int | str, which: str | Name | None = None
    ) -> Sequence[Resource]:
        """The objects of a type, or one of them, as they stood at a revision or a time."""
        return self._run(self._client.past(type_, at, which))

    def healthy(self) -> bool:
        """Whether the server answers and is ready."""
        return self._run(self._client.healthy())

    def id_of(self, type_: str, fq_name: Name) -> str:
        """The uuid of the object of this type and name."""
        return self._run(self._client.id_of(type_, fq_name))

    def name_of(self, uuid: str) -> tuple[str, tuple[str, ...]]:
        """The type and name of the object with this uuid."""
        return self._run(self._client.name_of(uuid))

    def ref_update(
        self,
        type_: str,
        uuid: str,
        ref_type: str,
        ref: str | Name,
        *,
        operation: Literal["ADD", "DELETE"] = "ADD",
        attr: Any = None,
    ) -> None:
        """Add a reference to an object, or take it away."""
        self._run(
            self._client.ref_update(type_, uuid, ref_type, ref, operation=operation, attr=attr)
        )
