"""BGP neighbours of the control node: their routes into the tables, and the tables' to them.

:class:`BgpPeers` keeps a :class:`Neighbor` for each configured peering and one
:class:`~tungsten.control.bgp_ribout.BgpRibOut` for each table and export policy in use.

In. A neighbour's routes become primary paths of its source in the master instance's tables;
replication takes them on to the instances that import their route targets. When the session is
lost its routes go at once, or, if the neighbour can restart gracefully, stay as stale until it
has said everything again (End-of-RIB), or the restart time is over.

Out. A neighbour that comes up joins the RIB-outs of its families; when it has been told all of
one it gets that family's End-of-RIB. If it constrains route targets, the VPN families wait until
its wishes are known (its End-of-RIB for them, or 30 s). A neighbour whose socket is full is
passed over until it has drained.

Every refusal is counted per neighbour (``counters``) under its reason.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from tungsten.bgp.errors import CeaseError, ErrorCode, ProtocolError, UsageError
from tungsten.bgp.families import ERM_VPN, ROUTE_TARGET, Family
from tungsten.bgp.fsm import Down
from tungsten.bgp.messages import Keepalive, Notification, RouteRefresh, encode_message, shutdown
from tungsten.bgp.negotiation import Negotiated
from tungsten.bgp.nlri import Nlri, UnknownEvpn
from tungsten.bgp.nlri import RouteTarget as Wish
from tungsten.bgp.transport import Peer, Speaker
from tungsten.bgp.update import Reach, Unreach, Update, pack_end_of_rib

from .bgp_complaints import Complaints
from .bgp_config import (
    TABLES,
    BgpDefaults,
    NeighborConfig,
    OwnBgp,
    neighbor_configs,
    own_bgp,
    packed_address,
)
from .bgp_long_lived import make_long_lived
from .bgp_ribout import BgpRibOut
from .bgp_routes import (
    Exporter,
    ExportPolicy,
    TakingPolicy,
    Unusable,
    path_flags,
    read_route,
    taken_attributes,
)
from .bgp_targets import OwnWishes, Wishes
from .config_graph import ConfigGraph
from .instances import Instances
from .paths import ATTRIBUTES, Protocol, Source
from .tables import Rib, Table
from .tree_tables import before_trees

if TYPE_CHECKING:
    from .core.speaking import UpdateReader

WISHES_TIME = 30.0
_KEEPALIVE = encode_message(Keepalive())
_log = structlog.get_logger("tungsten.control")


class Neighbor:
    """One neighbour: handler of its session and member of RIB-outs."""

    def __init__(self, owner: BgpPeers, config: NeighborConfig) -> None:
        self.owner = owner
        self.config = config
        session = config.peer.session
        self.source = Source(
            session.name,
            Protocol.BGP,
            packed_address(config.peer.address),
            external=not session.internal,
        )
        self.peer: Peer | None = None
        self.counters: Counter[str] = Counter()
        self.complaints = Complaints(session.name, self.counters)
        self.families: frozenset[Family] = frozenset()
        self.wishes: Wishes | None = None
        self.flaps = 0
        self.flapped_at = 0.0
        self.own = owner.own
        self._wishes_due = 0.0
        self._unfinished: set[Family] = set()
        self._stale: dict[Family, float] = {}
        self._long_lived: dict[Family, float] = {}
        self._answering: set[Family] = set()
        self._marks_answers = False
        self._held: Counter[Family] = Counter()
        #: Families of which it has said four fifths of what it may.
        self.near_limit: set[Family] = set()
        self._told = False
        self._reader: UpdateReader | None = None

    @property
    def name(self) -> str:
        """The neighbour's name."""
        return self.config.name

    @property
    def is_unfinished(self) -> bool:
        """Whether it has not been told all of some family."""
        return bool(self._unfinished)

    @property
    def is_client(self) -> bool:
        """Whether we reflect to and from it (RFC 4456): all but other reflectors."""
        return not self.config.reflector

    @property
    def route_count(self) -> int:
        """How many routes it has said in this session."""
        return self._held.total()

    def table(self, family: Family) -> Table:
        """The table of a family."""
        return self.owner.rib.tables[TABLES[family]]

    # --- Handler

    def up(self, peer: Peer, negotiated: Negotiated) -> None:
        """Take the neighbour's routes, and tell it ours."""
        self.source.router_id = negotiated.router_id
        self.source.joins_trees = ERM_VPN in negotiated.families
        self.families = negotiated.families
        self._held.clear()
        self._unfinished = set(negotiated.families)
        self._answering.clear()
        self._marks_answers = negotiated.enhanced_refresh
        restart, last = negotiated.graceful_restart, negotiated.long_lived
        kept = {f for f, forwarding in restart.families if forwarding} if restart else set()
        if last is not None:
            outlasted = self._stale.keys() - self._long_lived.keys()
            kept |= {f for f, forwarding, _ in last.families if forwarding and f in outlasted}
        for family in [family for family in self._stale if family not in kept]:
            self._sweep(family)
        self._long_lived.clear()
        now = self.owner.now()
        for family in self._stale:
            self._stale[family] = now + self.owner.end_of_rib_time
        self.wishes = Wishes() if ROUTE_TARGET in negotiated.families else None
        self._wishes_due = now + WISHES_TIME
        self._reader = self.owner.rib.update_reader(
            self.source,
            TakingPolicy(
                self.owner.own,
                self.config,
                negotiated.four_octet_as,
                {family: self.table(family) for family in negotiated.families},
            ),
        )
        self.owner.joined(self, negotiated)

    def find_run(self, data: bytes, at: int) -> int:
        """Where a run of UPDATE messages ends (RunReader); without a reader they come singly.

        So do messages that may be about replication trees, which no reader reads.
        """
        if self._reader is None:
            return at
        end = self.owner.find_run(data, at)
        return before_trees(data, at, end) if self.source.joins_trees else end

    def updates(self, peer: Peer, run: bytes) -> ProtocolError | None:
        """Routes of the neighbour, many messages at once (RunReader)."""
        if self._reader is None:
            return None
        result = self._reader.feed(run)
        peer.counters["updates_in"] += result.messages
        self.complaints.note(result)
        for afi, safi, change in result.held:
            self._held[Family(afi, safi)] += change
        if self.wishes is not None and result.wishes:
            for wanted, prefix in result.wishes:
                (self.wishes.add if wanted else self.wishes.remove)(Wish(prefix))
            self.owner.on_work()
        for afi, safi in result.ended:
            self._end_of_rib(Family(afi, safi))
        if result.error is not None:
            return ProtocolError(*result.error)
        if self.config.prefix_limits:
            self._check_limits(peer)
        return None

    def received(self, peer: Peer, message: Update | RouteRefresh) -> None:
        """Routes of the neighbour, or its wish to hear ours again."""
        if isinstance(message, RouteRefresh):
            self._refreshed(message)
            return
        self.complaints.count(message)
        for gone in message.unreach:
            for route, path_id in _numbered(gone):
                self._withdraw(gone.family, route, path_id)
        for news in message.reach:
            attributes = taken_attributes(news.attributes, self.config, news.family)
            flags = path_flags(attributes, self.owner.own, self.config)
            if flags:
                self.counters[str(flags.name).lower()] += len(news.routes)
            table = self.table(news.family)
            for route, path_id in _numbered(news):
                try:
                    path = read_route(route, attributes, flags, self.source, path_id)
                    self._admit(route)
                except Unusable as reason:
                    self.counters[str(reason)] += 1
                    self._withdraw(news.family, route, path_id)
                    continue
                if isinstance(route, Wish):
                    self._wish(table, route)
                self._held[news.family] += self._is_new(table, route, path_id)
                table.add(route.key, path)
        if message.end_of_rib is not None:
            self._end_of_rib(message.end_of_rib)
        if self.config.prefix_limits:
            self._check_limits(peer)

    def writable(self, peer: Peer) -> None:
        """Go on telling it."""
        self.owner.on_work()

    def down(self, peer: Peer, down: Down) -> None:
        """Forget its routes, or keep them for a while."""
        self.flaps += 1
        self.flapped_at = time.time()
        self.owner.left(self)
        self.wishes = None
        self._reader = None
        due = self.owner.now() + down.keep_time
        self._long_lived = {family: float(seconds) for family, seconds in down.long_lived}
        for family in self.families:
            if family in down.keep and family != ROUTE_TARGET:
                if self.owner.rib.stale(self.source, [self.table(family)]):
                    self._stale[family] = due
            else:
                self.owner.rib.drop(self.source, [self.table(family)])
        if self._stale:
            names = [str(family) for family in self._stale]
            _log.info("routes_kept", neighbor=self.name, families=names, seconds=down.keep_time)
        self.families = frozenset()
        self._held.clear()

    # --- its routes

    def _admit(self, route: Nlri) -> None:
        if isinstance(route, UnknownEvpn) and self.owner.own.cluster_id is None:
            raise Unusable("unknown EVPN type")

    def _is_new(self, table: Table, route: Nlri, path_id: int = 0) -> bool:
        known = table.get(route.key)
        path = known.find((self.source, path_id, None)) if known is not None else None
        return path is None or path.is_stale

    def _withdraw(self, family: Family, route: Nlri, path_id: int = 0) -> None:
        table = self.table(family)
        counted = not self._is_new(table, route, path_id)
        if table.withdraw(route.key, self.source, path_id):
            self._held[family] -= counted
            if isinstance(route, Wish) and self.wishes is not None:
                self.wishes.remove(route)
                self.owner.on_work()

    def _wish(self, table: Table, route: Wish) -> None:
        if self.wishes is not None and self._is_new(table, route):
            self.wishes.add(route)
            self.owner.on_work()

    def _refreshed(self, message: RouteRefresh) -> None:
        """It wants to hear a family again, or its answer to that begins or ends (RFC 7313)."""
        family = message.family
        if family not in self.families or message.subtype > 2:
            self.counters["route refresh ignored"] += 1
        elif message.subtype == 0:
            self.counters["route refresh received"] += 1
            self.owner.refresh(self, family)
            if self._marks_answers and family not in self._unfinished:
                self._answering.add(family)
                self._say(RouteRefresh(family, 1))
        elif message.subtype == 1 and family != ROUTE_TARGET:
            if self.owner.rib.stale(self.source, [self.table(family)]):
                self._held[family] = 0
                self._stale[family] = self.owner.now() + self.owner.end_of_rib_time
        elif message.subtype == 2 and family in self._stale:
            self._sweep(family)

    def _say(self, message: RouteRefresh) -> None:
        if self.peer is not None and self.peer.established:
            self.peer.send(encode_message(message))

    def _end_of_rib(self, family: Family) -> None:
        if family in self._stale:
            self._sweep(family)
        if family == ROUTE_TARGET:
            self._wishes_due = 0.0
            self.owner.on_work()

    def _sweep(self, family: Family) -> None:
        self._stale.pop(family, None)
        count = self.owner.rib.sweep(self.source, [self.table(family)])
        if count:
            _log.info("stale_routes_swept", neighbor=self.name, family=str(family), count=count)

    def _outlasted(self, family: Family, now: float) -> None:
        """The time of a family's stale routes is over; a long-lived one may follow."""
        seconds = self._long_lived.pop(family, 0.0)
        count = make_long_lived(self.owner.rib, self.source, self.table(family)) if seconds else 0
        if not count:
            self._sweep(family)
            return
        self._stale[family] = now + seconds
        names = {"neighbor": self.name, "family": str(family)}
        _log.warning("routes_long_lived", **names, count=count, seconds=seconds)

    def _check_limits(self, peer: Peer) -> None:
        for family, most, rest in self.config.prefix_limits:
            if self._held[family] > most:
                _log.error("prefix_limit", neighbor=self.name, family=str(family), limit=most)
                data = family.afi.to_bytes(2, "big") + bytes((family.safi,))
                data += most.to_bytes(4, "big")
                say = Notification(ErrorCode.CEASE, CeaseError.MAXIMUM_PREFIXES, data)
                peer.reset(say, rest)
                return
            near = self._held[family] * 5 >= most * 4
            if near and family not in self.near_limit:
                log = {"family": str(family), "count": self._held[family], "limit": most}
                _log.warning("prefix_limit_near", neighbor=self.name, **log)
            (self.near_limit.add if near else self.near_limit.discard)(family)

    def drop_all(self) -> None:
        """Forget everything it has said."""
        self._stale.clear()
        self._long_lived.clear()
        self.owner.rib.drop(self.source)

    def tick(self, now: float) -> None:
        """End what has waited too long."""
        for family in [family for family, due in self._stale.items() if now >= due]:
            self._outlasted(family, now)
        if self.wishes is not None and 0 < self._wishes_due <= now:
            self._wishes_due = 0.0
            self.owner.on_work()

    # --- Member

    def is_ready(self, family: Family) -> bool:
        """Whether it takes messages of a family now."""
        peer = self.peer
        if peer is None or not peer.established or not peer.writable:
            return False
        waits = self.wishes is not None and self._wishes_due > 0 and family.safi in (70, 128)
        return not waits

    @property
    def is_choosy(self) -> bool:
        """Whether it constrains route targets."""
        return self.wishes is not None

    def wants(self, targets: frozenset[bytes]) -> bool:
        """Whether it asked for routes with these route targets."""
        return self.wishes is None or self.wishes.wants(targets)

    def deliver(self, octets: bytes, messages: int) -> None:
        """Send it so many whole messages."""
        if self.peer is not None and self.peer.established:
            self.peer.send(octets)
            self.counters["updates sent"] += messages
            self._told = True

    def finish(self, outs: list[BgpRibOut], may_end: bool) -> None:
        """Say End-of-RIB for the families it has been told all of.

        After anything was said, a KEEPALIVE follows at once: some neighbours do not act on the
        last of a burst until they hear something more.
        """
        if may_end and self._unfinished:
            for out in outs:
                if out.family not in self._unfinished or not self.is_ready(out.family):
                    continue
                if not out.is_behind(self):
                    self._unfinished.discard(out.family)
                    self.deliver(pack_end_of_rib(out.family), 1)
        for out in outs:
            if out.family in self._answering and not out.is_behind(self):
                self._answering.discard(out.family)
                self._say(RouteRefresh(out.family, 2))
        if self._told and self.peer is not None and self.peer.established:
            self._told = False
            self.peer.send(_KEEPALIVE)


def _numbered(said: Reach | Unreach) -> Iterable[tuple[Nlri, int]]:
    """Routes with their path identifiers, 0 where none were negotiated."""
    return zip(said.routes, said.path_ids or (0,) * len(said.routes), strict=True)


class BgpPeers:
    """All BGP neighbours. ``on_work`` is called when :meth:`flush` has something to do."""

    def __init__(self, rib: Rib, instances: Instances, defaults: BgpDefaults) -> None:
        self.rib = rib
        self.instances = instances
        self.defaults = defaults
        self.own = OwnBgp(0, bytes(4))
        self.end_of_rib_time = 300.0
        self.startup_time = 0.0
        self.neighbors: dict[str, Neighbor] = {}
        self.speaker: Speaker | None = None
        self.on_work: Callable[[], None] = lambda: None
        self._outs: dict[tuple[Family, ExportPolicy], BgpRibOut] = {}
        self._joined: dict[Neighbor, list[BgpRibOut]] = {}
        self._by_source: dict[Source, Neighbor] = {}
        self._wishes = OwnWishes(rib.tables[TABLES[ROUTE_TARGET]], instances)
        self._started = 0.0
        self._wanted: list[NeighborConfig] = []

    def now(self) -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()

    async def start(self, host: str, port: int) -> None:
        """Listen (not with a negative port) and look for the neighbours configured so far."""
        self._started = self.now()
        speaker = Speaker(host, port, ATTRIBUTES)
        await speaker.start()
        self.speaker = speaker
        self._apply()

    async def stop(self) -> None:
        """Close all sessions; neighbours are told."""
        if self.speaker is not None:
            for address in list(self.speaker.peers):
                self.speaker.remove(address, shutdown("the control node stops"))
            await self.speaker.stop()
            self.speaker = None

    @property
    def port(self) -> int:
        """The port that neighbours connect to."""
        return self.speaker.port if self.speaker is not None else -1

    # --- configuration

    def configure(self, graph: ConfigGraph, name: str, asn: int, router_id: bytes) -> None:
        """Follow the configuration; a neighbour that changed is reset, others are left alone."""
        own = own_bgp(graph, name, asn, router_id)
        if own != self.own:
            self.own = own
            self._wishes.identify(own.asn, own.router_id)
        self._wanted = neighbor_configs(graph, name, own, self.defaults)
        self._apply()

    def _apply(self) -> None:
        if self.speaker is None:
            return
        wanted = {config.peer.address: config for config in self._wanted}
        for address, neighbor in list(self.neighbors.items()):
            if wanted.get(address) != neighbor.config or neighbor.own != self.own:
                self._remove(address, wanted.get(address))
        for address, config in wanted.items():
            if address not in self.neighbors:
                self._add(config)

    def _add(self, config: NeighborConfig) -> None:
        assert self.speaker is not None
        neighbor = Neighbor(self, config)
        restarting = self.own.restart_time > 0 and self._is_starting()
        session = replace(config.peer.session, restarting=restarting)
        peer_config = replace(config.peer, session=session)
        try:
            neighbor.peer = self.speaker.add(
                peer_config,
                neighbor,
                enabled=not config.admin_down,
                reader=neighbor if self.rib.find_run is not None else None,
            )
        except (UsageError, OSError) as error:
            _log.error("neighbor_unusable", neighbor=config.name, reason=str(error))
            return
        self.neighbors[config.peer.address] = neighbor
        self._by_source[neighbor.source] = neighbor
        _log.info("neighbor_added", neighbor=config.name, address=config.peer.address)

    def _remove(self, address: str, after: NeighborConfig | None) -> None:
        assert self.speaker is not None
        neighbor = self.neighbors.pop(address)
        if after is None:
            say = Notification(ErrorCode.CEASE, CeaseError.PEER_DECONFIGURED)
        elif after.admin_down:
            say = shutdown("administratively down")
        else:
            say = Notification(ErrorCode.CEASE, CeaseError.CONFIGURATION_CHANGE)
        self.speaker.remove(address, say)
        neighbor.drop_all()
        self._by_source.pop(neighbor.source, None)
        _log.info("neighbor_removed", neighbor=neighbor.name, address=address)

    def _is_starting(self) -> bool:
        return self.now() - self._started < self.startup_time

    # --- membership

    def joined(self, neighbor: Neighbor, negotiated: Negotiated) -> None:
        """A neighbour is up: it joins the RIB-outs of its families."""
        session = neighbor.config.peer.session
        outs = []
        for family in sorted(negotiated.families, key=lambda f: f != ROUTE_TARGET):
            policy = ExportPolicy(
                negotiated.internal,
                negotiated.four_octet_as,
                neighbor.is_client,
                session.local_as,
                0 if negotiated.internal else session.peer_as,
                neighbor.config.as_override,
                neighbor.config.private_as,
                neighbor.config.encapsulations_of(family),
                negotiated.long_lived is not None,
            )
            out = self._outs.get((family, policy))
            if out is None:
                out = self._outs[family, policy] = self.rib.bgp_rib_out(
                    self.rib.tables[TABLES[family]],
                    Exporter(family, policy, self.own),
                    self._is_client,
                    self.on_work,
                )
            out.join(neighbor)
            outs.append(out)
        self._joined[neighbor] = outs
        self.on_work()

    def left(self, neighbor: Neighbor) -> None:
        """A neighbour is down."""
        for out in self._joined.pop(neighbor, ()):
            out.leave(neighbor)
            if out.is_empty:
                out.close()
                self._outs.pop((out.family, out.exporter.policy), None)

    def refresh(self, neighbor: Neighbor, family: Family) -> None:
        """Tell a neighbour all of a family again."""
        for out in self._joined.get(neighbor, ()):
            if out.family == family:
                out.refresh(neighbor)

    def is_behind(self, neighbor: Neighbor) -> bool:
        """Whether something is still to be told to a neighbour."""
        return any(out.is_behind(neighbor) for out in self._joined.get(neighbor, ()))

    def find_run(self, data: bytes, at: int) -> int:
        """Where a run of UPDATE messages ends that begins at ``at``."""
        return self.rib.find_run(data, at) if self.rib.find_run is not None else at

    def _is_client(self, source: Source) -> bool:
        neighbor = self._by_source.get(source)
        return neighbor is not None and neighbor.is_client

    # --- work

    def flush(self) -> bool:
        """Send what neighbours are ready for; whether more can be sent at once."""
        for neighbor, outs in self._joined.items():
            if neighbor.wishes is not None and neighbor.wishes.changed != set():
                changed = neighbor.wishes.take_changed()
                for out in outs:
                    out.refilter(neighbor, changed)
        more = False
        for out in list(self._outs.values()):
            more = out.flush() or more
        may_end = self.own.restart_time == 0 or not self._is_starting()
        if self.rib.is_settled:
            for neighbor, outs in self._joined.items():
                neighbor.finish(outs, may_end)
        return more

    def tick(self, now: float) -> None:
        """Once a second."""
        for neighbor in self.neighbors.values():
            neighbor.tick(now)
        if any(neighbor.is_unfinished for neighbor in self._joined):
            self.on_work()
