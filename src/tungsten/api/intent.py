"""``POST /apply``: make the configuration say what some documents say, all or nothing.

A document is ``{"<type>": {...}}``, an object as the API shows it. It is found by its name: what
is not there is created, what is there gets the members that the document has, and nothing is
written where nothing differs. So what was read can be applied again, and what was applied once
changes nothing the second time. Members that a document leaves out stay as they are; null takes
a property away.

The request is ``{"apply": [document...], "delete": [document...]}``. Documents may come in any
order: parents and targets are created first, and where references run in a circle they are added
when both ends are there. References are by name; a ``uuid`` beside ``to`` is left aside, so that
documents can be taken to another installation. Deletions come last, what uses others first; what
is not there is no error. Everything is one transaction.

With ``"owner": NAME`` the objects are marked as that owner's, and with ``"prune": true`` as well,
what has the mark and is not among the documents is deleted (:mod:`tungsten.api.ownership`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tungsten.api import authority, bodies, drafts, objects, ownership
from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault, BadRequest, Conflict, echo
from tungsten.api.resources.security import rules_of
from tungsten.api.transactions import Write
from tungsten.compiler.rules import COMMON
from tungsten.model import (
    ResourceType,
    ValidationError,
    resource_type,
    to_fields,
    validate_property,
)
from tungsten.model.security import PolicyRuleType
from tungsten.store.base import Record
from tungsten.store.records import from_record

MOST = 10_000
"""Documents of one request."""

RULES = frozenset({"security_group_entries", "network_policy_entries"})
"""Properties whose rules are given uuids."""

GIVEN = {"security-group": frozenset({"security_group_id"}), "tag": frozenset({"tag_id"})}
"""Numbers that the system gives, beside the properties declared so; only here do they mean
anything.
"""

Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Document:
    """One object that is asked for."""

    declared: ResourceType
    fq_name: tuple[str, ...]
    fields: Json

    @property
    def key(self) -> Key:
        """Type and name."""
        return self.declared.name, self.fq_name

    def label(self) -> str:
        """Type and name as errors tell them."""
        return f"{self.declared.name} {':'.join(self.fq_name)}"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a request asks for. ``owner`` is empty when the objects are to be nobody's."""

    apply: tuple[Document, ...]
    delete: tuple[Document, ...]
    owner: str = ""
    prune: bool = False


def read(body: Json) -> Intent:
    """The intent in a request's body. Raises BadRequest, NotFound."""
    other = set(body) - {"apply", "delete", "compile", "owner", "prune"}
    if other:
        raise BadRequest(
            f"Bad Request, members are apply, delete, owner and prune, not {echo(sorted(other)[0])}"
        )
    owner, prune = ownership.read(body)
    intent = Intent(_documents(body, "apply"), _documents(body, "delete"), owner, prune)
    seen: set[Key] = set()
    for one in (*intent.apply, *intent.delete):
        if one.key in seen:
            raise BadRequest(f"Bad Request, {one.label()} is there twice")
        seen.add(one.key)
    return intent


def _documents(body: Json, member: str) -> tuple[Document, ...]:
    found = body.get(member, [])
    if not isinstance(found, list) or len(found) > MOST:
        raise BadRequest(f"Bad Request, {member} must be a list of at most {MOST} documents")
    return tuple(_document(each, f"{member}[{at}]") for at, each in enumerate(found))


def _document(document: Any, where: str) -> Document:
    if not isinstance(document, dict) or len(document) != 1:
        raise BadRequest(f'Bad Request, {where} must be {{"<type>": {{...}}}}')
    ((name, fields),) = document.items()
    declared = objects.typed_any(name)
    if not isinstance(fields, dict):
        raise BadRequest(f"Bad Request, {where} must be an object, not {echo(fields)}")
    return Document(declared, bodies.fq_name(fields.get("fq_name")), _by_name(declared, fields))


def _by_name(declared: ResourceType, fields: Json) -> Json:
    """The members of a document, with references by name wherever they have one."""
    taken = {key: value for key, value in fields.items() if key != "parent_uuid"}
    for key, value in fields.items():
        if key in declared.references and isinstance(value, list):
            said = {} if declared.references[key].attr is None else {"attr": None}
            taken[key] = [
                {**said, **{k: v for k, v in ref.items() if k != "uuid" or not ref.get("to")}}
                if isinstance(ref, dict)
                else ref
                for ref in value
            ]
        elif key in declared.references and value is None:
            taken[key] = []
    return taken


def run(write: Write, intent: Intent, base: str, *, drop: bool) -> list[Json]:
    """Do what is asked; what became of each document, in the order it was done."""
    run = _Run(write, drop, intent.owner)
    run.missing = {one.key for one in intent.apply if drafts.written(write.tx, *one.key) is None}
    results = []
    for one in _targets_first(intent.apply):
        with _Naming(one):
            results.append(run.apply(one))
    for one, fields in run.late:
        with _Naming(one):
            held = drafts.written(write.tx, *one.key)
            assert held is not None
            objects.update(write, one.declared, held.uuid, fields, drop=drop)
    pruned = {one.key: one for one in _no_longer_there(write, intent)}
    asked = {one.key: one for one in intent.delete}
    for one in reversed(_targets_first({**asked, **pruned}.values())):
        with _Naming(one):
            result = _delete(write, one, base)
            results.append({**result, "result": "pruned"} if one.key in pruned else result)
    return results


def _no_longer_there(write: Write, intent: Intent) -> Iterator[Document]:
    """What is the owner's and not among the documents, as documents."""
    if not intent.prune:
        return
    kept = {one.key for one in (*intent.apply, *intent.delete)}
    for record in list(ownership.owned(write.tx, intent.owner, write.caller.project_id)):
        theirs = not authority.may(write.tx, write.caller, from_record(record), authority.WRITE)
        if (record.type, record.fq_name) not in kept and not theirs:
            fields = msgspec.to_builtins(to_fields(from_record(record)))
            yield Document(resource_type(record.type), record.fq_name, fields)


class _Naming:
    """Says in a refusal which document was refused."""

    def __init__(self, document: Document) -> None:
        self._label = document.label()

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ApiFault):
            raise ApiFault(f"{self._label}: {error.text}", status=error.status) from error


def _result(one: Document, uuid: str | None, result: str) -> Json:
    return {"type": one.declared.name, "fq_name": [*one.fq_name], "uuid": uuid, "result": result}


@dataclass(slots=True)
class _Run:
    """Applying documents one after another.

    ``missing`` are those that are yet to be created, ``late`` the members that wait for them.
    """

    write: Write
    drop: bool
    owner: str
    missing: set[Key] = field(default_factory=set)
    late: list[tuple[Document, Json]] = field(default_factory=list)

    def apply(self, one: Document) -> Json:
        """Create or update an object; what became of it."""
        self.missing.discard(one.key)
        waiting = len(self.late)
        fields = self._now(one)
        held = drafts.written(self.write.tx, *one.key)
        if held is not None:
            authority.require_record(self.write.tx, self.write.caller, held, authority.WRITE)
        if self.owner:
            fields = ownership.marked(fields, held, self.owner)
        if held is None:
            fields = _without_given(one.declared, fields)
            made = objects.create(self.write, one.declared, fields, drop=self.drop)
            self._note(one)
            return _result(one, made.uuid, "created")
        asked = one.fields.get("uuid")
        in_force = self.write.tx.find(*one.key) or held
        if asked is not None and asked not in (held.uuid, in_force.uuid):
            raise Conflict(f"its uuid here is {in_force.uuid}, not {echo(asked)}")
        _keep_rule_uuids(held, fields)
        objects.update(self.write, one.declared, held.uuid, fields, drop=self.drop)
        self._note(one)
        stands = drafts.written(self.write.tx, *one.key)
        same = len(self.late) == waiting and stands == held
        return _result(one, held.uuid, "unchanged" if same else "updated")

    def _note(self, one: Document) -> None:
        tx = self.write.tx
        stands = tx.find(*one.key) or drafts.written(tx, *one.key)
        if self.owner and stands is not None:
            ownership.note(tx, stands, self.owner, self.write.caller)

    def _now(self, one: Document) -> Json:
        """The members that can be said now; those that must wait for their targets become late."""
        waiting = {name for name, target in _targets(one) if target in self.missing}
        if waiting:
            self.late.append((one, {name: one.fields[name] for name in sorted(waiting)}))
        return {
            key: [ref for ref in value if _named(one.declared, key, ref) not in self.missing]
            if key in waiting
            else value
            for key, value in one.fields.items()
        }


def _without_given(declared: ResourceType, fields: Json) -> Json:
    """The members of a new object less the numbers that the system gives out."""
    given = {name for name, one in declared.properties.items() if one.system_only}
    given |= GIVEN.get(declared.name, frozenset())
    return {key: value for key, value in fields.items() if key not in given - COMMON}


def _keep_rule_uuids(held: Record, fields: Json) -> None:
    """Rules that are there already keep the uuid that they were given.

    Otherwise a document whose rules have none would be a change each time.
    """
    for name in RULES & fields.keys():
        try:
            entries = validate_property(held.type, name, fields[name])
        except ValidationError:
            continue  # for the update to refuse
        stored = rules_of(getattr(from_record(held), name))
        known = {_without_uuid(rule): rule.rule_uuid for rule in stored}
        for rule in rules_of(entries):
            rule.rule_uuid = rule.rule_uuid or known.get(_without_uuid(rule))
        fields[name] = msgspec.to_builtins(entries)


def _without_uuid(rule: PolicyRuleType) -> bytes:
    bare = msgspec.structs.replace(rule, rule_uuid=None, created=None, last_modified=None)
    return msgspec.json.encode(bare)


def _delete(write: Write, one: Document, base: str) -> Json:
    held = write.tx.find(*one.key)
    if held is None:
        _require_place(write, one)
        return _result(one, None, "absent")
    objects.delete(write, one.declared, held.uuid, base)
    return _result(one, held.uuid, "deleted")


def _require_place(write: Write, one: Document) -> None:
    """That an object is not there is told to who may look where it would be.

    Otherwise names could be tried out: what is there and another's is refused.
    """
    for key in _parents(one):
        parent = write.tx.find(*key)
        if parent is not None:
            authority.require_record(write.tx, write.caller, parent, authority.WRITE)


# The order.


def _named(declared: ResourceType, field: str, ref: Any) -> Key | None:
    """Type and name of a reference's target; None for what is not by name."""
    to = ref.get("to") if isinstance(ref, dict) else None
    if not isinstance(to, list) or not all(isinstance(part, str) for part in to):
        return None
    return declared.references[field].target, tuple(to)


def _targets(one: Document) -> Iterator[tuple[str, Key]]:
    for name, value in one.fields.items():
        if name in one.declared.references and isinstance(value, list):
            for ref in value:
                key = _named(one.declared, name, ref)
                if key is not None:
                    yield name, key


def _parents(one: Document) -> Iterator[Key]:
    asked = one.fields.get("parent_type")
    for parent in one.declared.parents:
        if asked in (None, parent):
            yield parent, one.fq_name[:-1]


def _targets_first(documents: Iterable[Document]) -> list[Document]:
    """Each after its parent and after what it refers to, as far as references run one way."""
    by_key = {one.key: one for one in documents}
    done: dict[Key, Document] = {}
    entered: set[Key] = set()
    for first in by_key.values():
        # By hand, not by recursion: chains may be as long as a request.
        stack = [(first, False)]
        while stack:
            one, complete = stack.pop()
            if complete:
                done[one.key] = one
            elif one.key not in entered:
                entered.add(one.key)
                stack.append((one, True))
                # The parents last, so that they come off the stack first.
                before = [*(key for _, key in _targets(one)), *_parents(one)]
                stack += [(by_key[key], False) for key in before if key in by_key]
    return list(done.values())
