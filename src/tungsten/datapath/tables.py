"""Typed tables over the kernel's maps.

Every table is a mutable mapping from typed keys to the records of
`tungsten.datapath.records`. Reading goes to the kernel each time; nothing is cached, so two
processes that hold the same pins see the same. `Table.items` and `Table.put` (many at once)
use batches.

Order of writing, so that no packet meets a hole: vif, composite's members, composite or
other next hop, then label, route or bridge entry. Deleting goes the other way.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Generic, TypeVar

from tungsten.datapath.abi import STRUCTS, NhType
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import (
    MAX_MEMBERS,
    BridgeEntry,
    Member,
    NextHop,
    Route,
    Source,
    Vif,
)
from tungsten.datapath.syscall import Map

K = TypeVar("K")
V = TypeVar("V")
_U32 = struct.Struct("<I")
_PLEN_OFFSET = next(f.offset for f in STRUCTS["route"].fields if f.name == "plen")


class Table(MutableMapping[K, V], ABC, Generic[K, V]):
    """A mapping kept in the kernel. ``KeyError`` carries the table's name and the key."""

    name = "table"

    @abstractmethod
    def find(self, key: K) -> V | None:
        """The record, or None."""

    @abstractmethod
    def put(self, entries: Mapping[K, V]) -> None:
        """Writes many entries; each is seen whole or not at all."""

    @abstractmethod
    def _remove(self, key: K) -> bool: ...

    @abstractmethod
    def _scan(self) -> Iterator[tuple[K, V]]: ...

    def __getitem__(self, key: K) -> V:
        found = self.find(key)
        if found is None:
            raise KeyError(f"{self.name}: no entry {key}")
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self.put({key: value})

    def __delitem__(self, key: K) -> None:
        if not self._remove(key):
            raise KeyError(f"{self.name}: no entry {key}")

    def __contains__(self, key: object) -> bool:
        return self.find(key) is not None  # type: ignore[arg-type]  # Mapping's signature

    def __iter__(self) -> Iterator[K]:
        return (key for key, _value in self._scan())

    def __len__(self) -> int:
        return sum(1 for _ in self._scan())

    def clear(self) -> None:
        """Removes every entry."""
        for key in list(self):
            self._remove(key)

    def discard(self, key: K) -> bool:
        """Removes an entry if it is there; says whether it was."""
        return self._remove(key)

    def dump(self) -> dict[K, V]:
        """All entries, read in batches; the fast form of ``dict(table)``."""
        return dict(self._scan())


def _check_range(table: str, what: str, value: int, limit: int) -> None:
    if not 0 <= value < limit:
        raise ValueError(f"{table}: {what} {value} is outside 0..{limit - 1}")


class VifTable(Table[int, Vif]):
    """Ports by id. Also keeps the kernel's ifindex -> id map in step."""

    name = "vifs"

    def __init__(self, vifs: Map, index: Map) -> None:
        self._vifs, self._index = vifs, index

    def find(self, key: int) -> Vif | None:
        """The port, or None."""
        _check_range(self.name, "id", key, self._vifs.info.max_entries)
        data = self._vifs.lookup(_U32.pack(key))
        return Vif.unpack(key, data) if data and any(data[:4]) else None

    def put(self, entries: Mapping[int, Vif]) -> None:
        """Writes ports; a port that moved to another device is forgotten there."""
        for key, vif in entries.items():
            if key != vif.id or vif.ifindex <= 0:
                raise ValueError(f"vifs: entry {key} has id {vif.id}, ifindex {vif.ifindex}")
            before = self.find(key)
            self._vifs.update(_U32.pack(key), vif.pack())
            self._index.update(_U32.pack(vif.ifindex), _U32.pack(key))
            if before and before.ifindex != vif.ifindex:
                self._forget(before)

    def _forget(self, vif: Vif) -> None:
        if self._index.lookup(_U32.pack(vif.ifindex)) == _U32.pack(vif.id):
            self._index.delete(_U32.pack(vif.ifindex))

    def _remove(self, key: int) -> bool:
        vif = self.find(key)
        if vif is None:
            return False
        self._forget(vif)
        self._vifs.update(_U32.pack(key), bytes(self._vifs.info.value_size))
        return True

    def _scan(self) -> Iterator[tuple[int, Vif]]:
        for key, data in _array_items(self._vifs):
            if any(data[:4]):
                yield key, Vif.unpack(key, data)

    def by_ifindex(self, ifindex: int) -> Vif | None:
        """The port on a device."""
        data = self._index.lookup(_U32.pack(ifindex))
        return self.find(_U32.unpack(data)[0]) if data else None


def _array_items(array: Map) -> Iterator[tuple[int, bytes]]:
    """Elements of an array map that are not all zero."""
    size, empty = array.info.value_size, bytes(array.info.value_size)
    for keys, values, count in array.chunks(8192):
        if not any(values):
            continue
        first = _U32.unpack_from(keys)[0]
        for i in range(count):
            data = values[i * size : (i + 1) * size]
            if data != empty:
                yield first + i, data


class NextHopTable(Table[int, NextHop]):
    """Next hops by id, from 1 up (id 0 stays empty: what points at it drops).

    A composite's members are written before the composite. Changing a next hop in place is
    fine for one field (a MAC); to change its kind, write a new id and point there.
    """

    name = "nexthops"

    def __init__(self, nexthops: Map, composites: Map) -> None:
        self._nexthops, self._composites = nexthops, composites

    def find(self, key: int) -> NextHop | None:
        """The next hop, or None."""
        _check_range(self.name, "id", key, self._nexthops.info.max_entries)
        data = self._nexthops.lookup(_U32.pack(key))
        return self._decode(key, data) if data and any(data) else None

    def _decode(self, key: int, data: bytes) -> NextHop:
        members = self._members(key) if data[0] == NhType.COMPOSITE else ()
        return NextHop.unpack(data, members)

    def _members(self, key: int) -> tuple[Member, ...]:
        data = self._composites.lookup(_U32.pack(key))
        if data is None:
            return ()
        (count,) = _U32.unpack_from(data)
        pairs = struct.iter_unpack("<II", data[8 : 8 + 8 * count])
        return tuple(Member(nh, label) for nh, label in pairs)

    def put(self, entries: Mapping[int, NextHop]) -> None:
        """Writes next hops."""
        for key, nexthop in entries.items():
            _check_range(self.name, "id", key, self._nexthops.info.max_entries)
            if nexthop.type == NhType.COMPOSITE:
                self._write_members(key, nexthop.members)
            self._nexthops.update(_U32.pack(key), nexthop.pack())
            if nexthop.type != NhType.COMPOSITE:
                self._composites.delete(_U32.pack(key))

    def _write_members(self, key: int, members: tuple[Member, ...]) -> None:
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"nexthops: {key} has {len(members)} members, limit {MAX_MEMBERS}")
        body = b"".join(struct.pack("<II", member.nh, member.label) for member in members)
        head = struct.pack("<II", len(members), 0)
        size = self._composites.info.value_size
        self._composites.update(_U32.pack(key), (head + body).ljust(size, b"\0"))

    def _remove(self, key: int) -> bool:
        if self.find(key) is None:
            return False
        self._nexthops.update(_U32.pack(key), bytes(self._nexthops.info.value_size))
        self._composites.delete(_U32.pack(key))
        return True

    def _scan(self) -> Iterator[tuple[int, NextHop]]:
        for key, data in _array_items(self._nexthops):
            yield key, self._decode(key, data)


class RouteTable(Table[tuple[int, IPv4Network], Route]):
    """Routes by (vrf, prefix). Host routes live in a hash that is asked first, others in a trie."""

    name = "routes"

    def __init__(self, hosts: Map, nets: Map) -> None:
        self._hosts, self._nets = hosts, nets

    def _key(self, key: tuple[int, IPv4Network]) -> tuple[Map, bytes]:
        vrf, prefix = key
        address = prefix.network_address.packed
        if prefix.prefixlen == 32:
            return self._hosts, struct.pack("<I4s", vrf, address)
        return self._nets, struct.pack("<II4s", 32 + prefix.prefixlen, vrf, address)

    def find(self, key: tuple[int, IPv4Network]) -> Route | None:
        """The route of exactly this prefix, or None."""
        table, packed = self._key(key)
        data = table.lookup(packed)
        if data is None or _plen(data) != key[1].prefixlen:
            return None
        return Route.unpack(data)

    def match(self, vrf: int, address: IPv4Address) -> tuple[IPv4Network, Route] | None:
        """The longest match and its route, as the datapath finds it."""
        data = self._hosts.lookup(struct.pack("<I4s", vrf, address.packed)) or self._nets.lookup(
            struct.pack("<II4s", 64, vrf, address.packed)
        )
        if data is None:
            return None
        return IPv4Network((address, _plen(data)), strict=False), Route.unpack(data)

    def put(self, entries: Mapping[tuple[int, IPv4Network], Route]) -> None:
        """Writes routes, in batches."""
        parts: dict[int, tuple[Map, list[bytes], list[bytes]]] = {}
        for key, route in entries.items():
            table, packed = self._key(key)
            _table, keys, values = parts.setdefault(table.fd, (table, [], []))
            keys.append(packed)
            values.append(route.pack(key[1].prefixlen))
        for table, keys, values in parts.values():
            table.update_batch(b"".join(keys), b"".join(values), len(keys))

    def _remove(self, key: tuple[int, IPv4Network]) -> bool:
        table, packed = self._key(key)
        return table.delete(packed)

    def _scan(self) -> Iterator[tuple[tuple[int, IPv4Network], Route]]:
        for keys, values, count in self._hosts.chunks():
            for (vrf, address), data in zip(
                struct.iter_unpack("<I4s", keys), _split(values, count), strict=True
            ):
                yield (vrf, IPv4Network((address, 32))), Route.unpack(data)
        for keys, values, count in self._nets.chunks():
            for (bits, vrf, address), data in zip(
                struct.iter_unpack("<II4s", keys), _split(values, count), strict=True
            ):
                yield (vrf, IPv4Network((address, bits - 32))), Route.unpack(data)


def _plen(route: bytes) -> int:
    return route[_PLEN_OFFSET]


def _split(values: bytes, count: int) -> list[bytes]:
    size = len(values) // count
    return [values[i * size : (i + 1) * size] for i in range(count)]


class BridgeTable(Table[tuple[int, Mac], BridgeEntry]):
    """Bridge entries by (vrf, MAC); ff:ff:ff:ff:ff:ff is where floods go."""

    name = "bridge"

    def __init__(self, bridge: Map) -> None:
        self._bridge = bridge

    def find(self, key: tuple[int, Mac]) -> BridgeEntry | None:
        """The entry, or None."""
        data = self._bridge.lookup(_mac_key(key))
        return BridgeEntry.unpack(data) if data else None

    def put(self, entries: Mapping[tuple[int, Mac], BridgeEntry]) -> None:
        """Writes entries, in one batch."""
        keys = b"".join(_mac_key(key) for key in entries)
        values = b"".join(entry.pack() for entry in entries.values())
        self._bridge.update_batch(keys, values, len(entries))

    def _remove(self, key: tuple[int, Mac]) -> bool:
        return self._bridge.delete(_mac_key(key))

    def _scan(self) -> Iterator[tuple[tuple[int, Mac], BridgeEntry]]:
        for keys, values, count in self._bridge.chunks():
            for (vrf, mac), data in zip(
                struct.iter_unpack("<I6s2x", keys), _split(values, count), strict=True
            ):
                yield (vrf, Mac(mac)), BridgeEntry.unpack(data)


def _mac_key(key: tuple[int, Mac]) -> bytes:
    return struct.pack("<I6s2x", key[0], key[1])


class LabelTable(Table[int, int]):
    """MPLS labels to next hop ids. Labels 0 to 15 are reserved and refused."""

    name = "labels"

    def __init__(self, labels: Map) -> None:
        self._labels = labels

    def find(self, key: int) -> int | None:
        """The next hop's id, or None."""
        _check_range(self.name, "label", key, self._labels.info.max_entries)
        data = self._labels.lookup(_U32.pack(key))
        return int(_U32.unpack(data)[0]) or None if data else None

    def put(self, entries: Mapping[int, int]) -> None:
        """Writes labels."""
        for label, nexthop in entries.items():
            _check_range(self.name, "label", label, self._labels.info.max_entries)
            if label < 16:
                raise ValueError(f"labels: {label} is reserved; the first free one is 16")
            self._labels.update(_U32.pack(label), _U32.pack(nexthop))

    def _remove(self, key: int) -> bool:
        if self.find(key) is None:
            return False
        self._labels.update(_U32.pack(key), _U32.pack(0))
        return True

    def _scan(self) -> Iterator[tuple[int, int]]:
        for keys, values, count in self._labels.chunks(65536):
            if not any(values):
                continue
            (first,) = _U32.unpack_from(keys)
            for i, (nexthop,) in enumerate(_U32.iter_unpack(values[: count * 4])):
                if nexthop:
                    yield first + i, nexthop


class IdTable(Table[int, int]):
    """A hash from one number to another: VXLAN VNIs to next hop ids."""

    def __init__(self, name: str, table: Map, limit: int) -> None:
        self.name = name
        self._table, self._limit = table, limit

    def find(self, key: int) -> int | None:
        """The number, or None."""
        data = self._table.lookup(_U32.pack(key))
        return int(_U32.unpack(data)[0]) if data else None

    def put(self, entries: Mapping[int, int]) -> None:
        """Writes entries."""
        for key, value in entries.items():
            _check_range(self.name, "key", key, self._limit)
            self._table.update(_U32.pack(key), _U32.pack(value))

    def _remove(self, key: int) -> bool:
        return self._table.delete(_U32.pack(key))

    def _scan(self) -> Iterator[tuple[int, int]]:
        for keys, values, _count in self._table.chunks():
            for (key,), (value,) in zip(
                _U32.iter_unpack(keys), _U32.iter_unpack(values), strict=True
            ):
                yield key, value


class AddressSet:
    """Addresses of hosts that may send us tunnels."""

    def __init__(self, table: Map) -> None:
        self._table = table

    def add(self, address: IPv4Address) -> None:
        """Lets a host send."""
        self._table.update(address.packed, _U32.pack(1))

    def discard(self, address: IPv4Address) -> bool:
        """Stops a host; says whether it was in."""
        return self._table.delete(address.packed)

    def __contains__(self, address: IPv4Address) -> bool:
        return self._table.lookup(address.packed) is not None

    def __iter__(self) -> Iterator[IPv4Address]:
        for keys, _values, count in self._table.chunks():
            yield from (IPv4Address(key) for key in _split(keys, count))


class SourceSet:
    """Allowed address pairs of ports, beyond each port's own address and MAC."""

    def __init__(self, prefixes: Map, macs: Map) -> None:
        self._prefixes, self._macs = prefixes, macs

    def add(self, source: Source) -> None:
        """Lets a port send from the pair."""
        if source.mac:
            self._macs.update(struct.pack("<I6s2x", source.vif, source.mac), _U32.pack(1))
        value = STRUCTS["source"].pack({"mac": source.mac})
        self._prefixes.update(_source_key(source), value)

    def discard(self, source: Source) -> bool:
        """Stops the pair. Its MAC stays allowed while another pair of the port has it."""
        removed = self._prefixes.delete(_source_key(source))
        if source.mac and not any(
            other.vif == source.vif and other.mac == source.mac for other in self
        ):
            self._macs.delete(struct.pack("<I6s2x", source.vif, source.mac))
        return removed

    def __iter__(self) -> Iterator[Source]:
        for keys, values, count in self._prefixes.chunks():
            for (bits, vif, address), data in zip(
                struct.iter_unpack("<II16s", keys), _split(values, count), strict=True
            ):
                mac = STRUCTS["source"].unpack(data)["mac"]
                yield Source(vif, _source_prefix(bits - 32, address), mac)


_V4_MAPPED = bytes(10) + b"\xff\xff"


def _source_key(source: Source) -> bytes:
    address, length = source.prefix.network_address.packed, source.prefix.prefixlen
    if len(address) == 4:
        address, length = _V4_MAPPED + address, length + 96
    return struct.pack("<II16s", 32 + length, source.vif, address)


def _source_prefix(length: int, address: bytes) -> IPv4Network | IPv6Network:
    if address.startswith(_V4_MAPPED) and length >= 96:
        return IPv4Network((address[12:], length - 96))
    return IPv6Network((address, length))
