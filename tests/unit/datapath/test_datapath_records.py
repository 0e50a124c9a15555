"""Records, layouts and the trap header: what is packed is what is read back."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.datapath import (
    DROP_TEXTS,
    BridgeEntry,
    BridgeFlag,
    Config,
    ConfigFlag,
    DropReason,
    Family,
    Mac,
    NextHop,
    NhFlag,
    NhType,
    Route,
    RouteFlag,
    TrapCmd,
    Vif,
    VifFlag,
    VifGuard,
    VifLink,
    VifType,
    bridge_index,
    trap,
)
from tungsten.datapath.abi import STRUCTS
from tungsten.datapath.btf import Btf, BtfError
from tungsten.datapath.contract import HERE, OBJECT, differences
from tungsten.datapath.generate import render
from tungsten.datapath.layout import Field, Layout

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
ipv4 = st.none() | st.integers(1, 2**32 - 1).map(IPv4Address)
ipv6 = st.none() | st.integers(1, 2**128 - 1).map(IPv6Address)
set_macs = st.binary(min_size=6, max_size=6).filter(any).map(Mac)
macs = st.none() | set_macs
vifs = st.builds(
    Vif,
    id=st.just(3),
    ifindex=st.integers(1, 2**31),
    vrf=u16,
    type=st.sampled_from(VifType),
    link=st.sampled_from(VifLink),
    flags=st.sampled_from(VifFlag),
    guard=st.sampled_from(VifGuard),
    mac=set_macs,
    vm_mac=macs,
    ip=ipv4,
    ip6=ipv6,
    gateway=ipv4,
    mtu=u16,
    nh_id=u32,
    mcast_vrf=u32,
    os_index=u32,
    name=st.text("abcdef-0123", max_size=39),
)
nexthops = st.builds(
    NextHop,
    type=st.sampled_from(NhType),
    family=st.sampled_from(Family),
    flags=st.sampled_from(NhFlag),
    vrf=u32,
    oif=u32,
    sip=ipv4,
    dip=ipv4,
    dmac=macs,
    smac=macs,
    l3_mac=macs,
    mtu=u16,
)


class TestRecords:
    @given(vifs)
    def test_vif(self, vif: Vif) -> None:
        assert Vif.unpack(3, vif.pack()) == vif

    @given(nexthops)
    def test_nexthop(self, nexthop: NextHop) -> None:
        assert NextHop.unpack(nexthop.pack()) == nexthop

    @given(
        st.builds(
            Route,
            nh=u32,
            label=st.none() | u32,
            flags=st.sampled_from([RouteFlag.PROXY, RouteFlag.FLOOD, RouteFlag.TRAP]),
            mac=macs,
            ppl=st.integers(0, 32),
        )
    )
    def test_route(self, route: Route) -> None:
        assert Route.unpack(route.pack(24)) == route

    @given(st.builds(BridgeEntry, nh=u32, label=st.none() | u32, packets=u32))
    def test_bridge_entry(self, entry: BridgeEntry) -> None:
        read = BridgeEntry.unpack(entry.pack())
        assert (read, read.packets) == (entry, entry.packets)

    def test_bridge_entries_are_equal_whatever_they_counted(self) -> None:
        assert BridgeEntry(nh=1, packets=5) == BridgeEntry(nh=1, packets=9)
        assert BridgeEntry(nh=1) == BridgeEntry(nh=1, flags=BridgeFlag(0))
        assert BridgeEntry(nh=1) != BridgeEntry(nh=1, flags=BridgeFlag.DHCP_FLOOD)
        assert len({BridgeEntry(nh=1, packets=5), BridgeEntry(nh=1, packets=9)}) == 1
        assert BridgeEntry(nh=1) != 1

    @given(st.builds(Config, fabric_ip=ipv4, fabric_vif=u32, flags=st.sampled_from(ConfigFlag)))
    def test_config(self, config: Config) -> None:
        assert Config.unpack(config.pack()) == config

    def test_a_tunnel_is_of_a_kind_that_exists(self) -> None:
        with pytest.raises(ValueError, match="expected MPLS_UDP, MPLS_GRE or VXLAN"):
            NextHop.tunnel(
                NhFlag.ECMP, sip=IPv4Address(1), dip=IPv4Address(2), oif=0, dmac=None,
                smac=Mac(bytes(6)),
            )  # fmt: skip

    def test_bridge_indexes_differ_by_vrf_and_mac(self) -> None:
        mac = Mac("02:00:00:00:00:01")
        assert bridge_index(1, mac) == bridge_index(1, mac) != bridge_index(2, mac)


class TestMac:
    def test_text_and_bytes_are_the_same(self) -> None:
        assert Mac("2:A0:ee:12:34:56") == Mac(b"\x02\xa0\xee\x12\x34\x56")
        assert str(Mac("2:a0:ee:12:34:56")) == "02:a0:ee:12:34:56"
        assert repr(Mac(bytes(6))) == "Mac('00:00:00:00:00:00')"

    @pytest.mark.parametrize("bad", ["", "02:00", "02:00:00:00:00:zz", "0200.0000.0001", b"12345"])
    def test_anything_else_is_refused(self, bad: str | bytes) -> None:
        with pytest.raises(ValueError, match="MAC address"):
            Mac(bad)


class TestTrap:
    @given(
        st.builds(trap.TrapHeader, vif=u16, vrf=u16, cmd=st.sampled_from(TrapCmd), param=u32),
        st.binary(max_size=100),
    )
    def test_what_is_built_is_parsed(self, header: trap.TrapHeader, frame: bytes) -> None:
        assert trap.parse(trap.build(header, frame)) == (header, frame)

    def test_the_wire_form_is_thirty_bytes_in_network_order(self) -> None:
        header = trap.TrapHeader(
            vif=0x0102, vrf=0x0304, cmd=TrapCmd.ARP, param=0x05060708, param5=9
        )
        assert header.pack() == bytes.fromhex("01020304000205060708") + bytes(16) + b"\x09\0\0\0"

    @given(st.binary(max_size=80))
    def test_parsing_raises_its_own_error_only(self, data: bytes) -> None:
        with contextlib.suppress(trap.TrapError):
            trap.parse(data)


class TestLayout:
    def test_values_that_do_not_fit_name_the_struct(self) -> None:
        with pytest.raises(ValueError, match="struct route"):
            STRUCTS["route"].pack({"nh": 2**32})
        with pytest.raises(ValueError, match=r"struct route.*5 bytes, expected 6"):
            STRUCTS["route"].pack({"mac": bytes(5)})

    def test_declared_and_summed_sizes_agree(self) -> None:
        with pytest.raises(ValueError, match="struct x: 4 bytes by fields, 2 declared"):
            Layout("x", 2, (Field("a", 0, 4, "u32"),))


class TestContract:
    def test_the_generated_module_is_what_the_object_says(self) -> None:
        reasons = (HERE / "bpf" / "reasons.h").read_text()
        assert (HERE / "abi.py").read_text() == render(Btf.of_object(OBJECT), reasons)

    def test_an_object_of_another_shape_is_told_apart(self) -> None:
        btf = Btf.of_object(OBJECT)
        assert differences(btf) == []
        del btf.structs["vif"]
        btf.enums["nh_type"]["NH_NEW"] = 99
        assert differences(btf) == ["struct vif", "enum nh_type"]

    def test_every_reason_has_a_text_and_no_two_share_one(self) -> None:
        assert set(DROP_TEXTS) == set(DropReason)
        assert len(set(DROP_TEXTS.values())) == len(DropReason)

    def test_structs_keep_the_sizes_that_other_tools_know(self) -> None:
        assert STRUCTS["trap_header"].size == 30
        assert STRUCTS["nexthop"].size == 64


class TestBtf:
    @given(st.binary(max_size=300))
    def test_any_bytes_raise_its_own_error_only(self, data: bytes) -> None:
        with pytest.raises(BtfError):
            Btf.parse(data)

    @given(st.data())
    def test_a_damaged_object_raises_its_own_error_only(self, data: st.DataObject) -> None:
        section = bytearray(_btf_section())
        for _ in range(data.draw(st.integers(1, 8))):
            section[data.draw(st.integers(0, len(section) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(BtfError):
            Btf.parse(bytes(section))

    def test_what_is_no_object_says_so(self, tmp_path: Path) -> None:
        file = tmp_path / "x.o"
        file.write_bytes(b"#!/bin/sh\n")
        with pytest.raises(BtfError, match=r"x\.o: not a little-endian 64-bit ELF object"):
            Btf.of_object(file)


def _btf_section() -> bytes:
    from tungsten.datapath.btf import _section

    return _section(OBJECT.read_bytes(), ".BTF")


def test_networks_are_no_hosts() -> None:
    """IPv4Network keys with host bits are refused by the standard library itself."""
    with pytest.raises(ValueError, match="has host bits set"):
        IPv4Network("10.0.0.1/24")
