"""A DHCPv4 server without I/O: the message codec and the decision what to answer.

Terms and layout are those of RFC 2131 and RFC 2132; classless routes RFC 3442; repeated options
are joined as RFC 3396 asks; option overload (52) is honoured once per field, never recursively.

The server has no pool: a port has exactly one address, decided by the configuration, and the
*port* a request came in on is who the client is. Nothing inside the packet (chaddr, client id,
requested address) can get a client another port's address.

Order of options in an answer is upstream's: 53, 54, 1, 28, configured options (port, then subnet,
then IPAM), 51, 121, 3, 12, 6, 15; then 26 (MTU).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network

COOKIE = b"\x63\x82\x53\x63"
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
"""op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file."""

MAX_MESSAGE = 1500
MAX_OPTIONS = 64
MIN_REPLY = 300
"""Shortest reply: some clients drop less (RFC 951's 300 octets)."""
BROADCAST_FLAG = 0x8000
NO_ADDRESS = IPv4Address(0)
INFINITE = 0xFFFFFFFF


class DhcpError(ValueError):
    """A message that cannot be read, or an answer that does not fit; the text says why."""


class MessageType(IntEnum):
    """Option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """Options the server knows by name."""

    PAD = 0
    MASK = 1
    ROUTER = 3
    DNS = 6
    HOST_NAME = 12
    DOMAIN = 15
    MTU = 26
    BROADCAST = 28
    REQUESTED_ADDRESS = 50
    LEASE = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    CLASSLESS_ROUTES = 121
    END = 255


@dataclass(frozen=True, slots=True)
class Message:
    """A BOOTP message with its options, in order of first appearance."""

    op: int
    xid: int
    chaddr: bytes
    ciaddr: IPv4Address = NO_ADDRESS
    yiaddr: IPv4Address = NO_ADDRESS
    siaddr: IPv4Address = NO_ADDRESS
    giaddr: IPv4Address = NO_ADDRESS
    secs: int = 0
    flags: int = 0
    hops: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def type(self) -> MessageType:
        """Option 53. Raises :class:`DhcpError` when it is absent or unknown."""
        value = self.options.get(Option.MESSAGE_TYPE, b"")
        if len(value) != 1 or not 1 <= value[0] <= 8:
            raise DhcpError(f"option 53 is {value.hex() or 'absent'}, accepted is one octet 1..8")
        return MessageType(value[0])

    def address_option(self, option: Option) -> IPv4Address | None:
        """An option that holds one address. Raises :class:`DhcpError` for another length."""
        value = self.options.get(option)
        if value is None:
            return None
        if len(value) != 4:
            raise DhcpError(f"option {option} has {len(value)} octets, accepted are 4")
        return IPv4Address(value)


def _parse_options(data: bytes, options: dict[int, bytes]) -> None:
    """Add the options of one field to ``options``; stops at the end option or the field's end."""
    position = 0
    count = 0
    while position < len(data):
        code = data[position]
        position += 1
        if code == Option.PAD:
            continue
        if code == Option.END:
            return
        count += 1
        if count > MAX_OPTIONS:
            raise DhcpError(f"more than {MAX_OPTIONS} options")
        if position >= len(data):
            raise DhcpError(f"option {code} has no length")
        length = data[position]
        value = data[position + 1 : position + 1 + length]
        if len(value) != length:
            raise DhcpError(f"option {code} of {length} octets runs past the end")
        options[code] = options.get(code, b"") + value
        position += 1 + length


def decode(data: bytes) -> Message:
    """Read a client's message. Raises :class:`DhcpError` for anything else.

    Accepted: op 1, Ethernet (htype 1, hlen 6), no relay (giaddr 0), at most 1500 octets.
    """
    if not HEADER.size + len(COOKIE) <= len(data) <= MAX_MESSAGE:
        raise DhcpError(f"{len(data)} octets, accepted are 240 to {MAX_MESSAGE}")
    op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file = (
        HEADER.unpack_from(data)
    )
    if op != 1:
        raise DhcpError(f"op is {op}, accepted is 1")
    if (htype, hlen) != (1, 6):
        raise DhcpError(f"htype {htype} hlen {hlen}, accepted are 1 and 6")
    if gi != bytes(4):
        raise DhcpError(f"giaddr is {IPv4Address(gi)}, accepted is 0.0.0.0")
    if data[HEADER.size : HEADER.size + 4] != COOKIE:
        raise DhcpError("no DHCP cookie")
    options: dict[int, bytes] = {}
    _parse_options(data[HEADER.size + 4 :], options)
    overload = options.get(Option.OVERLOAD, b"")
    if len(overload) == 1 and overload[0] in (1, 3):
        _parse_options(file, options)
    if len(overload) == 1 and overload[0] in (2, 3):
        _parse_options(sname, options)
    return Message(
        op=op,
        xid=xid,
        chaddr=chaddr[:6],
        ciaddr=IPv4Address(ci),
        yiaddr=IPv4Address(yi),
        siaddr=IPv4Address(si),
        giaddr=IPv4Address(gi),
        secs=secs,
        flags=flags,
        hops=hops,
        options=options,
    )


def encode(message: Message) -> bytes:
    """The octets of a message, padded to 300.

    Options longer than 255 octets are split (RFC 3396). Raises :class:`DhcpError` when the whole
    is longer than 1500 octets less the IP and UDP headers.
    """
    header = HEADER.pack(
        message.op,
        1,
        6,
        message.hops,
        message.xid,
        message.secs,
        message.flags,
        message.ciaddr.packed,
        message.yiaddr.packed,
        message.siaddr.packed,
        message.giaddr.packed,
        message.chaddr.ljust(16, b"\0"),
        b"",
        b"",
    )
    parts = [header, COOKIE]
    for code, value in message.options.items():
        for start in range(0, len(value), 255) or (0,):
            piece = value[start : start + 255]
            parts.append(bytes((code, len(piece))) + piece)
    parts.append(b"\xff")
    data = b"".join(parts)
    if len(data) > MAX_MESSAGE - 28:
        raise DhcpError(f"answer of {len(data)} octets, accepted are {MAX_MESSAGE - 28}")
    return data.ljust(MIN_REPLY, b"\0")


@dataclass(frozen=True, slots=True)
class Lease:
    """What a port is told: everything the server says about one interface.

    ``extra`` are configured options by code, already in upstream's order of precedence; they
    replace the server's own of the same code. ``seconds`` is the lease time.
    """

    address: IPv4Address
    prefix_length: int
    server: IPv4Address
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""
    host_name: str = ""
    mtu: int | None = None
    routes: tuple[tuple[IPv4Network, IPv4Address], ...] = ()
    seconds: int = INFINITE
    extra: tuple[tuple[int, bytes], ...] = ()


def host_label(name: str) -> str:
    """``name`` with only letters, digits and hyphens left, as a DNS label of at most 63."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:63].rstrip("-")


def classless_routes(routes: tuple[tuple[IPv4Network, IPv4Address], ...]) -> bytes:
    """The value of option 121: per route, prefix length, significant octets, gateway."""
    parts = []
    for network, gateway in routes:
        significant = (network.prefixlen + 7) // 8
        parts.append(
            bytes((network.prefixlen,))
            + network.network_address.packed[:significant]
            + gateway.packed
        )
    return b"".join(parts)


def lease_options(lease: Lease) -> dict[int, bytes]:
    """Options 1 to 26 of an OFFER or ACK, in upstream's order."""
    network = IPv4Network((lease.address, lease.prefix_length), strict=False)
    options: dict[int, bytes] = {Option.MASK: network.netmask.packed}
    if lease.prefix_length < 31:
        options[Option.BROADCAST] = network.broadcast_address.packed
    for code, value in lease.extra:
        options.setdefault(code, value)
    options[Option.LEASE] = lease.seconds.to_bytes(4, "big")
    if lease.routes:
        options.setdefault(Option.CLASSLESS_ROUTES, classless_routes(lease.routes))
    if lease.router is not None:
        options.setdefault(Option.ROUTER, lease.router.packed)
    if label := host_label(lease.host_name):
        options.setdefault(Option.HOST_NAME, label.encode())
    if lease.dns:
        options.setdefault(Option.DNS, b"".join(address.packed for address in lease.dns))
    if lease.domain:
        options.setdefault(Option.DOMAIN, lease.domain.encode("idna"))
    if lease.mtu is not None:
        options.setdefault(Option.MTU, lease.mtu.to_bytes(2, "big"))
    return options


def _reply(request: Message, kind: MessageType, lease: Lease, options: dict[int, bytes]) -> Message:
    inform = request.type is MessageType.INFORM
    nak = kind is MessageType.NAK
    return Message(
        op=2,
        xid=request.xid,
        chaddr=request.chaddr,
        ciaddr=request.ciaddr if kind is MessageType.ACK else NO_ADDRESS,
        yiaddr=NO_ADDRESS if inform or nak else lease.address,
        siaddr=NO_ADDRESS if nak else lease.server,
        flags=request.flags,
        options={
            Option.MESSAGE_TYPE: bytes((kind,)),
            Option.SERVER_ID: lease.server.packed,
            **options,
        },
    )


def respond(request: Message, lease: Lease) -> Message | None:
    """The answer to a request from the port that holds ``lease``; None when there is none.

    A REQUEST is acknowledged when what it asks for (requested address, else ciaddr) is the
    port's address, and refused otherwise (RFC 2131 section 4.3.2); one that selects another
    server is left alone. Raises :class:`DhcpError` for a request that makes no sense.
    """
    kind = request.type
    if kind is MessageType.DISCOVER:
        return _reply(request, MessageType.OFFER, lease, lease_options(lease))
    if kind is MessageType.INFORM:
        options = lease_options(lease)
        del options[Option.LEASE]
        return _reply(request, MessageType.ACK, lease, options)
    if kind is not MessageType.REQUEST:
        return None
    server = request.address_option(Option.SERVER_ID)
    if server is not None and server != lease.server:
        return None
    wanted = request.address_option(Option.REQUESTED_ADDRESS)
    if wanted is None:
        wanted = request.ciaddr
    if not int(wanted):
        raise DhcpError("a REQUEST names no address")
    if wanted != lease.address:
        return _reply(request, MessageType.NAK, lease, {})
    return _reply(request, MessageType.ACK, lease, lease_options(lease))


def goes_to_broadcast(request: Message, reply: Message) -> bool:
    """Whether the answer is sent to the broadcast addresses (RFC 2131 section 4.1)."""
    if reply.type is MessageType.NAK:
        return True
    if int(request.ciaddr):
        return False
    return bool(request.flags & BROADCAST_FLAG)
