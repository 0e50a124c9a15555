"""Taking over the objects of upstream's database (:mod:`tungsten.api.upstream_dump`).

Objects, their references and what they hold (ids, addresses, route target numbers, the texts of
``useragent-kv``) become records and claims for an empty store. What the dump says twice is taken
from one place: parents and references from the objects, never from ``children:``, ``backref:``
or the tables of names and shares; ids and addresses from the objects that have them; route
target numbers from the schema transformer's table, failing that from Zookeeper.

Nothing is dropped in silence. A :class:`Finding` says what was *left out* and why, what was
*changed*, and what the dump contradicts itself in (*noticed*) without loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tungsten.api import bodies, pairs, relaxing, user_agent
from tungsten.api.claims import due
from tungsten.api.errors import ApiFault
from tungsten.api.ids import SECURITY_GROUP_IDS, VIRTUAL_NETWORK_IDS, IdSpace
from tungsten.api.takeover_rows import fill_in_from, references_of, resource_of
from tungsten.api.upstream_dump import Dump, Row
from tungsten.compiler.pools import POOLS
from tungsten.model import (
    RESOURCE_TYPES,
    ROOT,
    Project,
    Resource,
    SecurityGroup,
    VirtualNetwork,
)
from tungsten.store.backup import Item, refuse_filled
from tungsten.store.base import ClaimTaken, Snapshot, number_key
from tungsten.store.overlay import Overlay
from tungsten.store.records import to_record

TYPES = {declared.object_type: declared for declared in RESOURCE_TYPES.values()}

LEFT_OUT, CHANGED, NOTICED = "left out", "changed", "noticed"

#: Where Zookeeper has route target numbers.
_TARGET_NODES = "/id/bgp/route-targets/"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of a dump that was not simply taken: how it was met, of what, and why."""

    kind: str
    about: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.why}"


@dataclass(slots=True)
class Takeover:
    """What a dump becomes, and what of it does not."""

    items: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def take(snapshot: Snapshot, dump: Dump) -> Takeover:
    """What to fill a store with, of which ``snapshot`` is. Raises BackupError: it has objects."""
    refuse_filled(snapshot)
    return _Taking(Overlay(snapshot), dump).run()


class _Taking:
    """One run: ``taken`` are the rows that become objects, by uuid."""

    def __init__(self, overlay: Overlay, dump: Dump) -> None:
        self._overlay = overlay
        self._dump = dump
        self._taken: dict[str, Row] = {}
        self._parents: dict[str, Row | None] = {}
        self._resources: dict[str, Resource] = {}
        self._result = Takeover()

    def run(self) -> Takeover:
        for note in self._dump.notes:
            self._tell(LEFT_OUT, "the dump", note)
        self._select()
        self._find_parents()
        for row in self._taken.values():
            self._resources[row.uuid] = self._resource(row)
        self._refer()
        numbers = dict(self._target_numbers())
        for resource in self._resources.values():
            source = self._source_of_target(resource, numbers)
            self._overlay.create(to_record(resource, source))
        self._overlay.commit()
        self._claim(numbers)
        self._overlay.commit()
        self._look_at_repetitions()
        self._result.items = [
            Item(record, tuple(self._overlay.owned_claims(record.uuid)))
            for name in RESOURCE_TYPES
            for record in self._overlay.records(name)
        ]
        return self._result

    def _tell(self, kind: str, about: str | Row, why: str) -> None:
        if isinstance(about, Row):
            name = ":".join(about.fq_name) or "without a name"
            about = f"{about.type or 'a row'} {name} ({about.uuid})"
        self._result.findings.append(Finding(kind, about, why))

    # Which rows.

    def _select(self) -> None:
        by_name: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)
        for row in sorted(self._dump.rows.values(), key=lambda row: row.uuid):
            why = self._unfit(row)
            if why:
                self._tell(LEFT_OUT, row, why)
            else:
                by_name[row.type, tuple(row.fq_name)].append(row)
        for (type_, name), rows in by_name.items():
            named = self._dump.names.get((type_, ":".join(name)))
            chosen = next((row for row in rows if row.uuid == named), rows[0])
            self._taken[chosen.uuid] = chosen
            for row in rows:
                if row is not chosen:
                    self._tell(LEFT_OUT, row, f"{chosen.uuid} has its name, and is the one named")

    @staticmethod
    def _unfit(row: Row) -> str:
        """Why a row is no object; empty when it is one."""
        missing = [name for name in ("type", "fq_name") if not getattr(row, name)]
        missing += [] if isinstance(row.properties.get("id_perms"), dict) else ["id_perms"]
        if missing:
            return f"it has no {' and no '.join(missing)}"
        if row.type not in TYPES:
            return "its type is not known"
        if not bodies.is_uuid(row.uuid):
            return "its key is no uuid"
        try:
            bodies.fq_name(row.fq_name)
        except ApiFault as fault:
            return fault.text
        return ""

    # Where they are.

    def _find_parents(self) -> None:
        """Find each row's parent; a row without one goes, and what is below it."""
        by_name = {(row.type, tuple(row.fq_name)): row for row in self._taken.values()}
        by_their_name: dict[str, str] = {}
        gone = True
        while gone:
            gone = False
            for row in list(self._taken.values()):
                parent, why = self._parent(row, by_name)
                self._parents[row.uuid] = parent
                if why:
                    del self._taken[row.uuid]
                    del by_name[row.type, tuple(row.fq_name)]
                    self._tell(LEFT_OUT, row, why)
                    gone = True
                elif parent is not None and not row.parents:
                    by_their_name[row.uuid] = parent.uuid
        for uuid, parent_uuid in by_their_name.items():
            if uuid in self._taken:
                row = self._taken[uuid]
                self._tell(CHANGED, row, f"it is put below {parent_uuid}, as its name says")

    def _parent(
        self, row: Row, by_name: dict[tuple[str, tuple[str, ...]], Row]
    ) -> tuple[Row | None, str]:
        """A row's parent, or why it cannot be."""
        allowed = TYPES[row.type].parents
        for type_, uuid in row.parents:
            parent = self._taken.get(uuid)
            if parent is None or parent.type != type_:
                return None, f"its parent {type_} {uuid} is not there"
            if parent.fq_name != row.fq_name[:-1]:
                return None, f"its name is not below that of its parent {':'.join(parent.fq_name)}"
            if TYPES[type_].name not in allowed:
                return None, f"a {type_} cannot be its parent"
            return parent, ""
        if len(row.fq_name) == 1:
            below_root = not allowed or ROOT in allowed
            return None, "" if below_root else "it has no parent"
        for name in allowed:
            found = by_name.get((name.replace("-", "_"), tuple(row.fq_name[:-1])))
            if found is not None and row.parent_type in (None, name):
                return found, ""
        return None, "its parent is not there"

    # What they say.

    def _resource(self, row: Row) -> Resource:
        declared = TYPES[row.type]
        resource = resource_of(declared, row, lambda why: self._tell(LEFT_OUT, row, why))
        parent = self._parents[row.uuid]
        if parent is not None:
            resource.parent_type = TYPES[parent.type].name
            resource.parent_uuid = parent.uuid
        return resource

    def _refer(self) -> None:
        kept: set[frozenset[str]] = set()

        def find(type_: str, uuid: str) -> Row | None:
            row = self._taken.get(uuid)
            return row if row is not None and row.type == type_ else None

        projects = {
            tuple(one.fq_name): one for one in self._resources.values() if isinstance(one, Project)
        }
        for uuid, resource in self._resources.items():
            row = self._taken[uuid]
            declared = TYPES[row.type]

            def tell(why: str, row: Row = row) -> None:
                self._tell(LEFT_OUT, row, why)

            for name, refs in references_of(declared, row, find, tell).items():
                if declared.references[name].symmetric:
                    # Both ends say it; the first keeps it.
                    pairs_ = [(ref, frozenset((uuid, ref.uuid))) for ref in refs]
                    setattr(resource, name, [ref for ref, pair in pairs_ if pair not in kept])
                    kept |= {pair for _, pair in pairs_}
                else:
                    setattr(resource, name, refs)
            fill_in_from(resource, projects.get(tuple(row.fq_name[:2])))

    # What they hold.

    def _target_numbers(self) -> Iterator[tuple[int, str]]:
        """(number, network) of the route targets that networks were given."""
        instances = {
            ":".join(row.fq_name): row
            for row in self._taken.values()
            if row.type == "routing_instance"
        }
        said = {int(path.rpartition("/")[2]): name for path, name in self._target_nodes()}
        of_table = {number: name for name, number in self._dump.targets.items()}
        for number in sorted(said.keys() & of_table.keys()):
            if said[number] != of_table[number]:
                why = f"Zookeeper says {said[number]}, the table says {of_table[number]}"
                self._tell(NOTICED, f"route target {number}", why)
        for number, name in sorted({**said, **of_table}.items()):
            instance = instances.get(name)
            network = None if instance is None else self._parents[instance.uuid]
            if instance is None or network is None:
                self._tell(LEFT_OUT, f"route target {number}", f"of {name}, which is not there")
            elif instance.fq_name[-1] == network.fq_name[-1]:
                yield number, network.uuid

    def _target_nodes(self) -> Iterator[tuple[str, str]]:
        for path, name in self._dump.nodes.items():
            if _TARGET_NODES in path and path.rpartition("/")[2].isdecimal():
                yield path, name

    def _source_of_target(self, resource: Resource, numbers: dict[int, str]) -> str:
        """The provenance of a route target that a network was given; else nothing."""
        if self._taken[resource.uuid].type != "route_target":
            return ""
        number = resource.fq_name[0].rpartition(":")[2]
        network = numbers.get(int(number)) if number.isascii() and number.isdigit() else None
        return f"virtual-network:{network}" if network else ""

    def _claim(self, numbers: dict[int, str]) -> None:
        overlay = self._overlay
        for number, network in numbers.items():
            pool = next((p for p in POOLS.values() if p.low <= number < p.high), None)
            if pool is not None:
                overlay.claim(pool.space, number_key(number), network)
        waiting = [uuid for uuid, one in self._resources.items() if not self._hold(uuid, one)]
        for uuid in waiting:
            self._give_another(uuid, self._resources[uuid])
        for row in self._taken.values():
            for holder in row.relaxed:
                edges = record.edges if (record := overlay.get(holder)) is not None else ()
                if any(edge.target == row.uuid for edge in edges):
                    relaxing.note(overlay, holder, row.uuid)
        for key, value in self._dump.pairs.items():
            try:
                pairs.put(overlay, user_agent.SPACE, key, value)
            except ApiFault as fault:
                self._tell(LEFT_OUT, f"the text kept as {key[:80]}", fault.text)

    def _hold(self, uuid: str, resource: Resource) -> bool:
        """Claim what an object has; False when it needs another id."""
        try:
            wanted = due(self._overlay, resource)
        except ApiFault as fault:
            self._tell(LEFT_OUT, self._taken[uuid], f"its claim: {fault.text}")
            return True
        ids = _ids(resource)
        own = None if ids is None else getattr(resource, ids[1])
        needs = ids is not None and own is None
        for one in wanted:
            try:
                self._overlay.claim(one.space, one.key, uuid)
            except ClaimTaken as taken:
                if own is not None and one.key == number_key(own):
                    needs = True
                else:
                    why = f"{one.what} is held by {taken.owner} already"
                    self._tell(LEFT_OUT, self._taken[uuid], why)
        return not needs

    def _give_another(self, uuid: str, resource: Resource) -> None:
        space = _ids(resource)
        assert space is not None
        ids, name = space
        before = getattr(resource, name)
        number = ids.allocate(self._overlay, uuid)
        setattr(resource, name, number)
        record = self._overlay.get(uuid)
        assert record is not None
        self._overlay.update(to_record(resource, record.provenance))
        why = f"it has no {ids.what}" if before is None else f"{ids.what} {before} is another's"
        self._tell(CHANGED, self._taken[uuid], f"{why}, so it gets {number}")

    # What the dump repeats.

    def _look_at_repetitions(self) -> None:
        """Tell where what is derived in the dump contradicts the objects."""
        for (type_, name), uuid in self._dump.names.items():
            if uuid not in self._dump.rows:
                self._tell(NOTICED, f"{type_} {name}", f"its name leads to {uuid}, which is gone")
        for row in self._dump.rows.values():
            for type_, uuid in row.back_references:
                other = self._dump.rows.get(uuid)
                if other is None or all(target != row.uuid for _, target, _ in other.references):
                    self._tell(NOTICED, row, f"{type_} {uuid} does not refer to it")
            for type_, uuid in row.children:
                if uuid not in self._dump.rows:
                    self._tell(NOTICED, row, f"its child {type_} {uuid} is not there")


def _ids(resource: Resource) -> tuple[IdSpace, str] | None:
    """The ids that an object of this type has one of, and the property that says it."""
    match resource:
        case VirtualNetwork():
            return VIRTUAL_NETWORK_IDS, "virtual_network_network_id"
        case SecurityGroup():
            return SECURITY_GROUP_IDS, "security_group_id"
        case _:
            return None
