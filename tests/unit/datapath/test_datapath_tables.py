"""Tables over real maps, and the life of pins: open, open again, another shape, remove."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest
from tests.pins import pin_folder
from tests.unit.datapath.datapath_rig import SIZES, VM3, VM4, Rig, address, mac

from tungsten.datapath import (
    BROADCAST_MAC,
    MAX_MEMBERS,
    BpfError,
    BridgeEntry,
    Config,
    Datapath,
    DatapathError,
    DropReason,
    LoadError,
    Mac,
    Member,
    NextHop,
    Route,
    Source,
    Vif,
    VifType,
    syscall,
)
from tungsten.datapath.contract import OBJECT
from tungsten.datapath.cost import costs
from tungsten.datapath.cost import main as cost_table
from tungsten.datapath.offload import driver
from tungsten.lab.netns import Namespace, namespaces

#: The same tables in another shape.
OTHER_SIZES = {**SIZES, "labels": 8192}
#: bpf(2) command
PROG_QUERY = 16
#: What a program may cost the verifier; see `tungsten.datapath.cost`.
INSTRUCTIONS, STACK, MILLISECONDS = 60_000, 192, 500


@pytest.fixture
def pins() -> Iterator[Path]:
    """A bpffs."""
    with pin_folder() as folder:
        yield folder


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace with a device ``port`` in it."""
    with namespaces("pins") as (made,):
        made.ip("link", "add", "port", "type", "veth", "peer", "name", "far")
        yield made


def port_of(host: Namespace, vif_id: int = 3) -> Vif:
    """The device as a port."""
    return Vif(id=vif_id, ifindex=host.call_in(lambda: socket.if_nametoindex("port")), vrf=1)


class TestTables:
    def test_routes_are_found_exactly_and_by_longest_match(self, rig: Rig) -> None:
        routes = rig.dp.routes
        assert routes.find((1, IPv4Network("10.7.0.0/24"))) is None
        assert routes[1, IPv4Network("10.7.0.0/16")].label == 107
        found = routes.match(1, IPv4Address("10.7.3.4"))
        assert found == (IPv4Network("10.7.0.0/16"), routes[1, IPv4Network("10.7.0.0/16")])
        assert routes.match(1, IPv4Address(address(VM3))) == (
            IPv4Network(address(VM3)), routes[1, IPv4Network(address(VM3))],
        )  # fmt: skip
        assert routes.match(7, IPv4Address("10.7.3.4")) is None

    def test_many_are_written_and_read_at_once(self, rig: Rig) -> None:
        many = {
            (5, IPv4Network((0x0A000000 + 256 * n, 24 if n % 2 else 32))): Route(nh=n, label=n)
            for n in range(600)
        }
        rig.dp.routes.put(many)
        assert {k: v for k, v in rig.dp.routes.dump().items() if k[0] == 5} == many
        macs = {(5, Mac(n.to_bytes(6, "big"))): BridgeEntry(nh=n) for n in range(1, 600)}
        rig.dp.bridge.put(macs)
        assert {k: v for k, v in rig.dp.bridge.dump().items() if k[0] == 5} == macs

    def test_tables_are_mappings(self, rig: Rig) -> None:
        labels = rig.dp.labels
        assert 103 in labels
        assert labels.get(999) is None
        assert labels.discard(999) is False
        del labels[103]
        with pytest.raises(KeyError, match="labels: no entry 103"):
            labels[103]
        with pytest.raises(KeyError, match="labels: no entry 103"):
            del labels[103]
        assert len(labels) == len(list(labels)) == len(labels.dump())

    def test_ids_out_of_range_say_the_range(self, rig: Rig) -> None:
        with pytest.raises(ValueError, match=r"vifs: id 5000 is outside 0\.\.4351"):
            rig.dp.vifs.find(5000)
        with pytest.raises(ValueError, match=r"nexthops: id 1024 is outside 0\.\.1023"):
            rig.dp.nexthops[1024] = NextHop.discard()
        with pytest.raises(ValueError, match="labels: 15 is reserved"):
            rig.dp.labels[15] = 1
        with pytest.raises(ValueError, match="vnis: key 16777216"):
            rig.dp.vnis[1 << 24] = 1
        with pytest.raises(ValueError, match="vifs: entry 4 has id 3"):
            rig.dp.vifs[4] = rig.dp.vifs[3]
        members = [Member(1)] * (MAX_MEMBERS + 1)
        with pytest.raises(ValueError, match="has 129 members, limit 128"):
            rig.dp.nexthops[9] = NextHop.ecmp(members, vrf=1)

    def test_a_port_that_moves_leaves_its_old_device(self, rig: Rig) -> None:
        here = rig.dp.vifs[VM3]
        rig.dp.vifs[VM3] = replace(here, ifindex=4000)
        assert rig.dp.vifs.by_ifindex(here.ifindex) is None
        moved = rig.dp.vifs.by_ifindex(4000)
        assert moved is not None
        assert moved.id == VM3

    def test_forgetting_a_port_keeps_the_device_of_its_successor(self, rig: Rig) -> None:
        here = rig.dp.vifs[VM3]
        rig.dp.vifs[50] = replace(here, id=50)
        rig.dp.vifs.discard(VM3)
        successor = rig.dp.vifs.by_ifindex(here.ifindex)
        assert successor is not None
        assert successor.id == 50
        rig.dp.vifs.discard(50)

    def test_composites_keep_their_members(self, rig: Rig) -> None:
        members = tuple(Member(n, n + 1) for n in range(1, 100))
        rig.dp.nexthops[9] = NextHop.ecmp(members, vrf=1)
        assert rig.dp.nexthops[9].members == members
        assert rig.dp.nexthops.dump()[9].members == members
        rig.dp.nexthops[9] = NextHop.discard()
        assert rig.dp.nexthops[9].members == ()

    def test_sources_are_listed_as_they_were_given(self, rig: Rig) -> None:
        given = [
            Source(VM3, IPv4Network("10.0.0.0/8"), mac(9)),
            Source(VM4, IPv4Network("0.0.0.0/0")),
            Source(VM4, IPv6Network("2001:db8::/64")),
        ]
        for source in given:
            rig.dp.sources.add(source)
        assert sorted(rig.dp.sources, key=str) == sorted(given, key=str)

    def test_tunnel_sources_are_a_set(self, rig: Rig) -> None:
        host = IPv4Address("172.16.0.7")
        rig.dp.tunnel_sources.add(host)
        assert host in rig.dp.tunnel_sources
        assert list(rig.dp.tunnel_sources) == [host]
        assert rig.dp.tunnel_sources.discard(host)
        assert not rig.dp.tunnel_sources.discard(host)

    def test_counters_of_a_port_can_start_again(self, rig: Rig) -> None:
        rig.send(VM3, b"\x02" * 60)
        assert rig.dp.vif_stats(VM3).drops > 0
        rig.dp.clear_vif_stats(VM3)
        assert rig.dp.vif_stats(VM3).drops == 0
        assert not any(rig.dp.vif_drop_stats(VM3).values())
        rig.dp.clear_drop_stats()
        assert not any(rig.dp.drop_stats().values())
        assert list(rig.dp.drop_stats()) == list(DropReason)

    def test_a_full_table_says_so(self, rig: Rig) -> None:
        many = {(6, Mac(n.to_bytes(6, "big"))): BridgeEntry(nh=1) for n in range(2000)}
        with pytest.raises(BpfError, match="bridge: batch of 2000"):
            rig.dp.bridge.put(many)
        rig.dp.bridge.clear()


class TestPins:
    def test_opening_again_finds_tables_and_ports(self, pins: Path, host: Namespace) -> None:
        vif = port_of(host)
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as first:
            assert first.fresh
            host.call_in(lambda: first.attach_vif(vif))
            first.labels[100] = 7
            first.config = Config(fabric_ip=IPv4Address("10.0.0.1"))
            before = first.attached()
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as second:
            assert not second.fresh
            assert second.labels.dump() == {100: 7}
            assert second.vifs.dump() == {3: vif}
            assert second.config.fabric_ip == IPv4Address("10.0.0.1")
            assert second.attached() == before == {3: vif.ifindex}

    def test_programs_are_swapped_into_running_links(self, pins: Path, host: Namespace) -> None:
        vif = port_of(host)
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as first:
            host.call_in(lambda: first.attach_vif(vif))
            old = _attached_program(host)
            link = (pins / "t" / "links" / "3").stat().st_ino
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)):
            assert _attached_program(host) != old
            assert (pins / "t" / "links" / "3").stat().st_ino == link

    def test_another_shape_is_built_beside_and_switched(self, pins: Path, host: Namespace) -> None:
        vif = port_of(host)
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as old:
            host.call_in(lambda: old.attach_vif(vif))
            old.labels[100] = 7
            running = _attached_program(host)
            with host.call_in(lambda: Datapath.open(pins / "t", sizes=OTHER_SIZES)) as new:
                assert new.fresh
                assert new.generation != old.generation
                assert _attached_program(host) == running
                with Datapath.view(pins / "t") as seen:
                    assert seen.labels.dump() == {100: 7}
                new.labels[100] = 8
                host.call_in(lambda: new.attach_vif(vif))
                assert _attached_program(host) != running
                new.switch()
                with Datapath.view(pins / "t") as seen:
                    assert seen.labels.dump() == {100: 8}
                assert set(os.listdir(pins / "t")) == {"current", "links", new.generation}

    def test_switching_drops_links_of_ports_that_were_not_taken_over(
        self, pins: Path, host: Namespace
    ) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as old:
            host.call_in(lambda: old.attach_vif(port_of(host)))
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=OTHER_SIZES)) as new:
            new.switch()
            assert new.attached() == {}
            assert _attached_program(host) is None

    def test_attaching_twice_is_attaching_once(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            for _ in range(2):
                host.call_in(lambda: dp.attach_vif(port_of(host)))
            assert dp.attached() == {3: port_of(host).ifindex}
            assert dp.detach(3)
            assert not dp.detach(3)
            assert _attached_program(host) is None

    def test_a_device_that_came_back_is_attached_anew(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            host.call_in(lambda: dp.attach_vif(port_of(host)))
            host.ip("link", "del", "port")
            assert dp.attached() == {3: 0}
            host.ip("link", "add", "port", "type", "veth", "peer", "name", "far")
            host.call_in(lambda: dp.attach_vif(port_of(host)))
            assert dp.attached() == {3: port_of(host).ifindex}

    def test_attaching_to_no_device_is_refused(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            with pytest.raises(BpfError, match="attach program to interface index 4242"):
                host.call_in(lambda: dp.attach_vif(replace(port_of(host), ifindex=4242)))
            with pytest.raises(DatapathError, match="vif 3: type HOST; accepted: VIRTUAL"):
                dp.attach(replace(port_of(host), type=VifType.HOST))

    def test_a_view_reads_and_cannot_write(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            dp.bridge[1, BROADCAST_MAC] = BridgeEntry(nh=1)
            with Datapath.view(pins / "t") as seen:
                assert seen.bridge.dump() == {(1, BROADCAST_MAC): BridgeEntry(nh=1)}
                with pytest.raises(BpfError, match="Operation not permitted"):
                    seen.labels[100] = 1

    def test_removing_leaves_nothing(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            host.call_in(lambda: dp.attach_vif(port_of(host)))
        Datapath.remove(pins / "t")
        assert os.listdir(pins / "t") == []
        assert _attached_program(host) is None
        Datapath.remove(pins / "never")

    def test_a_fabric_veth_cuts_udp_before_the_wire(self, pins: Path, host: Namespace) -> None:
        with host.call_in(lambda: Datapath.open(pins / "t", sizes=SIZES)) as dp:
            host.call_in(lambda: dp.attach_fabric(port_of(host, 0)))
            assert dp.config.fabric_vif == 0
        assert host.call_in(lambda: driver("port")) == "veth"
        features = host.run("ethtool", "-k", "port")
        assert "tx-udp-segmentation: off" in features
        assert "tcp-segmentation-offload: on" in features


class TestRefusals:
    def test_a_pin_directory_must_be_on_a_bpffs(self, tmp_path: Path) -> None:
        with pytest.raises(DatapathError, match="not on a BPF file system; mount one"):
            Datapath.open(tmp_path)
        with pytest.raises(DatapathError, match="not on a BPF file system"):
            Datapath.remove(tmp_path)

    def test_a_missing_object_says_how_to_build_it(self, pins: Path, tmp_path: Path) -> None:
        with pytest.raises(DatapathError, match="build it with"):
            Datapath.open(pins / "t", object_path=tmp_path / "none.o")

    def test_a_damaged_object_is_refused(self, pins: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.o"
        data = OBJECT.read_bytes()
        broken.write_bytes(data[: len(data) // 2])
        with pytest.raises(DatapathError, match=r"broken\.o.*rebuild it"):
            Datapath.open(pins / "t", object_path=broken)

    def test_sizes_of_unknown_tables_are_refused(self, pins: Path) -> None:
        with pytest.raises(LoadError, match="size of map 'nosuch': no such map; known: abi"):
            Datapath.open(pins / "t", sizes={"nosuch": 1})

    def test_tables_of_another_version_are_not_read(self, pins: Path) -> None:
        Datapath.open(pins / "t", sizes=SIZES).close()
        generation = os.readlink(pins / "t" / "current")
        path = pins / "t" / generation / "maps" / "abi"
        table = syscall.Map(syscall.obj_get(path), "abi")
        table.update(bytes(4), struct.pack("<I", 99).ljust(table.info.value_size, b"\0"))
        table.close()
        with pytest.raises(DatapathError, match=r"tables of another version \(99; this one reads"):
            Datapath.view(pins / "t")

    def test_nothing_to_view_says_so(self, pins: Path) -> None:
        with pytest.raises(DatapathError, match="no datapath is pinned here"):
            Datapath.view(pins / "t")


def test_programs_stay_cheap_to_load(capsys: pytest.CaptureFixture[str]) -> None:
    found = costs()
    assert [cost.program for cost in found] == ["fab_rx", "pkt0_rx", "vif_rx"]
    for cost in found:
        assert 1000 < cost.instructions < INSTRUCTIONS
        assert 0 < cost.stack <= STACK
        assert cost.milliseconds < MILLISECONDS
    assert cost_table() == 0
    assert "vif_rx" in capsys.readouterr().out


def _attached_program(host: Namespace) -> int | None:
    """The id of the program at TCX ingress of ``port``, as the kernel says."""
    return host.call_in(_query_port)


def _query_port() -> int | None:
    ids = ctypes.create_string_buffer(64)
    attr = bytearray(
        struct.pack(
            "<IIIIQII",
            *(socket.if_nametoindex("port"), syscall.TCX_INGRESS, 0, 0),
            *(ctypes.addressof(ids), 16, 0),
        ).ljust(72, b"\0")
    )
    syscall.bpf(PROG_QUERY, attr, "query")
    (count,) = struct.unpack_from("<I", attr, 24)
    return int(struct.unpack_from("<I", ids.raw)[0]) if count else None
