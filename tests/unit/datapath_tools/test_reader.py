"""What the tools make of tables. The tables are dictionaries here; the kernel's in tests/system."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

import pytest

from tungsten.datapath.abi import DropReason, NhFlag, RouteFlag, VifFlag, VifType
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import (
    BROADCAST_MAC,
    BridgeEntry,
    Member,
    NextHop,
    Route,
    Vif,
    VifStats,
    bridge_index,
)
from tungsten.datapath.tools import reader
from tungsten.datapath.tools.commands import dropstats, mpls, nh, rt, vif, vxlan

K = TypeVar("K")
V = TypeVar("V")

VM = Mac("02:a0:ee:12:34:56")


class Entries(dict[K, V]):
    def find(self, key: K) -> V | None:
        return self.get(key)

    def dump(self) -> dict[K, V]:
        return self


@dataclass
class Tables:
    vifs: Entries[int, Vif] = field(default_factory=Entries)
    nexthops: Entries[int, NextHop] = field(default_factory=Entries)
    routes: Entries[tuple[int, IPv4Network], Route] = field(default_factory=Entries)
    bridge: Entries[tuple[int, Mac], BridgeEntry] = field(default_factory=Entries)
    labels: Entries[int, int] = field(default_factory=Entries)
    vnis: Entries[int, int] = field(default_factory=Entries)

    def vif_stats(self, vif_id: int) -> VifStats:
        return VifStats(rx_packets=vif_id, rx_bytes=100, tx_errors=1, drops=2)


@pytest.fixture
def tables() -> Tables:
    made = Tables()
    made.vifs[4] = Vif(
        id=4,
        ifindex=12,
        vrf=2,
        flags=VifFlag.L3 | VifFlag.L2,
        ip=IPv4Address("10.1.1.3"),
        nh_id=20,
        name="tap1",
    )
    made.vifs[0] = Vif(id=0, ifindex=2, type=VifType.PHYSICAL, name="no-such-device")
    made.nexthops[20] = NextHop.encap(4, VM, vrf=2, flags=NhFlag.POLICY)
    made.nexthops[21] = NextHop.encap_l2(4, VM, vrf=2)
    made.nexthops[30] = NextHop.tunnel(
        NhFlag.MPLS_UDP,
        sip=IPv4Address("192.168.1.11"),
        dip=IPv4Address("192.168.1.12"),
        oif=0,
        dmac=None,
        smac=Mac("52:54:00:aa:00:01"),
    )
    made.nexthops[31] = NextHop.flood([Member(21), Member(30, 40)], vrf=2)
    made.routes[2, IPv4Network("10.1.1.3/32")] = Route(
        nh=20, label=17, flags=RouteFlag.PROXY, mac=VM, ppl=24
    )
    made.routes[2, IPv4Network("10.1.1.0/24")] = Route(nh=20, flags=RouteFlag.FLOOD)
    made.routes[3, IPv4Network("10.1.1.0/24")] = Route(nh=30, label=18)
    made.bridge[2, VM] = BridgeEntry(nh=21, packets=7)
    made.bridge[2, BROADCAST_MAC] = BridgeEntry(nh=31, label=5)
    made.labels[17] = 20
    made.vnis[5] = 31
    return made


def test_interfaces_come_by_id_with_counters_and_references(tables: Tables) -> None:
    first, second = reader.interface_records(tables)
    assert (first.index, first.name, first.speed) == (0, "no-such-device", None)
    assert (second.index, second.nh, second.rx_packets, second.drops) == (4, 20, 4, 2)
    assert second.references == 3  # itself and two next hops
    assert [r.index for r in reader.interface_records(tables, only=4)] == [4]
    assert list(reader.interface_records(tables, only=5)) == []


def test_next_hops_count_everything_that_points_at_them(tables: Tables) -> None:
    found = {record.id: record for record in reader.nexthop_records(tables)}
    assert list(found) == [20, 21, 30, 31]
    assert found[20].references == 5  # itself, vif, two routes, label
    assert found[21].references == 3  # itself, bridge entry, composite
    assert found[31].references == 3  # itself, broadcast entry, VNI
    assert found[20].encap == VM + Mac("00:00:5e:00:01:00") + b"\x08\x00"
    assert found[31].members == [(21, 0), (30, 40)]


def test_unresolved_tunnel_has_no_encapsulation_data(tables: Tables) -> None:
    found = {record.id: record for record in reader.nexthop_records(tables)}
    assert found[30].encap == b""
    assert (str(found[30].sip), str(found[30].dip)) == ("192.168.1.11", "192.168.1.12")


def test_getting_a_composite_shows_its_members_too(tables: Tables) -> None:
    assert [record.id for record in reader.nexthop_with_members(tables, 31)] == [31, 21, 30]
    tables.nexthops[21] = NextHop.flood([Member(31)], vrf=2)  # a loop must end
    assert [record.id for record in reader.nexthop_with_members(tables, 31)] == [31, 21, 30]
    assert list(reader.nexthop_with_members(tables, 99)) == []


def test_routes_are_of_one_vrf_and_by_prefix(tables: Tables) -> None:
    subnet, host = reader.route_records(tables, 2)
    assert str(subnet.prefix) == "10.1.1.0/24"
    assert (host.flags, host.label, host.replaced_length) == (0x3, 17, 24)
    assert subnet.replaced_length == 24  # its own, when the agent says nothing else
    assert host.mac_index == bridge_index(2, VM)
    assert subnet.mac is None


def test_an_address_is_found_by_its_longest_route(tables: Tables) -> None:
    host = reader.covering_route(tables, 2, IPv4Network("10.1.1.3/32"))
    other = reader.covering_route(tables, 2, IPv4Network("10.1.1.9/32"))
    assert host is not None
    assert str(host.prefix) == "10.1.1.3/32"
    assert other is not None
    assert str(other.prefix) == "10.1.1.0/24"
    assert reader.covering_route(tables, 2, IPv4Network("10.9.0.0/16")) is None


def test_bridge_entries_carry_labels_and_counts(tables: Tables) -> None:
    by_mac = {record.mac: record for record in reader.bridge_records(tables, 2)}
    assert (by_mac[VM].flags, by_mac[VM].packets) == (0x1, 7)
    assert (by_mac[BROADCAST_MAC].flags, by_mac[BROADCAST_MAC].label) == (0x3, 5)
    assert reader.bridge_entry(tables, 2, VM) == by_mac[VM]
    assert reader.bridge_entry(tables, 3, VM) is None


def test_drop_counters_keep_the_order_of_the_tool() -> None:
    counters = reader.drop_counters({DropReason.INVALID_SOURCE: 7, DropReason.DISCARD: 3})
    assert [pair for pair in counters if pair[1]] == [("Discards", 3), ("Invalid Source", 7)]
    assert counters[0] == ("Invalid IF", 0)


@pytest.mark.parametrize("text", ["", "10.1", "10.0.0.1/33", "10.0.0.1/x", "::1", "a" * 1000])
def test_what_is_not_a_prefix_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IPv4 address or prefix"):
        reader.parse_prefix(text)


@pytest.mark.parametrize(
    ("tool", "argv"),
    [
        (vif, ["--list"]),
        (nh, ["--list"]),
        (rt, ["--dump", "0"]),
        (mpls, ["--dump"]),
        (vxlan, ["--dump"]),
        (dropstats, []),
    ],
)
def test_tools_say_when_no_datapath_is_there(
    tool: object, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(tool)
    assert tool([*argv, "--pin-dir", "/nonexistent"]) == 1
    assert "/nonexistent: no datapath is pinned here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [[], ["--list", "--get", "3"], ["--get", "x"], ["--create", "eth0"]]
)
def test_wrong_usage_is_exit_code_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        vif(argv)
    assert end.value.code == 2
