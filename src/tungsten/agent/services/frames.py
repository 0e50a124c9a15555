"""Frames between a workload and the agent: Ethernet, IPv4, UDP and ICMP echo, as octets.

Only what the agent's services need: whole, untagged IPv4 packets (RFC 791, 768, 792). The header
in front of frames on pkt0 is :mod:`tungsten.datapath.trap`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

ETHERNET = struct.Struct("!6s6sH")
IPV4 = struct.Struct("!BBHHHBBH4s4s")
UDP = struct.Struct("!HHHH")
ETH_P_IP = 0x0800
BROADCAST_MAC = b"\xff" * 6
ROUTER_MAC = bytes.fromhex("00005e000100")
"""The MAC of every gateway and of the agent's services, upstream's VRRP MAC."""
PROTO_ICMP = 1
PROTO_UDP = 17


class FrameError(ValueError):
    """A frame that cannot be read; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 packet in an Ethernet frame: ``payload`` follows the IPv4 header."""

    source_mac: bytes
    destination_mac: bytes
    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Datagram:
    """The UDP part of a packet."""

    source_port: int
    destination_port: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of ``data``."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def decode_packet(frame: bytes) -> Packet:
    """Read an untagged IPv4 frame that is no fragment. Raises :class:`FrameError`."""
    if len(frame) < ETHERNET.size + IPV4.size:
        raise FrameError(f"frame of {len(frame)} octets is too short for IPv4")
    destination_mac, source_mac, ethertype = ETHERNET.unpack_from(frame)
    if ethertype != ETH_P_IP:
        raise FrameError(f"ethertype {ethertype:#06x}, accepted is 0x0800")
    version, _, length, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(
        frame, ETHERNET.size
    )
    header = (version & 0xF) * 4
    end = ETHERNET.size + length
    if version >> 4 != 4 or header < IPV4.size or length < header or end > len(frame):
        raise FrameError(f"IPv4 version/IHL {version:#04x}, length {length} do not fit the frame")
    if fragment & 0x3FFF:
        raise FrameError("IPv4 fragment")
    return Packet(
        source_mac,
        destination_mac,
        IPv4Address(source),
        IPv4Address(destination),
        protocol,
        frame[ETHERNET.size + header : end],
    )


def decode_udp(packet: Packet) -> Datagram:
    """The UDP datagram of a packet. Raises :class:`FrameError`."""
    if packet.protocol != PROTO_UDP or len(packet.payload) < UDP.size:
        raise FrameError(f"protocol {packet.protocol} with {len(packet.payload)} octets, not UDP")
    source, destination, length, _ = UDP.unpack_from(packet.payload)
    if not UDP.size <= length <= len(packet.payload):
        raise FrameError(f"UDP length {length} does not fit {len(packet.payload)} octets")
    return Datagram(source, destination, packet.payload[UDP.size : length])


def encode_packet(packet: Packet, ttl: int = 64) -> bytes:
    """An Ethernet frame with the packet in it, not fragmentable."""
    length = IPV4.size + len(packet.payload)
    fields = (
        0x45,
        0,
        length,
        0,
        0x4000,
        ttl,
        packet.protocol,
        0,
        packet.source.packed,
        packet.destination.packed,
    )
    header = IPV4.pack(*fields)
    header = IPV4.pack(*fields[:7], checksum(header), *fields[8:])
    ethernet = ETHERNET.pack(packet.destination_mac, packet.source_mac, ETH_P_IP)
    return ethernet + header + packet.payload


def encode_udp(source: IPv4Address, destination: IPv4Address, datagram: Datagram) -> bytes:
    """The payload of an IPv4 packet that carries ``datagram``, with its checksum (RFC 768)."""
    length = UDP.size + len(datagram.payload)
    header = UDP.pack(datagram.source_port, datagram.destination_port, length, 0)
    pseudo = source.packed + destination.packed + struct.pack("!HH", PROTO_UDP, length)
    value = checksum(pseudo + header + datagram.payload) or 0xFFFF
    header = UDP.pack(datagram.source_port, datagram.destination_port, length, value)
    return header + datagram.payload


def echo_reply(packet: Packet) -> bytes | None:
    """The frame that answers an ICMP echo request; None for anything else."""
    payload = packet.payload
    if packet.protocol != PROTO_ICMP or len(payload) < 8 or payload[0] != 8 or payload[1] != 0:
        return None
    if checksum(payload) != 0:
        return None
    body = b"\0\0\0\0" + payload[4:]
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    return encode_packet(
        Packet(
            packet.destination_mac,
            packet.source_mac,
            packet.destination,
            packet.source,
            PROTO_ICMP,
            body,
        )
    )
