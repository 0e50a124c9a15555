"""Speakers on real sockets of the loopback: sessions, strangers, garbage, slow readers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from tests.unit.bgp.bgp_dialogue import peer_open

from tungsten.bgp.attributes import AttributeStore, PathAttributes
from tungsten.bgp.errors import UsageError
from tungsten.bgp.families import INET_VPN
from tungsten.bgp.fsm import Down, State
from tungsten.bgp.messages import (
    Framer,
    Keepalive,
    Notification,
    RouteRefresh,
    encode_message,
)
from tungsten.bgp.negotiation import Negotiated, SessionConfig
from tungsten.bgp.nlri import Vpn, encode_nlri, mpls_field, prefix_from_text, rd_from_text
from tungsten.bgp.transport import Peer, PeerConfig, Speaker
from tungsten.bgp.update import Update, pack_end_of_rib, pack_reach

RD = rd_from_text("192.0.2.7:3")
ATTRIBUTES = PathAttributes(next_hop=bytes((192, 0, 2, 7)), local_preference=100)


@dataclass
class Recorder:
    """What a peer told its owner."""

    ups: list[Negotiated] = field(default_factory=list)
    updates: list[Update | RouteRefresh] = field(default_factory=list)
    downs: list[Down] = field(default_factory=list)
    drained: int = 0

    def up(self, peer: Peer, negotiated: Negotiated) -> None:
        self.ups.append(negotiated)

    def received(self, peer: Peer, message: Update | RouteRefresh) -> None:
        self.updates.append(message)

    def writable(self, peer: Peer) -> None:
        self.drained += 1

    def down(self, peer: Peer, down: Down) -> None:
        self.downs.append(down)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def peer_config(me: str, other: str, port: int, **changes: object) -> PeerConfig:
    session = SessionConfig(
        name=other,
        local_as=64512,
        peer_as=64512,
        router_id=socket.inet_aton(me),
        families=frozenset({INET_VPN}),
        passive=bool(changes.pop("passive", False)),
        connect_time=0.2,
        idle_hold=0.1,
    )
    values: dict[str, object] = {"address": other, "port": port, "local_address": me, **changes}
    return PeerConfig(session=session, **values)  # type: ignore[arg-type]


Make = Callable[[str], Awaitable[Speaker]]


@pytest.fixture
async def speaker() -> AsyncIterator[Make]:
    made: list[Speaker] = []

    async def make(host: str) -> Speaker:
        fresh = Speaker(host, 0, AttributeStore())
        made.append(fresh)
        await fresh.start()
        return fresh

    yield make
    for each in made:
        await each.stop()


async def test_two_speakers_exchange_routes(speaker: Make) -> None:
    a, b = await speaker("127.0.1.1"), await speaker("127.0.1.2")
    at_a, at_b = Recorder(), Recorder()
    to_b = a.add(peer_config("127.0.1.1", "127.0.1.2", b.port), at_a)
    to_a = b.add(peer_config("127.0.1.2", "127.0.1.1", a.port), at_b)
    await until(lambda: to_a.established and to_b.established)
    block = a.store.block(ATTRIBUTES, True, False)
    routes = [Vpn(RD, prefix_from_text(f"10.1.{i}.0/24"), mpls_field(i + 16)) for i in range(200)]
    for message in pack_reach(INET_VPN, block, ATTRIBUTES.next_hop, map(encode_nlri, routes)):
        to_b.send(message)
    to_b.send(pack_end_of_rib(INET_VPN))
    await until(lambda: len(at_b.updates) == 2)
    first, last = at_b.updates
    assert isinstance(first, Update)
    assert isinstance(last, Update)
    assert list(first.reach[0].routes) == routes
    assert first.reach[0].attributes == ATTRIBUTES
    assert last.end_of_rib == INET_VPN
    a.remove("127.0.1.2")
    await until(lambda: at_b.downs)
    assert at_b.downs[0].received == Notification(6, 2)
    with pytest.raises(UsageError, match="not Established"):
        to_b.send(b"")


async def test_stranger_is_told_and_closed_without_being_read(speaker: Make) -> None:
    """B-15."""
    a = await speaker("127.0.1.3")
    reader, writer = await asyncio.open_connection("127.0.1.3", a.port)
    answer = await reader.read()
    assert answer[18:21] == b"\3\6\5"
    writer.close()
    assert sum(a.refused.values()) == 1


async def test_second_neighbour_of_an_address_is_refused(speaker: Make) -> None:
    a = await speaker("127.0.1.4")
    a.add(peer_config("127.0.1.4", "127.0.1.5", 1, passive=True), Recorder())
    with pytest.raises(UsageError, match=r"127\.0\.1\.5 is already"):
        a.add(peer_config("127.0.1.4", "127.0.1.5", 1, passive=True), Recorder())


async def raw_session(port: int, me: str, host: str) -> socket.socket:
    """A neighbour played by hand, up to Established."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind((me, 0))
    await loop.sock_connect(sock, (host, port))
    opened = encode_message(peer_open(router_id=socket.inet_aton(me))) + encode_message(Keepalive())
    await loop.sock_sendall(sock, opened)
    return sock


async def test_garbage_closes_its_own_session_only(speaker: Make) -> None:
    """B-01, B-20."""
    a = await speaker("127.0.1.6")
    bad, good = Recorder(), Recorder()
    mangled = a.add(peer_config("127.0.1.6", "127.0.1.7", 1, passive=True), bad)
    bystander = a.add(peer_config("127.0.1.6", "127.0.1.8", 1, passive=True), good)
    loop = asyncio.get_running_loop()
    socks = [await raw_session(a.port, me, "127.0.1.6") for me in ("127.0.1.7", "127.0.1.8")]
    await until(lambda: mangled.established and bystander.established)
    await loop.sock_sendall(socks[0], b"\xff" * 16 + b"\0\x17\2\xff\xff\0\0")
    await until(lambda: bad.downs)
    sent = bad.downs[0].sent
    assert sent is not None
    assert (sent.code, sent.subcode) == (3, 1)
    heard = [t for t, _ in Framer().feed(await loop.sock_recv(socks[0], 4096))]
    assert heard[-1] == 3
    assert "withdrawn and attribute lengths" in mangled.last_error
    assert bystander.state is State.ESTABLISHED
    assert bystander.counters["established"] == 1
    assert not good.downs
    for sock in socks:
        sock.close()


async def test_idle_connections_hold_nobody_up(speaker: Make) -> None:
    """B-04."""
    a = await speaker("127.0.1.9")
    peer = a.add(peer_config("127.0.1.9", "127.0.1.10", 1, passive=True), Recorder())
    loop = asyncio.get_running_loop()
    idle = []
    for _ in range(50):
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind(("127.0.1.10", 0))
        await loop.sock_connect(sock, ("127.0.1.9", a.port))
        idle.append(sock)
    last = await raw_session(a.port, "127.0.1.10", "127.0.1.9")
    await until(lambda: peer.established)
    assert len(peer.session.links) == 1
    for sock in [*idle, last]:
        sock.close()


async def test_backlog_of_a_neighbour_that_does_not_read_is_bounded(speaker: Make) -> None:
    """B-05."""
    a = await speaker("127.0.1.11")
    record = Recorder()
    config = peer_config(
        "127.0.1.11", "127.0.1.12", 1, passive=True, high_water=65536, low_water=1024
    )
    peer = a.add(config, record)
    sock = await raw_session(a.port, "127.0.1.12", "127.0.1.11")
    await until(lambda: peer.established)
    sent = 0
    while peer.writable:
        peer.send(encode_message(Keepalive()) * 200)
        sent += 1
        assert sent < 100_000
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()

    async def read_until_drained() -> None:
        while not peer.writable:
            await loop.sock_recv(sock, 1 << 20)

    await asyncio.wait_for(read_until_drained(), 10)
    assert record.drained == 1
    sock.close()


def md5_works() -> bool:
    from tungsten.bgp.transport import set_md5

    with socket.socket() as sock:
        try:
            set_md5(sock, "127.0.0.1", "x")
        except OSError:
            return False
    return True


@pytest.mark.parametrize(("key", "comes_up"), [("secret", True), ("other", False)])
async def test_md5_keys_must_match(speaker: Make, key: str, comes_up: bool) -> None:
    """B-15."""
    a, b = await speaker("127.0.1.13"), await speaker("127.0.1.14")
    one = peer_config("127.0.1.13", "127.0.1.14", b.port, md5="secret")
    two = peer_config("127.0.1.14", "127.0.1.13", a.port, md5=key, passive=True)
    if not md5_works():
        with pytest.raises(OSError, match=r"\[Errno"):
            a.add(one, Recorder())
        return
    to_b = a.add(one, Recorder())
    b.add(two, Recorder())
    if comes_up:
        await until(lambda: to_b.established)
    else:
        await asyncio.sleep(0.6)
        assert not to_b.established


async def test_ttl_security_lets_direct_neighbours_in(speaker: Make) -> None:
    """B-15."""
    a, b = await speaker("127.0.1.15"), await speaker("127.0.1.16")
    to_b = a.add(peer_config("127.0.1.15", "127.0.1.16", b.port, ttl_security=True), Recorder())
    b.add(peer_config("127.0.1.16", "127.0.1.15", a.port, ttl_security=True), Recorder())
    await until(lambda: to_b.established)
