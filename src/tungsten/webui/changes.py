"""The changes that one request makes: one transaction, each change a call of the caller's own.

What a form of the web UI asks for is several calls to the API: create this, then refer to it
there. Here they run inside one transaction, so they hold together or not at all, and each is
asked for as the same call to the API would be: the rules for its method, type and fields, then
what the object lets the caller do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from tungsten.api import actions, authority, objects, references, views
from tungsten.api.access_lists import Call
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo
from tungsten.api.transactions import Write
from tungsten.api.views import Hrefs
from tungsten.model import Resource, ResourceType, resource_type
from tungsten.store.base import Record
from tungsten.store.records import from_record
from tungsten.webui.entrance import Admit

R = TypeVar("R", bound=Resource)

SENT = ("fq_name", "parent_type", "uuid")
"""Members of a new object beside its properties and references."""


class Changes:
    """The changes of one run of one transaction; ``base`` begins hrefs."""

    def __init__(self, write: Write, admit: Admit, base: str) -> None:
        self.write = write
        self.base = base
        self._admit = admit
        self._deleted: set[str] = set()

    def _ask(self, path: str, letter: str, body: Json) -> None:
        self._admit(self.write.tx, Call(path, letter, body, {}))

    # -- looking ------------------------------------------------------------------------------

    def record(self, type_: str, uuid: str) -> Record:
        """A stored object of a type, for a caller who may read it. Raises NotFound, Forbidden."""
        record = objects.stored(self.write, objects.typed(type_), uuid)
        self._ask(f"/{type_}/{uuid}", "R", {})
        authority.require_record(self.write.tx, self.write.caller, record, authority.READ)
        return record

    def load(self, cls: type[R], type_: str, uuid: str) -> R:
        """:meth:`record` as a resource."""
        resource = from_record(self.record(type_, uuid))
        assert isinstance(resource, cls)
        return resource

    def named(self, type_: str, ref: Any, where: str) -> Record:
        """The object that a reference names by ``uuid`` or ``to`` (or ``fq_name``)."""
        if not isinstance(ref, dict):
            raise BadRequest(f"Bad Request, {where} must be an object, not {echo(ref)}")
        uuid, name = ref.get("uuid"), ref.get("to") or ref.get("fq_name")
        record = None
        if isinstance(uuid, str) and uuid:
            record = self.write.tx.get(uuid)
        elif isinstance(name, list) and name and all(isinstance(one, str) for one in name):
            record = self.write.tx.find(type_, tuple(name))
        seen = record is not None and authority.may_see(self.write.tx, self.write.caller, record)
        if record is None or record.type != type_ or not seen:
            raise BadRequest(
                f"Bad Request, {where} names {type_} {echo(uuid or name)}, which does not exist"
            )
        return record

    def holders(self, uuid: str, type_: str) -> list[Record]:
        """The objects of a type that refer to one."""
        return list(self.write.tx.referrers(uuid, type_))

    def seen_holders(self, uuid: str, type_: str) -> list[Record]:
        """Those of :meth:`holders` that the caller may see, and so may have sent or left out."""
        tx, caller = self.write.tx, self.write.caller
        return [one for one in self.holders(uuid, type_) if authority.may_see(tx, caller, one)]

    # -- changing -----------------------------------------------------------------------------

    def create(self, type_: str, fields: Json) -> Resource:
        """Create an object; its tags are set by ``set-tag``."""
        declared = objects.typed(type_)
        known = objects.known_fields(declared, fields, "create", True)
        tags = known.pop("tag_refs", None)
        sent = {**known, **{key: fields[key] for key in SENT if fields.get(key) is not None}}
        self._ask(f"/{type_}s", "C", {type_: sent})
        resource = objects.create(self.write, declared, sent)
        if tags is not None:
            self._set_tags(declared, resource, tags)
        return resource

    def update(self, type_: str, uuid: str, fields: Json) -> None:
        """Change what differs of an object; what is absent in ``fields`` stays."""
        declared = objects.typed(type_)
        record = self.record(type_, uuid)
        changed = difference(self.write, record, declared, fields)
        retag = "tag_refs" in changed
        tags = changed.pop("tag_refs", None)
        if changed:
            self._ask(f"/{type_}/{uuid}", "U", {type_: changed})
            objects.update(self.write, declared, uuid, changed)
        if retag:
            self._set_tags(declared, from_record(record), tags or [])

    def delete(self, type_: str, uuid: str) -> None:
        """Delete an object; one that went along with another already is no error."""
        if uuid in self._deleted:
            return
        self._ask(f"/{type_}/{uuid}", "D", {})
        objects.delete(self.write, objects.typed(type_), uuid, self.base)
        self._deleted.add(uuid)

    def is_deleted(self, uuid: str) -> bool:
        """Whether this request deleted an object already."""
        return uuid in self._deleted

    def link(self, holder: Record, target: Record) -> None:
        """Let an object refer to another."""
        self._ref_update(holder, target, "ADD")

    def unlink(self, holder: Record, target: Record) -> None:
        """Take the reference of an object to another away."""
        self._ref_update(holder, target, "DELETE")

    def _ref_update(self, holder: Record, target: Record, operation: str) -> None:
        body: Json = {
            "type": holder.type,
            "uuid": holder.uuid,
            "ref-type": target.type,
            "ref-uuid": target.uuid,
            "operation": operation,
        }
        self._ask("/ref-update", "C", body)
        actions.ref_update(self.write, body)

    def let_go(self, target: Record) -> None:
        """Take away the references to an object that keep it from being deleted."""
        for holder in list(self.write.tx.referrers(target.uuid)):
            declared = resource_type(holder.type).references
            keeps = any(
                edge.target == target.uuid
                and not edge.weak
                and not references.is_system_made(holder.type, declared[edge.field])
                for edge in holder.edges
            )
            if keeps and not holder.provenance:
                self.unlink(holder, target)

    # -- tags ---------------------------------------------------------------------------------

    def _set_tags(self, declared: ResourceType, resource: Resource, wanted: Any) -> None:
        if not isinstance(wanted, list):
            raise BadRequest(f"Bad Request, tag_refs must be a list, not {echo(wanted)}")
        held = {tuple(ref.to) for ref in resource.tag_refs}
        asked = {self.named("tag", ref, f"tag_refs[{at}]").fq_name for at, ref in enumerate(wanted)}
        if held == asked:
            return
        for words in _tag_changes(held, asked):
            body = {"obj_type": declared.name, "obj_uuid": resource.uuid, **words}
            self._ask("/set-tag", "C", body)
            actions.set_tag(self.write, body)


Name = tuple[str, ...]


def _tag_changes(held: set[Name], asked: set[Name]) -> Iterator[Json]:
    """What to say to ``set-tag``, in its order: first what goes, then what comes."""
    gone = {name[-1] for name in held - asked}
    for kind, values in sorted(_by_kind(gone).items()):
        yield {kind: {"delete_values": values}}
    # A value that goes in one scope goes in all of them: what stays in another is added again.
    come = {name for name in asked if name not in held or name[-1] in gone}
    for is_global in (True, False):
        scoped = {name[-1] for name in come if (len(name) == 1) is is_global}
        for kind, values in sorted(_by_kind(scoped).items()):
            yield {kind: {"is_global": is_global, "add_values": values}}


def _by_kind(names: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        kind, _, value = name.partition("=")
        found.setdefault(kind, []).append(value)
    return found


def difference(write: Write, record: Record, declared: ResourceType, fields: Json) -> Json:
    """The members of ``fields`` that say something else than the stored object does."""
    mirror = references.Mirror(write.tx, declared)
    shown = views.body(record, Hrefs("", wanted=False), mirror)
    known = objects.known_fields(declared, fields, "http_put", True)
    return {
        key: value
        for key, value in known.items()
        if not (
            _same_refs(value, shown.get(key, []))
            if key in declared.references
            else value == shown.get(key)
        )
    }


def _same_refs(sent: Any, shown: list[Json]) -> bool:
    """Whether references that a client sent are those of the object, in any order."""
    if sent is None:
        return not shown
    if not isinstance(sent, list) or len(sent) != len(shown):
        return False
    left = list(shown)
    for ref in sent:
        same = next((one for one in left if isinstance(ref, dict) and _same_ref(ref, one)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _same_ref(sent: Json, shown: Json) -> bool:
    target = sent["uuid"] == shown["uuid"] if sent.get("uuid") else sent.get("to") == shown["to"]
    return bool(target) and sent.get("attr") == shown.get("attr")
