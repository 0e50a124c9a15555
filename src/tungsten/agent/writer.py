"""Writing wanted tables into the datapath, so that no packet meets a hole at any step.

The order is: ports; next hops, leaves before composites; then labels, VNIs, routes and bridge
entries; only then, in the opposite order, what is no longer wanted goes. At every step whatever
points at a next hop points at one that is there, and a next hop's port is there.

What the datapath holds is read once, when the writer is made; after that the writer is the only
one that changes it. What it found then is *inherited*. Until the agent knows everything again
after a restart it calls with ``complete=False``: then nothing inherited is removed, and inherited
routes, bridge entries and composites stay as they are, since a wanted table that is still
growing is poorer than what runs.

Beside the next hops goes the set of hosts that may send tunnels to this one: the ends of the
tunnels that are held, no more and no less. Labels and VNIs can be guessed, and nothing in a
tunnel says who built it, so a packet from a host that no route names is not let in.

A write that fails is reported and tried again by the next call; it does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol, TypeVar

import structlog

from tungsten.agent.program import FABRIC_VIF, PKT0_VIF, Tables
from tungsten.datapath.abi import NhType, VifType
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import BridgeEntry, NextHop, Route, Source, Vif
from tungsten.datapath.tables import Table

log = structlog.get_logger("tungsten.agent")

K = TypeVar("K")
V = TypeVar("V")


class Target(Protocol):
    """The datapath, as the writer uses it (:class:`tungsten.datapath.datapath.Datapath`)."""

    vifs: Any
    nexthops: Any
    labels: Any
    vnis: Any
    routes: Any
    bridge: Any
    sources: Any
    tunnel_sources: Any

    def attach_vif(self, vif: Vif) -> None: ...
    def attach_fabric(self, vif: Vif) -> None: ...
    def attach_pkt0(self, vif: Vif) -> None: ...
    def detach(self, vif_id: int) -> bool: ...
    def attached(self) -> dict[int, int]: ...
    def clear_vif_stats(self, vif_id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What an application did, in entries written and removed, and what failed."""

    written: int = 0
    removed: int = 0
    failures: tuple[str, ...] = ()


TABLES = ("labels", "vnis", "routes", "bridge")
_CAUTIOUS = ("routes", "bridge")


class Writer:
    """Brings a datapath from what it holds to what is wanted."""

    def __init__(self, datapath: Target) -> None:
        self._dp = datapath
        self.held = read_tables(datapath)
        self._peers: set[IPv4Address] = set(datapath.tunnel_sources)
        self._linked = datapath.attached()
        self._inherited: dict[str, set[Any]] = {
            name: set(getattr(self.held, name)) for name in ("vifs", "nexthops", "sources", *TABLES)
        }
        self._inherited["vifs"].update(self._linked)
        self._written = 0
        self._removed = 0
        self._failures: list[str] = []
        self._admit_peers()

    @property
    def inherited(self) -> int:
        """How many entries of an earlier run are still held on trust."""
        return sum(len(keys) for keys in self._inherited.values())

    def apply(self, wanted: Tables, complete: bool) -> Result:
        """Write what differs; remove what is not wanted, but nothing inherited until
        ``complete``."""
        self._written = self._removed = 0
        self._failures = []
        if complete:
            for keys in self._inherited.values():
                keys.clear()
        self._write_ports(wanted.vifs)
        self._write_nexthops(wanted.nexthops)
        self._admit_peers()
        for name in TABLES:
            self._put(name, getattr(self.held, name), getattr(wanted, name))
        self._add_sources(wanted.sources)
        self._remove(wanted)
        self._dismiss_peers()
        return Result(self._written, self._removed, tuple(self._failures))

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """Report an error of one write and go on: one bad entry must not stop the rest."""
        try:
            yield
        except (OSError, ValueError, KeyError) as error:
            self._failures.append(f"{what}: {error}")

    def _write_ports(self, wanted: Mapping[int, Vif]) -> None:
        for vif_id, vif in sorted(wanted.items()):
            linked = self._linked.get(vif_id) == vif.ifindex
            if linked and self.held.vifs.get(vif_id) == vif:
                continue
            with self._guard(f"vif {vif_id} on {vif.name}"):
                if vif_id not in self.held.vifs:
                    self._dp.clear_vif_stats(vif_id)
                self._attach(vif)
                self.held.vifs[vif_id] = vif
                self._linked[vif_id] = vif.ifindex
                self._written += 1

    def _attach(self, vif: Vif) -> None:
        if vif.type is VifType.PHYSICAL:
            self._dp.attach_fabric(vif)
        elif vif.type is VifType.AGENT:
            self._dp.attach_pkt0(vif)
        else:
            self._dp.attach_vif(vif)

    def _write_nexthops(self, wanted: Mapping[int, NextHop]) -> None:
        inherited = self._inherited["nexthops"]
        for number in nexthop_order(wanted):
            nexthop = wanted[number]
            if self.held.nexthops.get(number) == nexthop:
                continue
            if number in inherited and _poorer(nexthop):
                continue
            with self._guard(f"nexthop {number}"):
                self._dp.nexthops.put({number: nexthop})
                self.held.nexthops[number] = nexthop
                self._written += 1

    def _put(self, name: str, held: dict[K, V], wanted: Mapping[K, V]) -> None:
        table: Table[K, V] = getattr(self._dp, name)
        kept = self._inherited[name] if name in _CAUTIOUS else ()
        fresh = {
            key: value
            for key, value in wanted.items()
            if held.get(key) != value and key not in kept
        }
        if not fresh:
            return
        try:
            table.put(fresh)
            held.update(fresh)
            self._written += len(fresh)
        except (OSError, ValueError, KeyError):
            for key, value in fresh.items():
                with self._guard(f"{name} {key}"):
                    table.put({key: value})
                    held[key] = value
                    self._written += 1

    def _add_sources(self, wanted: set[Source]) -> None:
        for source in wanted - self.held.sources:
            with self._guard(f"source {source.prefix} of vif {source.vif}"):
                self._dp.sources.add(source)
                self.held.sources.add(source)
                self._written += 1

    def _tunnel_ends(self) -> set[IPv4Address]:
        nexthops = self.held.nexthops.values()
        return {it.dip for it in nexthops if it.type is NhType.TUNNEL and it.dip is not None}

    def _admit_peers(self) -> None:
        """Let the ends of held tunnels send to us, before anything leads to them."""
        for address in self._tunnel_ends() - self._peers:
            with self._guard(f"tunnel source {address}"):
                self._dp.tunnel_sources.add(address)
                self._peers.add(address)
                self._written += 1

    def _dismiss_peers(self) -> None:
        """Stop hosts to which no tunnel goes any more."""
        for address in self._peers - self._tunnel_ends():
            with self._guard(f"tunnel source {address}"):
                self._dp.tunnel_sources.discard(address)
                self._peers.discard(address)
                self._removed += 1

    def _remove(self, wanted: Tables) -> None:
        held = self.held
        for name in reversed(TABLES):
            self._discard(name, getattr(held, name), getattr(wanted, name))
        kept = self._inherited["nexthops"] | self._pointed_at()
        doomed = {
            number: nexthop
            for number, nexthop in held.nexthops.items()
            if number not in wanted.nexthops and number not in kept
        }
        for number in reversed(nexthop_order(doomed)):
            with self._guard(f"nexthop {number}"):
                self._dp.nexthops.discard(number)
                del held.nexthops[number]
                self._removed += 1
        for source in held.sources - wanted.sources - self._inherited["sources"]:
            with self._guard(f"source {source.prefix} of vif {source.vif}"):
                self._dp.sources.discard(source)
                held.sources.discard(source)
                self._removed += 1
        self._remove_ports(wanted)

    def _pointed_at(self) -> set[int]:
        """Next hops that something still held points at: what was kept on trust, or what could
        not be changed. They are not freed, whatever is wanted."""
        held = self.held
        numbers = {*held.labels.values(), *held.vnis.values()}
        numbers.update(route.nh for route in held.routes.values())
        numbers.update(entry.nh for entry in held.bridge.values())
        waiting = list(numbers)
        while waiting:
            nexthop = held.nexthops.get(waiting.pop())
            for leg in nexthop.members if nexthop else ():
                if leg.nh not in numbers:
                    numbers.add(leg.nh)
                    waiting.append(leg.nh)
        return numbers

    def _remove_ports(self, wanted: Tables) -> None:
        kept = {FABRIC_VIF, PKT0_VIF, *wanted.vifs, *self._inherited["vifs"]}
        kept.update(nexthop.oif for nexthop in self.held.nexthops.values())
        for vif_id in sorted({*self.held.vifs, *self._linked} - kept):
            with self._guard(f"vif {vif_id}"):
                self._dp.detach(vif_id)
                self.held.vifs.pop(vif_id, None)
                self._linked.pop(vif_id, None)
                self._removed += 1

    def _discard(self, name: str, held: dict[K, V], wanted: Mapping[K, V]) -> None:
        table: Table[K, V] = getattr(self._dp, name)
        kept = self._inherited[name]
        for key in [key for key in held if key not in wanted and key not in kept]:
            with self._guard(f"{name} {key}"):
                table.discard(key)
                del held[key]
                self._removed += 1


def read_tables(datapath: Target) -> Tables:
    """What the datapath holds now."""
    routes: dict[tuple[int, IPv4Network], Route] = datapath.routes.dump()
    bridge: dict[tuple[int, Mac], BridgeEntry] = datapath.bridge.dump()
    return Tables(
        vifs=datapath.vifs.dump(),
        nexthops=datapath.nexthops.dump(),
        labels=datapath.labels.dump(),
        vnis=datapath.vnis.dump(),
        routes=routes,
        bridge=bridge,
        sources=set(datapath.sources),
    )


def nexthop_order(nexthops: Mapping[int, NextHop]) -> list[int]:
    """Numbers in an order in which members come before the composites that hold them."""
    depth: dict[int, int] = {}

    def measure(number: int) -> int:
        if number not in depth:
            depth[number] = 0
            members = nexthops[number].members if number in nexthops else ()
            depth[number] = 1 + max((measure(leg.nh) for leg in members), default=0)
        return depth[number]

    return sorted(nexthops, key=lambda number: (measure(number), number))


def _poorer(nexthop: NextHop) -> bool:
    """A wanted next hop that may be less than what runs while not everything is known."""
    unresolved = nexthop.type is NhType.TUNNEL and nexthop.dmac is None
    return unresolved or nexthop.type is NhType.COMPOSITE
