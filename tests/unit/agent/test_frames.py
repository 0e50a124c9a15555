from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether

from tungsten.agent.services.frames import (
    Datagram,
    FrameError,
    Packet,
    decode_packet,
    decode_udp,
    echo_reply,
    encode_packet,
    encode_udp,
)

A, B = IPv4Address("10.0.1.1"), IPv4Address("10.0.1.3")
MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def test_a_datagram_is_what_another_stack_reads() -> None:
    payload = encode_udp(A, B, Datagram(67, 68, b"hello"))
    frame = encode_packet(Packet(MAC_A, MAC_B, A, B, 17, payload))
    seen = Ether(frame)
    checked = Ether(bytes(seen))
    del checked[IP].chksum, checked[UDP].chksum
    assert bytes(Ether(bytes(checked))) == frame
    assert (seen[UDP].sport, bytes(seen[UDP].payload)) == (67, b"hello")
    assert decode_udp(decode_packet(frame)) == Datagram(67, 68, b"hello")


def test_echo_requests_are_answered_with_ttl_64() -> None:
    request = bytes(
        Ether(src=MAC_B.hex(":"), dst=MAC_A.hex(":"))
        / IP(src=str(B), dst=str(A), ttl=1)
        / ICMP(id=3, seq=4)
        / b"abc"
    )
    reply = echo_reply(decode_packet(request))
    assert reply is not None
    seen = Ether(reply)
    assert (seen.src, seen.dst) == (MAC_A.hex(":"), MAC_B.hex(":"))
    assert (seen[IP].src, seen[IP].dst, seen[IP].ttl) == (str(A), str(B), 64)
    assert (seen[ICMP].type, seen[ICMP].id, seen[ICMP].seq) == (0, 3, 4)
    again = Ether(reply)
    del again[ICMP].chksum
    assert bytes(again) == reply


def test_other_icmp_and_bad_checksums_are_not_answered() -> None:
    def reply(layer: ICMP) -> bytes | None:
        return echo_reply(decode_packet(bytes(Ether() / IP(src=str(B), dst=str(A)) / layer)))

    assert reply(ICMP(type=13)) is None
    assert reply(ICMP(chksum=1)) is None


@pytest.mark.parametrize("change", [{"frag": 5}, {"flags": "MF"}, {"ihl": 4}, {"len": 500}])
def test_packets_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    frame = bytes(Ether() / IP(src=str(B), dst=str(A), **change) / UDP() / b"abc")
    with pytest.raises(FrameError):
        decode_packet(frame)


@given(st.binary(max_size=120))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, bytes(12) + b"\x08\x00\x45" + data):
        try:
            packet = decode_packet(candidate)
            echo_reply(packet)
            decode_udp(packet)
        except FrameError:
            continue
