"""The compiled core as the classes of :mod:`tungsten.control.tables` and what belongs to them.

Tables, routes and paths live in C++; what is here are views, made when somebody looks. A
:class:`~tungsten.control.tables.Route` names its table and key and asks for its paths each time.
Attributes that the core holds are decoded by :mod:`tungsten.bgp` when somebody looks at them, and
kept as long as somebody does, and the last of them a while longer; attributes from Python are
encoded once for each distinct set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary, ref

from tungsten.bgp.attributes import (
    Context,
    PathAttributes,
    decode_attributes,
    encode_attributes,
    split_block,
)
from tungsten.bgp.families import EVPN, INET, INET6, Family
from tungsten.control.instances import Instance, Instances
from tungsten.control.paths import ATTRIBUTES, Path, PathFlag, PathIdentity, Protocol, Source, rank
from tungsten.control.replication import Replication
from tungsten.control.routing_policy import RoutingPolicy, Speaker, TablePolicy
from tungsten.control.tables import (
    BATCH,
    MASTER,
    MASTER_TABLES,
    VRF_FAMILIES,
    Listener,
    Rib,
    Route,
    Table,
)

from . import _core

if TYPE_CHECKING:
    from tungsten.control.bgp_ribout import BgpRibOut
    from tungsten.control.bgp_routes import Exporter, TakingPolicy

    from .speaking import UpdateReader

_CANONICAL = Context(internal=True, four_octet_as=True)
_SOURCES_AT_FIRST = 64
_RECENT = 1024
#: What becomes of all that a source has said (``Rib::Which``).
_EVERY, _STALE_ONLY, _MAKE_STALE = range(3)


class CompiledRoute(Route):
    """A route by its table and key; it reads its paths from the core whenever asked."""

    __slots__ = ()
    table: CompiledTable

    def __init__(self, table: CompiledTable, key: bytes) -> None:
        self.table = table
        self.key = key

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CompiledRoute) and self.key == other.key and self.table is other.table
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __getattr__(self, name: str) -> Any:
        """The fields that the core keeps: they are never set here."""
        table = self.table
        match name:
            case "paths":
                return table.rib.views.paths(table.number, self.key)
            case "replicas":
                return {
                    (copy.table, copy.key, path.identity): path
                    for copy, path in table.rib.copies(self)
                }
            case "targets":
                return frozenset()
        raise AttributeError(name)


class _Listeners(list[Listener]):
    """The listeners of a table; the core tells of changes only where there are some."""

    def __init__(self, table: CompiledTable) -> None:
        super().__init__()
        self._table = table

    def append(self, listener: Listener) -> None:
        super().append(listener)
        self._follow()

    def remove(self, listener: Listener) -> None:
        super().remove(listener)
        self._follow()

    def _follow(self) -> None:
        if self._table.number:
            self._table.rib.core.set_listened(self._table.number, bool(self))


class CompiledTable(Table):
    """A table of the core. ``number`` is 0 once it is gone; then it is empty."""

    rib: CompiledRib

    def __init__(self, rib: CompiledRib, name: str, family: Family, instance: str) -> None:
        self.rib = rib
        self.name = name
        self.family = family
        self.instance = instance
        self.number = rib.core.add_table(name, *family, self.is_vpn)
        self.listeners: list[Listener] = _Listeners(self)
        self.policy = None

    def __getattr__(self, name: str) -> Any:
        if name == "inclusive":
            keys = self.rib.core.inclusive_keys(self.number)
            return {key: CompiledRoute(self, key) for key in keys}
        if name == "contributing":
            return set(self.rib.core.contributing(self.number))
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self)} routes)"

    def __len__(self) -> int:
        return self.rib.core.table_size(self.number)

    def get(self, key: bytes) -> Route | None:
        """The route of a key."""
        return CompiledRoute(self, key) if self.rib.core.exists(self.number, key) else None

    def routes(self) -> Iterator[Route]:
        """All routes, in no promised order."""
        return (CompiledRoute(self, key) for key in self.rib.core.table_keys(self.number))

    def add(self, key: bytes, path: Path) -> None:
        """Take a path, in place of the one with its identity if there is one.

        ``ValueError`` if the table is gone.
        """
        rib = self.rib
        origin_table, origin_key = rib.origin(path.origin)
        rib.core.add(
            self.number,
            key,
            rib.views.source(path.source),
            rib.views.handle(path.attributes),
            path.label,
            path.label2,
            path.rd,
            path.path_id,
            path.flags.value,
            origin_table,
            origin_key,
            path.sub_protocol,
            path.esi,
            path.modified,
        )
        rib.tell_marked()

    def remove(self, key: bytes, identity: PathIdentity) -> bool:
        """Take back a path by its identity; False when there was none."""
        source, path_id, origin = identity
        rib = self.rib
        number = rib.views.source(source)
        removed = rib.core.remove(self.number, key, number, path_id, *rib.origin(origin))
        rib.tell_marked()
        return removed

    def set_contributing(self, key: bytes, contributing: bool) -> None:
        """Whether a route only makes up an aggregate, which is told in its place."""
        if self.number:
            self.rib.core.set_contributing(self.number, key, contributing)
            self.rib.tell_marked()

    def set_policies(self, policies: tuple[RoutingPolicy, ...], sub_cluster: bytes = b"") -> None:
        """Have routing policies judge its paths, those that are there and those to come."""
        if not self.number or not (policies or self.policy):
            return
        policy = self.policy = TablePolicy(self.family, policies, sub_cluster)
        conditions = [
            [(each.length, each.least, each.most, each.address) for each in prefixes]
            for prefixes in policy.conditions
        ]
        rib = ref(self.rib)

        def judge(
            number: int, source: int, sub_protocol: str, replicated: bool, fits: bytes
        ) -> _core.AttributesHandle | None:
            alive = rib()
            assert alive is not None, "a core that is asked for nothing asks for nothing"
            views = alive.views
            speaker = Speaker(views.source_of(source).protocol, sub_protocol, replicated)
            said = views.attributes(number)
            verdict = policy.judge(said, speaker, int.from_bytes(fits, "little"))
            return None if verdict.rejected else views.handle(verdict.attributes)

        self.rib.core.set_policy(self.number, conditions, judge if policies else None)
        self.rib.tell_marked()

    def purge(self, route: Route) -> None:
        """Nothing: the core forgets routes without paths."""


@dataclass(slots=True)
class _Known:
    """A source that the core knows, and what it was told of it."""

    number: int
    told: tuple[object, ...] = ()
    #: Readers that speak for it.
    readers: WeakSet[UpdateReader] = field(default_factory=WeakSet)


class Views:
    """Numbers of the core as objects of Python, and back."""

    def __init__(self, core: _core.Core, tables: dict[int, CompiledTable]) -> None:
        self._core = core
        self._tables = tables
        self._handles: WeakKeyDictionary[PathAttributes, _core.AttributesHandle]
        self._handles = WeakKeyDictionary()
        self._attributes: WeakValueDictionary[int, PathAttributes] = WeakValueDictionary()
        #: The last that were decoded: routes that share attributes are looked at together.
        self._recent: deque[PathAttributes] = deque(maxlen=_RECENT)
        self._known: dict[Source, _Known] = {}
        self._sources: dict[int, Source] = {}
        self._tidy_at = _SOURCES_AT_FIRST
        self._flags = {0: PathFlag.NONE}

    # --- attributes

    def handle(self, attributes: PathAttributes) -> _core.AttributesHandle:
        """The core's name of attributes; encoded once for each distinct set."""
        handle = self._handles.get(attributes)
        if handle is None:
            handle = self._core.intern(attributes.next_hop, encode_attributes(attributes))
            self._handles[attributes] = handle
            self._attributes[handle.number] = attributes
        return handle

    def attributes(self, number: int) -> PathAttributes:
        """Attributes by the core's name of them."""
        known = self._attributes.get(number)
        if known is None:
            next_hop, block = self._core.attributes(number)
            decoded, _ = decode_attributes(split_block(block), _CANONICAL, next_hop)
            known = ATTRIBUTES.intern(decoded)
            self._handles[known] = self._core.hold(number)
            self._attributes[number] = known
            self._recent.append(known)
        return known

    # --- sources

    def source(self, source: Source) -> int:
        """The number of a source; the core is told what has changed of it."""
        known = self._known.get(source)
        if known is None:
            known = self._register(source)
        now = (source.name, source.protocol, source.external, source.address, source.router_id)
        if now != known.told:
            known.told = now
            self._core.set_source(
                known.number,
                source.name,
                rank(source),
                source.protocol is Protocol.BGP,
                source.is_local,
                source.external,
                source.address,
                source.router_id,
            )
        return known.number

    def reads_for(self, source: Source, reader: UpdateReader) -> int:
        """The number of a source, which stays as long as a reader lives."""
        number = self.source(source)
        self._known[source].readers.add(reader)
        return number

    def source_of(self, number: int) -> Source:
        """The source of a number."""
        return self._sources[number]

    def _register(self, source: Source) -> _Known:
        if len(self._known) >= self._tidy_at:
            self._tidy()
        known = self._known[source] = _Known(self._core.add_source())
        self._sources[known.number] = source
        return known

    def _tidy(self) -> None:
        """Forget sources of which nothing is left."""
        for source, known in list(self._known.items()):
            if not known.readers and not self._core.source_references(known.number):
                self._core.forget_source(known.number)
                del self._known[source], self._sources[known.number]
        self._tidy_at = max(_SOURCES_AT_FIRST, 2 * len(self._known))

    # --- paths

    def paths(self, table: int, key: bytes) -> list[Path]:
        """The paths of a route, best first."""
        return [
            Path(
                self._sources[source],
                self.attributes(attributes),
                label,
                label2,
                rd,
                path_id,
                self.flags(flags),
                None if origin is None else (self._tables[origin[0]].name, origin[1]),
                sub_protocol,
                esi,
                modified,
                None if original is None else self.attributes(original),
            )
            for (
                source,
                attributes,
                label,
                label2,
                rd,
                path_id,
                flags,
                origin,
                sub_protocol,
                esi,
                modified,
                original,
            ) in self._core.paths(table, key)
        ]

    def flags(self, value: int) -> PathFlag:
        """Flags by their number."""
        flags = self._flags.get(value)
        if flags is None:
            flags = self._flags[value] = PathFlag(value)
        return flags


class CompiledRib(Rib):
    """All tables, in the core."""

    tables: dict[str, Table]
    find_run = staticmethod(_core.update_run_end)

    def __init__(self) -> None:
        self.core = _core.Core()
        self.tables = {}
        self.replicator = None
        self.on_marked = None
        self._numbered: dict[int, CompiledTable] = {}
        self.views = Views(self.core, self._numbered)
        for name, family in MASTER_TABLES.items():
            self._make_table(name, family, MASTER)
        vpn = [self.number(self.vpn_table(family)) for family in (INET, INET6, EVPN)]
        self.core.set_vpn_tables(*vpn)

    def _make_table(self, name: str, family: Family, instance: str) -> CompiledTable:
        table = CompiledTable(self, name, family, instance)
        self.tables[name] = self._numbered[table.number] = table
        return table

    @staticmethod
    def number(table: Table) -> int:
        """The core's number of a table."""
        assert isinstance(table, CompiledTable)
        return table.number

    def origin(self, origin: tuple[str, bytes] | None) -> tuple[int, bytes]:
        """An origin as the core names it: number 0 for none. ``ValueError`` without its table."""
        if origin is None:
            return 0, b""
        table = self.tables.get(origin[0])
        if table is None:
            raise ValueError(f"a path's origin is in table {origin[0]}, which does not exist")
        return self.number(table), origin[1]

    def copies(self, route: CompiledRoute) -> Iterator[tuple[CompiledRoute, Path]]:
        """The copies of a route: where each is, and the path there."""
        origin = (route.table.name, route.key)
        for number, key, source, path_id in self.core.replicas(route.table.number, route.key):
            copy = CompiledRoute(self._numbered[number], key)
            path = copy.find((self.views.source_of(source), path_id, origin))
            if path is not None:
                yield copy, path

    # --- tables

    def vrf_table(self, instance: str, family: Family) -> Table:
        """The table of an instance and family (inet, inet6, evpn), made when missing."""
        suffix = VRF_FAMILIES[family]
        name = suffix if instance == MASTER else f"{instance}.{suffix}"
        table = self.tables.get(name)  # an empty one is false
        return table if table is not None else self._make_table(name, family, instance)

    def remove_table(self, table: Table) -> None:
        """Empty a table of what was said in it, and forget it once its copies are gone."""
        assert isinstance(table, CompiledTable)
        self.core.remove_primaries(table.number)
        self.process()
        if not len(table):
            self.core.drop_table(table.number)
            del self.tables[table.name], self._numbered[table.number]
            table.number = 0

    # --- marking

    def tell_marked(self) -> None:
        """Tell the owner if there is work now and was none before."""
        if self.core.take_armed() and self.on_marked is not None:
            self.on_marked()

    def mark(self, route: Route) -> None:
        """A route is to be looked at again."""
        self.core.mark(self.number(route.table), route.key)
        self.tell_marked()

    def mark_table(self, table: Table) -> None:
        """All routes of a table are to be looked at again."""
        self.core.mark_table(self.number(table))
        self.tell_marked()

    @property
    def is_settled(self) -> bool:
        """Whether no route waits to be dealt with."""
        return self.core.settled()

    # --- all of a source

    def _in(self, tables: Collection[Table] | None) -> tuple[bool, list[int]]:
        return tables is None, [self.number(table) for table in tables or ()]

    def spoken(self, source: Source, tables: Collection[Table] | None = None) -> list[Route]:
        """Routes that a source speaks of, in some tables or all."""
        found = self.core.spoken(self.views.source(source), *self._in(tables))
        return [CompiledRoute(self._numbered[number], key) for number, key in found]

    def path_count(self, source: Source) -> int:
        """How many primary paths a source has."""
        return self.core.path_count(self.views.source(source))

    def _leave(self, source: Source, tables: Collection[Table] | None, which: int) -> int:
        """Begin what :meth:`process` ends: the routes of a neighbour may be a million."""
        count = self.core.leave(self.views.source(source), *self._in(tables), which)
        self.tell_marked()
        return count

    def drop(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw all that a source has said; how many paths."""
        return self._leave(source, tables, _EVERY)

    def stale(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Flag all that a source has said as stale; it stays in use."""
        return self._leave(source, tables, _MAKE_STALE)

    def sweep(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw what a source said before it was lost and has not said again."""
        return self._leave(source, tables, _STALE_ONLY)

    # --- work

    def process(self, limit: int | None = None) -> bool:
        """Deal with marked routes, or with about ``limit`` of them; whether all are done."""
        done, core = 0, self.core
        while not core.settled() and (limit is None or done < limit):
            size = BATCH if limit is None else limit
            done += size
            told = core.process_batch(size)
            if told:
                self._tell(told)
        core.take_armed()
        return core.settled()

    def _tell(self, told: list[tuple[int, list[bytes]]]) -> None:
        """Bring a batch to the listeners of its tables."""
        try:
            for number, keys in told:
                table = self._numbered[number]
                routes: list[Route] = [CompiledRoute(table, key) for key in keys]
                for listener in list(table.listeners):
                    listener.routes_changed(table, routes)
        finally:
            self.core.finish_batch()

    # --- what belongs to it

    def replication_for(self, instances: Instances) -> Replication:
        """Who copies its routes between instances."""
        return CompiledReplication(self, instances)

    def bgp_rib_out(
        self,
        table: Table,
        exporter: Exporter,
        is_client: Callable[[Source], bool],
        on_work: Callable[[], None],
    ) -> BgpRibOut:
        """What neighbours of one policy are told of a table."""
        from .speaking import CompiledRibOut

        return CompiledRibOut(self, table, exporter, is_client, on_work)

    def update_reader(self, source: Source, policy: TakingPolicy) -> UpdateReader:
        """Who takes a neighbour's UPDATE messages, whole runs of them."""
        from .speaking import UpdateReader

        return UpdateReader(self, source, policy)


class CompiledReplication(Replication):
    """Replication by the core: it is told of instances, and what to look at again."""

    def __init__(self, rib: CompiledRib, instances: Instances) -> None:
        super().__init__(rib, instances)
        self._compiled = rib
        self._numbers: dict[Instance, int] = {}

    def follow(self, instance: Instance) -> None:
        """An instance is new, or its configuration changed."""
        core, number = self._compiled.core, self._numbers.get(instance)
        if number is None:
            tables = [instance.tables.get(family) for family in (INET, INET6, EVPN)]
            numbers = [0 if table is None else self._compiled.number(table) for table in tables]
            number = core.add_instance(instance.is_master, *numbers)
            self._numbers[instance] = number
        config = instance.config
        core.configure_instance(
            number, list(config.imports), list(config.exports), config.network_index
        )

    def forget(self, instance: Instance) -> None:
        """An instance is gone."""
        number = self._numbers.pop(instance, None)
        if number is not None:
            self._compiled.core.drop_instance(number)

    def replicate(self, route: Route) -> None:
        """Have a route looked at again: the core copies by itself."""
        self._compiled.mark(route)

    def reconsider_target(self, target: bytes) -> None:
        """Someone's use of a route target changed."""
        self._compiled.core.reconsider_target(target)
        self._compiled.tell_marked()

    def reconsider_table(self, table: Table) -> None:
        """The configuration of a table's instance changed."""
        self._compiled.mark_table(table)

    def set_reachability_check(self, check: bool) -> None:
        """Whether copies into VRFs wait for a host route of the fabric to their next hop."""
        self._compiled.core.set_reachability_check(check)
        self._compiled.tell_marked()

    def set_asn(self, asn: int) -> None:
        """The AS number of this node changed."""
        self._compiled.core.set_asn(asn)
        super().set_asn(asn)

    @property
    def targets(self) -> set[bytes]:
        """Route targets that routes carry."""
        return self._compiled.core.live_targets()
