"""Packets that workload VM3 (or another) of the rig sends."""

from __future__ import annotations

from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from tests.unit.datapath.datapath_rig import (
    VM3,
    address,
    mac,
)

from tungsten.datapath import (
    VRRP_MAC,
)


def routed(to: str, *, payload: Packet | None = None, ttl: int = 64, **fields: Any) -> Packet:
    """A packet of VM3 to its gateway's MAC."""
    ip = IP(src=address(VM3), dst=to, ttl=ttl, **fields)
    return (
        Ether(src=str(mac(VM3)), dst=str(VRRP_MAC))
        / ip
        / (payload or UDP(sport=1000, dport=9) / Raw(b"x" * 8))
    )


def bridged(to: int, payload: Packet | None = None) -> Packet:
    """A packet of VM3 to another workload's MAC."""
    ip = IP(src=address(VM3), dst=address(to))
    return (
        Ether(src=str(mac(VM3)), dst=str(mac(to)))
        / ip
        / (payload or UDP(sport=1000, dport=9) / Raw(b"x" * 8))
    )


def arp(who: str, *, op: int = 1, dst: str = "ff:ff:ff:ff:ff:ff", **fields: object) -> Packet:
    """An ARP packet of VM3."""
    layer = ARP(op=op, hwsrc=str(mac(VM3)), psrc=address(VM3), pdst=who)
    for name, value in fields.items():
        setattr(layer, name, value)
    return Ether(src=str(mac(VM3)), dst=dst) / layer


def checksummed(packet: Packet) -> Packet:
    """The packet with its checksums computed anew."""
    fresh = packet.copy()
    del fresh[IP].chksum
    if ICMP in fresh:
        del fresh[ICMP].chksum
    return Ether(bytes(fresh))


def arp_of(port: int, who: str) -> Packet:
    """An ARP question of any workload."""
    layer = ARP(hwsrc=str(mac(port)), psrc=address(port), pdst=who)
    return Ether(src=str(mac(port)), dst="ff:ff:ff:ff:ff:ff") / layer


def dhcp(port: int = VM3) -> Packet:
    """A workload that asks for an address."""
    return (
        Ether(src=str(mac(port)), dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=bytes(mac(port)))
        / DHCP(options=[("message-type", "discover"), "end"])
    )
