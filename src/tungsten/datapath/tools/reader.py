"""From the kernel's tables to what the tools print.

The tables are read as they are at that moment. Reference counts are not kept in the kernel;
they are counted here, the object itself included, from everything that points at it.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol, TypeVar

from tungsten.datapath.abi import DROP_TEXTS, DropReason, RouteFlag, VifType
from tungsten.datapath.abi import BridgeFlag as Bf
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import (
    BridgeEntry,
    NextHop,
    Route,
    Vif,
    VifStats,
    bridge_index,
)
from tungsten.datapath.tools.interfaces import NO_IP, NO_IP6, InterfaceRecord
from tungsten.datapath.tools.nexthops import NextHopRecord
from tungsten.datapath.tools.routes import BridgeRecord, RouteRecord

_ETHERTYPE_IP = b"\x08\x00"
_SIOCETHTOOL = 0x8946
_ETHTOOL_GSET = 0x1
_ETHTOOL_CMD_SIZE = 44
_DUPLEX_UNKNOWN = 0xFF


KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)


class Entries(Protocol[KeyT_contra, ValueT_co]):
    """A table, for reading."""

    def find(self, key: KeyT_contra) -> ValueT_co | None:
        """The entry of a key, or None."""

    def dump(self) -> Mapping[Any, ValueT_co]:
        """All entries, read in batches."""


class Tables(Protocol):
    """The tables of a datapath, for reading: :class:`tungsten.datapath.datapath.Datapath`."""

    @property
    def vifs(self) -> Entries[int, Vif]:
        """Ports by id."""

    @property
    def nexthops(self) -> Entries[int, NextHop]:
        """Next hops by id."""

    @property
    def routes(self) -> Entries[tuple[int, IPv4Network], Route]:
        """Routes by VRF and prefix."""

    @property
    def bridge(self) -> Entries[tuple[int, Mac], BridgeEntry]:
        """Bridge entries by VRF and MAC."""

    @property
    def labels(self) -> Entries[int, int]:
        """Next hops by label."""

    @property
    def vnis(self) -> Entries[int, int]:
        """Next hops by VXLAN network identifier."""

    def vif_stats(self, vif_id: int) -> VifStats:
        """Counters of a port."""


def interface_records(tables: Tables, only: int | None = None) -> Iterator[InterfaceRecord]:
    """The ports by id; with ``only``, that one if it exists."""
    users = Counter(nexthop.oif for nexthop in tables.nexthops.dump().values())
    for vif_id, vif in sorted(_chosen(tables.vifs, only), key=_by_key):
        stats = tables.vif_stats(vif_id)
        speed, duplex = _link_mode(vif) if vif.type == VifType.PHYSICAL else (None, None)
        yield InterfaceRecord(
            index=vif_id,
            name=vif.name,
            type=int(vif.type),
            has_device=vif.ifindex > 0,
            speed=speed,
            duplex=duplex,
            nh=vif.nh_id,
            mac=vif.mac,
            ip=vif.ip or NO_IP,
            ip6=vif.ip6 or NO_IP6,
            vrf=vif.vrf,
            mcast_vrf=vif.mcast_vrf,
            flags=int(vif.flags),
            references=1 + users[vif_id],
            rx_packets=stats.rx_packets,
            rx_bytes=stats.rx_bytes,
            rx_errors=stats.rx_errors,
            tx_packets=stats.tx_packets,
            tx_bytes=stats.tx_bytes,
            tx_errors=stats.tx_errors,
            drops=stats.drops,
        )


def _chosen(vifs: Entries[int, Vif], only: int | None) -> list[tuple[int, Vif]]:
    if only is None:
        return list(vifs.dump().items())
    vif = _find(vifs, only)
    return [(only, vif)] if vif is not None else []


def _link_mode(vif: Vif) -> tuple[int | None, int | None]:
    """Speed in Mb/s and duplex (1: full) as the driver tells; None what it does not tell.

    Only of the very device of the port: a tool run outside the datapath's network namespace
    sees other devices under the same names.
    """
    try:
        if socket.if_nametoindex(vif.name) != vif.ifindex:
            return None, None
        return link_settings(vif.name)
    except OSError:
        return None, None


def link_settings(device: str) -> tuple[int | None, int | None]:
    """Speed and duplex by the ETHTOOL_GSET ioctl (linux/ethtool.h). Raises OSError."""
    answer = ctypes.create_string_buffer(struct.pack("<I", _ETHTOOL_GSET), _ETHTOOL_CMD_SIZE)
    request = struct.pack("16sP", device.encode()[:15], ctypes.addressof(answer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCETHTOOL, request)
    low, duplex = struct.unpack_from("<HB", answer, 12)
    (high,) = struct.unpack_from("<H", answer, 28)
    speed = high << 16 | low
    known = speed not in (0xFFFF, 0xFFFFFFFF)
    return (speed if known else None), (duplex if duplex != _DUPLEX_UNKNOWN else None)


def nexthop_users(tables: Tables) -> Counter[int]:
    """How many entries of other tables, ports and composites point at each next hop."""
    users = Counter(route.nh for route in tables.routes.dump().values())
    users.update(entry.nh for entry in tables.bridge.dump().values())
    users.update(tables.labels.dump().values())
    users.update(tables.vnis.dump().values())
    users.update(vif.nh_id for vif in tables.vifs.dump().values())
    for nexthop in tables.nexthops.dump().values():
        users.update(member.nh for member in nexthop.members)
    return users


def nexthop_records(tables: Tables) -> Iterator[NextHopRecord]:
    """All next hops by id."""
    users = nexthop_users(tables)
    for nh_id, nexthop in sorted(tables.nexthops.dump().items(), key=_by_key):
        yield nexthop_record(nh_id, nexthop, 1 + users[nh_id])


def nexthop_with_members(tables: Tables, nh_id: int) -> Iterator[NextHopRecord]:
    """A next hop, then what its members are, and theirs. Nothing when it does not exist."""
    users = nexthop_users(tables)
    pending = [nh_id]
    seen = set()
    while pending:
        current = pending.pop(0)
        nexthop = _find(tables.nexthops, current) if current not in seen else None
        if nexthop is None:
            continue
        seen.add(current)
        yield nexthop_record(current, nexthop, 1 + users[current])
        pending = [member.nh for member in nexthop.members] + pending


def nexthop_record(nh_id: int, nexthop: NextHop, references: int) -> NextHopRecord:
    """A next hop as printed."""
    encap = b""
    if nexthop.dmac is not None:
        encap = nexthop.dmac + (nexthop.smac or bytes(6)) + _ETHERTYPE_IP
    return NextHopRecord(
        id=nh_id,
        type=int(nexthop.type),
        family=int(nexthop.family),
        flags=int(nexthop.flags),
        vrf=nexthop.vrf,
        references=references,
        oif=nexthop.oif,
        encap=encap,
        sip=nexthop.sip or NO_IP,
        dip=nexthop.dip or NO_IP,
        l3_mac=nexthop.l3_mac or bytes(6),
        ecmp_fields=nexthop.ecmp_fields,
        members=[(member.nh, member.label) for member in nexthop.members],
    )


def route_record(vrf: int, prefix: IPv4Network, route: Route) -> RouteRecord:
    """A route as printed."""
    flags = int(route.flags) | (int(RouteFlag.LABEL) if route.label is not None else 0)
    return RouteRecord(
        prefix=prefix,
        nh=route.nh,
        flags=flags,
        label=route.label or 0,
        replaced_length=route.ppl or prefix.prefixlen,
        mac=route.mac,
        mac_index=bridge_index(vrf, route.mac) if route.mac is not None else -1,
    )


def bridge_record(vrf: int, mac: Mac, entry: BridgeEntry) -> BridgeRecord:
    """A bridge entry as printed."""
    flags = int(entry.flags) | (int(Bf.LABEL) if entry.label is not None else 0)
    return BridgeRecord(
        index=bridge_index(vrf, mac),
        mac=mac,
        nh=entry.nh,
        flags=flags,
        label=entry.label or 0,
        packets=entry.packets,
    )


def route_records(tables: Tables, vrf: int) -> list[RouteRecord]:
    """The routes of a VRF, by prefix."""
    found = [(prefix, route) for (of, prefix), route in tables.routes.dump().items() if of == vrf]
    return [route_record(vrf, prefix, route) for prefix, route in sorted(found, key=_by_key)]


def _find(table: Entries[int, ValueT_co], key: int) -> ValueT_co | None:
    """The entry of an id; None also for an id that the table has no place for."""
    try:
        return table.find(key)
    except ValueError:
        return None


def _by_key(item: tuple[Any, object]) -> Any:
    return item[0]


def covering_route(tables: Tables, vrf: int, prefix: IPv4Network) -> RouteRecord | None:
    """The longest route of a VRF that covers ``prefix``."""
    for length in range(prefix.prefixlen, -1, -1):
        candidate = prefix.supernet(new_prefix=length)
        route = tables.routes.find((vrf, candidate))
        if route is not None:
            return route_record(vrf, candidate, route)
    return None


def bridge_records(tables: Tables, vrf: int) -> list[BridgeRecord]:
    """The MACs of a VRF, by index."""
    found = [
        bridge_record(vrf, mac, entry)
        for (of, mac), entry in tables.bridge.dump().items()
        if of == vrf
    ]
    return sorted(found, key=lambda record: (record.index, record.mac))


def bridge_entry(tables: Tables, vrf: int, mac: Mac) -> BridgeRecord | None:
    """The entry of one MAC."""
    entry = tables.bridge.find((vrf, mac))
    return bridge_record(vrf, mac, entry) if entry is not None else None


def drop_counters(counts: Mapping[DropReason, int]) -> Sequence[tuple[str, int]]:
    """Counters by the texts that ``dropstats`` prints, in its order."""
    return [(text, counts.get(reason, 0)) for reason, text in DROP_TEXTS.items()]


def parse_prefix(text: str) -> IPv4Network:
    """``10.0.0.1``, ``10.0.0.0/8``: host bits are cleared. Raises ValueError naming the text."""
    address, _, length = text.partition("/")
    try:
        return IPv4Network((IPv4Address(address), int(length or "32")), strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IPv4 address or prefix: {error}") from error
