import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from tests.unit.agent.agent_samples import World

from tungsten.agent.derive import compile_oper
from tungsten.agent.leases import lease_for
from tungsten.agent.oper import Interface, Vrf
from tungsten.agent.services.dhcp import Lease
from tungsten.agent.services.pkt0 import Pkt0, TokenBuckets
from tungsten.datapath.abi import TrapCmd
from tungsten.datapath.trap import TrapHeader, build, parse

MAC = "02:00:00:00:00:01"
ROUTER = "00:00:5e:00:01:00"
HEADER = TrapHeader(vif=3, vrf=1, cmd=TrapCmd.L3_PROTOCOLS)


class Port:
    """The agent's own port with its other end in our hands."""

    fd = -1

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def read(self) -> bytes | None:
        return None

    def write(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True


class Known:
    """One interface, on vif 3."""

    def __init__(self) -> None:
        world = World()
        world.network("blue", "10.0.1.0/24")
        world.interface("blue", "10.0.1.3")
        oper = compile_oper(world.graph(), tuple(world.ports), world.devices(), ())
        (self.interface,) = oper.interfaces.values()
        self.vrf = oper.vrfs[self.interface.vrf]

    def port(self, vif: int) -> tuple[Interface, Vrf] | None:
        return (self.interface, self.vrf) if vif == 3 else None

    def lease(self, vif: int) -> Lease | None:
        return lease_for(self.interface, self.vrf, 1500) if vif == 3 else None


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def pkt0(port: Port) -> Pkt0:
    return Pkt0(port, Known(), dhcp_rate=20, dhcp_burst=40)


def dhcp(kind: str, *options: object, flags: int = 0) -> bytes:
    frame = (
        Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=5, flags=flags)
        / DHCP(options=[("message-type", kind), *options, "end"])
    )
    return bytes(frame)


def trap(frame: bytes, vif: int = 3) -> bytes:
    return build(TrapHeader(vif=vif, vrf=1, cmd=TrapCmd.L3_PROTOCOLS), frame)


def test_a_discover_is_answered_to_the_vif_it_came_from(pkt0: Pkt0, port: Port) -> None:
    pkt0.receive(trap(dhcp("discover")), 0.0)
    header, frame = parse(port.sent[0])
    assert (header.vif, header.vrf, header.cmd) == (3, 1, TrapCmd.SWITCH)
    seen = Ether(frame)
    assert (seen.src, seen.dst) == (ROUTER, MAC)
    assert (seen[IP].src, seen[IP].dst) == ("10.0.1.2", "10.0.1.3")
    assert (seen[UDP].sport, seen[UDP].dport) == (67, 68)
    assert seen[BOOTP].yiaddr == "10.0.1.3"
    assert ("message-type", 2) in seen[DHCP].options
    assert ("interface-mtu", 1450) in seen[DHCP].options
    checked = Ether(frame)
    del checked[UDP].chksum
    assert bytes(checked) == frame


def test_the_broadcast_flag_is_honoured(pkt0: Pkt0, port: Port) -> None:
    pkt0.receive(trap(dhcp("discover", flags=0x8000)), 0.0)
    seen = Ether(parse(port.sent[0])[1])
    assert (seen.dst, seen[IP].dst) == ("ff:ff:ff:ff:ff:ff", "255.255.255.255")


def test_who_asks_is_the_vif_whatever_the_packet_says(pkt0: Pkt0, port: Port) -> None:
    other = bytes.fromhex("02000000ffff")
    frame = dhcp("request", ("requested_addr", "10.0.1.9"), ("client_id", b"\x01" + other))
    pkt0.receive(trap(frame), 0.0)
    seen = Ether(parse(port.sent[0])[1])
    assert ("message-type", 6) in seen[DHCP].options
    assert seen[BOOTP].yiaddr == "0.0.0.0"
    pkt0.receive(trap(dhcp("discover"), vif=9), 0.0)
    assert len(port.sent) == 1
    assert pkt0.counters["dhcp_not_served"] == 1


def test_one_port_cannot_use_up_the_others_answers(pkt0: Pkt0, port: Port) -> None:
    for _ in range(100):
        pkt0.receive(trap(dhcp("discover")), 1.0)
    assert len(port.sent) == 40
    assert pkt0.counters["dhcp_limited"] == 60
    pkt0.receive(trap(dhcp("discover")), 2.0)
    assert len(port.sent) == 41


@pytest.mark.parametrize(
    ("address", "answered"), [("10.0.1.1", 1), ("10.0.1.2", 1), ("10.0.1.9", 0)]
)
def test_gateway_and_service_answer_echo_requests(
    pkt0: Pkt0, port: Port, address: str, answered: int
) -> None:
    frame = Ether(src=MAC, dst=ROUTER) / IP(src="10.0.1.3", dst=address) / ICMP(id=1, seq=2)
    pkt0.receive(trap(bytes(frame)), 0.0)
    assert len(port.sent) == answered
    if answered:
        seen = Ether(parse(port.sent[0])[1])
        assert (seen[IP].src, seen[IP].dst, seen[ICMP].type) == (address, "10.0.1.3", 0)


def test_buckets_fill_with_time_and_do_not_grow_without_end() -> None:
    buckets = TokenBuckets(rate=2, burst=3)
    assert [buckets.take(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert buckets.take(1, 0.5)
    assert not buckets.take(1, 0.5)
    for key in range(TokenBuckets.LIMIT * 2):
        assert buckets.take(key + 10, 1.0)
    assert len(buckets._buckets) <= TokenBuckets.LIMIT


@given(st.binary(max_size=400))
def test_any_frame_is_answered_or_counted(data: bytes) -> None:
    port = Port()
    pkt0 = Pkt0(port, Known(), 1e6, 1e6)
    good = dhcp("discover")
    for frame in (data, build(HEADER, data), trap(good[:42] + data), trap(good[:282] + data)):
        before = sum(pkt0.counters.values())
        pkt0.receive(frame, 0.0)
        assert sum(pkt0.counters.values()) > before
