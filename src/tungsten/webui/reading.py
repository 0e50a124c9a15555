"""What the web UI's calls read: objects by uuid, and lists as the API's collections give them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tungsten.api import objects, queries
from tungsten.api.access_lists import Call
from tungsten.api.bodies import Json
from tungsten.api.engine import Engine, Showing
from tungsten.api.errors import BadRequest, echo
from tungsten.api.queries import ListQuery
from tungsten.api.views import Hrefs
from tungsten.model import RESOURCE_TYPES, ResourceType
from tungsten.webui import forms
from tungsten.webui.entrance import Admit

DETAILS = "detail_fields"
OWN = ("type", "fq_name", DETAILS)
"""Members of a question that are not those of a list of the API."""


class Reader:
    """Reads for one visitor; ``base`` begins hrefs."""

    def __init__(self, engine: Engine, admit: Admit, base: str, page: int) -> None:
        self._engine = engine
        self._admit = admit
        self._hrefs = Hrefs(base)
        self._page = page

    async def objects(self, body: Any) -> list[Json]:
        """``get-config-objects``: objects by type and uuid, in the order asked for."""
        asked = [
            (forms.type_in(one, f"data[{at}]"), uuid)
            for at, one in enumerate(forms.listed(forms.whole(body).get("data"), "data"))
            for uuid in forms.strings(one.get("uuid"), f"data[{at}].uuid")
        ]
        if len(asked) > forms.MOST:
            raise BadRequest(f"Bad Request, data names more than {forms.MOST} objects")
        return [await self._show(declared, uuid) for declared, uuid in asked]

    async def lists(self, body: Any, *, detail: bool) -> list[Json]:
        """``get-config-list``, ``get-config-details``: a list for each question, in order."""
        found = []
        for at, one in enumerate(forms.listed(forms.whole(body).get("data"), "data")):
            declared = _collection(one, f"data[{at}]")
            wanted = one.get(DETAILS)
            details = forms.strings(wanted, f"data[{at}].{DETAILS}") if detail and wanted else []
            answer = await self._list(declared, self._query(one, detail))
            for field in details:
                await self._embed(declared, answer, field)
            found.append(answer)
        return found

    async def _ask(self, path: str) -> None:
        call = Call(path, "R", {}, {})
        await self._engine.read(lambda snapshot: self._admit(snapshot, call))

    async def _show(self, declared: ResourceType, uuid: str) -> Json:
        await self._ask(f"/{declared.name}/{uuid}")
        how = Showing(self._hrefs, None, with_children=True, with_back_references=True)
        return {declared.name: await self._engine.show(declared, uuid, how)}

    def _query(self, one: Json, detail: bool) -> ListQuery:
        known = {key: value for key, value in one.items() if key not in OWN}
        if one.get("fq_name") is not None:
            known["fq_names"] = [one["fq_name"]]
        return queries.from_body({**known, "detail": detail, "count": False}, self._page)

    async def _list(self, declared: ResourceType, query: ListQuery) -> Json:
        await self._ask(f"/{declared.name}s")
        return await self._engine.list(declared, query, self._hrefs)

    async def _embed(self, declared: ResourceType, answer: Json, field: str) -> None:
        """Add to each object, under ``detail_fields``, the objects that a field of it names."""
        target = _target(declared, field)
        shown = [one[declared.name] for one in answer[f"{declared.name}s"]]
        uuids = tuple(sorted({ref["uuid"] for one in shown for ref in _links(one.get(field))}))
        if not uuids:
            return
        found = await self._list(target, ListQuery(obj_uuids=uuids, detail=True))
        named = {one[target.name]["uuid"]: one for one in found[f"{target.name}s"]}
        for one in shown:
            there = [named[ref["uuid"]] for ref in _links(one.get(field)) if ref["uuid"] in named]
            if there:
                one.setdefault(DETAILS, {})[field] = there


def _collection(one: Json, where: str) -> ResourceType:
    name = one.get("type")
    if not isinstance(name, str) or not name.endswith("s"):
        raise BadRequest(f"Bad Request, {where}.type must be the plural of a type: {echo(name)}")
    return objects.typed_any(name[:-1])


def _links(value: Any) -> Iterable[Json]:
    return [one for one in value or [] if isinstance(one, dict) and "uuid" in one]


def _target(declared: ResourceType, field: str) -> ResourceType:
    """The type of what a field of references, of children or of referrers names."""
    reference = declared.references.get(field)
    name = reference.target if reference is not None else field.removesuffix("_back_refs")
    if field in declared.children:
        name = field[:-1]
    target = RESOURCE_TYPES.get(name.replace("_", "-"))
    if target is None:
        raise BadRequest(f"Bad Request, {DETAILS}: {declared.name} has no links {echo(field)}")
    return target
