"""The agent's port into the datapath: frames it traps, answers it sends back.

A frame is dispatched by what it is, in upstream's order: DHCP, then echo requests to gateway and
service addresses; everything else is counted and dropped. Who sent it is decided by the vif in
the trap header alone. Each vif has a token bucket here too, besides the datapath's, so that one
workload cannot take the agent's time from the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

import structlog

from tungsten.agent.oper import Interface, Vrf
from tungsten.agent.services import dhcp
from tungsten.agent.services.frames import (
    BROADCAST_MAC,
    PROTO_UDP,
    ROUTER_MAC,
    Datagram,
    FrameError,
    Packet,
    decode_packet,
    decode_udp,
    echo_reply,
    encode_packet,
    encode_udp,
)
from tungsten.datapath.abi import TrapCmd
from tungsten.datapath.trap import TrapError, TrapHeader, build, parse

log = structlog.get_logger("tungsten.agent")

FRAMES_PER_TURN = 64
_SERVER_PORT, _CLIENT_PORT = 67, 68
_BROADCAST = IPv4Address("255.255.255.255")


class Lookup(Protocol):
    """Operational state as the services need it."""

    def port(self, vif: int) -> tuple[Interface, Vrf] | None:
        """The interface behind a vif, with its VRF, when both are known."""

    def lease(self, vif: int) -> dhcp.Lease | None:
        """What DHCP tells the port; None when it is not served."""


class Port(Protocol):
    """The agent's own port (:class:`tungsten.datapath.tap.Tap`)."""

    fd: int

    def read(self) -> bytes | None:
        """One frame, or None when there is none now."""

    def write(self, frame: bytes) -> bool:
        """Sends a frame; False when the queue is full."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBuckets:
    """``rate`` per second and ``burst`` at once, per key; keys idle for long are dropped."""

    LIMIT = 8192

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[int, _Bucket] = {}

    def take(self, key: int, now: float) -> bool:
        """Take a token; False when there is none."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self.LIMIT:
                self._buckets.clear()
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def answer_dhcp(packet: Packet, datagram: Datagram, lease: dhcp.Lease) -> bytes | None:
    """The frame that answers a DHCP packet from the port that holds ``lease``; None for no
    answer. Raises :class:`~tungsten.agent.services.dhcp.DhcpError`."""
    request = dhcp.decode(datagram.payload)
    reply = dhcp.respond(request, lease)
    if reply is None:
        return None
    broadcast = dhcp.goes_to_broadcast(request, reply)
    destination = _BROADCAST
    if not broadcast:
        destination = request.ciaddr if int(request.ciaddr) else reply.yiaddr
    payload = encode_udp(
        lease.server, destination, Datagram(_SERVER_PORT, _CLIENT_PORT, dhcp.encode(reply))
    )
    return encode_packet(
        Packet(
            source_mac=ROUTER_MAC,
            destination_mac=BROADCAST_MAC if broadcast else packet.source_mac,
            source=lease.server,
            destination=destination,
            protocol=PROTO_UDP,
            payload=payload,
        )
    )


class Pkt0:
    """Reads the tap, dispatches, answers. ``counters`` says what became of frames."""

    def __init__(self, tap: Port, lookup: Lookup, dhcp_rate: float, dhcp_burst: float) -> None:
        self._tap = tap
        self._lookup = lookup
        self._dhcp = TokenBuckets(dhcp_rate, dhcp_burst)
        self._echo = TokenBuckets(100, 100)
        self.counters: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._tap.fd, self._readable)

    def stop(self) -> None:
        """Read no more."""
        asyncio.get_running_loop().remove_reader(self._tap.fd)

    def _readable(self) -> None:
        for _ in range(FRAMES_PER_TURN):
            try:
                data = self._tap.read()
            except OSError as error:
                self.counters["read_failed"] += 1
                log.error("pkt0_read_failed", reason=str(error))
                return
            if data is None:
                return
            self.receive(data, asyncio.get_running_loop().time())

    def receive(self, data: bytes, now: float) -> None:
        """Take one frame from the datapath."""
        try:
            header, frame = parse(data)
            answer = self.answer(header, frame, now)
        except TrapError:
            self.counters["bad_trap"] += 1
        except FrameError:
            self.counters["bad_frame"] += 1
        except dhcp.DhcpError as error:
            self.counters["bad_dhcp"] += 1
            log.debug("dhcp_refused", vif=header.vif, reason=str(error))
        else:
            if answer is not None:
                self._send(header, answer)

    def _send(self, header: TrapHeader, frame: bytes) -> None:
        out = TrapHeader(vif=header.vif, vrf=header.vrf, cmd=TrapCmd.SWITCH)
        try:
            sent = self._tap.write(build(out, frame))
        except OSError as error:
            sent = False
            log.error("pkt0_write_failed", reason=str(error))
        self.counters["sent" if sent else "not_sent"] += 1

    def answer(self, header: TrapHeader, frame: bytes, now: float) -> bytes | None:
        """The frame to send back to the vif a frame came from; None for none."""
        packet = decode_packet(frame)
        if packet.protocol == PROTO_UDP:
            datagram = decode_udp(packet)
            if datagram.destination_port == _SERVER_PORT:
                return self._answer_dhcp(header.vif, packet, datagram, now)
        known = self._lookup.port(header.vif)
        if known is not None and self._is_service(known[1], packet.destination):
            reply = echo_reply(packet)
            if reply is not None and self._echo.take(header.vif, now):
                self.counters["echo"] += 1
                return reply
        self.counters[f"ignored_{header.cmd.name.lower()}"] += 1
        return None

    def _answer_dhcp(
        self, vif: int, packet: Packet, datagram: Datagram, now: float
    ) -> bytes | None:
        if not self._dhcp.take(vif, now):
            self.counters["dhcp_limited"] += 1
            return None
        lease = self._lookup.lease(vif)
        if lease is None:
            self.counters["dhcp_not_served"] += 1
            return None
        answer = answer_dhcp(packet, datagram, lease)
        self.counters["dhcp_answered" if answer else "dhcp_not_ours"] += 1
        return answer

    @staticmethod
    def _is_service(vrf: Vrf, address: IPv4Address) -> bool:
        return any(address in (subnet.gateway, subnet.service) for subnet in vrf.subnets)
