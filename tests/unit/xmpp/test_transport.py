"""Client and server on loopback sockets: reconnecting, refusing, and not blocking others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.stanzas import (
    INET,
    EndOfRib,
    InetItem,
    RouteUpdate,
    Stanza,
    Subscribe,
    Unsubscribe,
)
from tungsten.xmpp.stream import SessionOptions
from tungsten.xmpp.transport import (
    BACKOFF,
    Connection,
    TransportOptions,
    XmppClient,
    XmppServer,
)

HEADER = (
    b'<stream:stream from="%b" to="network-control@contrailsystems.com" version="1.0" '
    b'xmlns="" xmlns:stream="http://etherx.jabber.org/streams"  >'
)


@dataclass
class Recorder:
    """A handler that remembers, and refuses unsubscribes."""

    up: dict[str, Connection] = field(default_factory=dict)
    heard: list[tuple[str, Stanza]] = field(default_factory=list)
    down: list[tuple[str, str, str]] = field(default_factory=list)
    drained: int = 0

    def established(self, connection: Connection) -> None:
        self.up[connection.peer] = connection

    def received(self, connection: Connection, stanza: Stanza) -> None:
        self.heard.append((connection.peer, stanza))
        if isinstance(stanza, Unsubscribe):
            raise ProtocolError("policy-violation", f"{stanza.instance} is not subscribed")

    def writable(self, connection: Connection) -> None:
        self.drained += 1

    def closed(self, connection: Connection, condition: str, text: str) -> None:
        self.down.append((connection.peer, condition, text))


@dataclass
class Host:
    """A client that remembers."""

    heard: list[Stanza] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    ups: int = 0
    client: XmppClient = field(init=False)

    def up(self) -> None:
        self.ups += 1


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def server(recorder: Recorder) -> AsyncIterator[XmppServer]:
    options = TransportOptions(
        session=SessionOptions(open_time=0.8), pending_per_source=3, stall_time=0.5
    )
    made = XmppServer("127.0.0.1", 0, recorder, options=options)
    await made.start()
    yield made
    await made.stop()
    assert not made.connections


@pytest.fixture
async def connect(server: XmppServer) -> AsyncIterator[Callable[..., XmppClient]]:
    clients: list[XmppClient] = []

    def make(name: str, host: Host, **options: float) -> XmppClient:
        host.client = XmppClient(
            "127.0.0.1",
            server.port,
            name,
            on_established=host.up,
            on_stanza=host.heard.append,
            on_closed=host.closed.append,
            options=TransportOptions(session=SessionOptions(**options)),  # type: ignore[arg-type]
        )
        clients.append(host.client)
        return host.client

    yield make
    for client in clients:
        await client.stop()


async def test_stanzas_flow_both_ways(
    server: XmppServer, recorder: Recorder, connect: Callable[..., XmppClient]
) -> None:
    host = Host()
    await connect("c1", host).start()
    await until(lambda: host.ups)
    host.client.send(Subscribe("a:b", 3))
    await until(lambda: recorder.heard)
    assert recorder.heard == [("c1", Subscribe("a:b", 3))]
    recorder.up["c1"].send(EndOfRib())
    await until(lambda: EndOfRib() in host.heard)
    assert host.client.peer == server.name


async def test_bad_peer_is_told_why_and_a_bystander_never_notices(
    server: XmppServer, recorder: Recorder, connect: Callable[..., XmppClient]
) -> None:
    good, bad = Host(), Host()
    await connect("good", good).start()
    await connect("bad", bad).start()
    await until(lambda: good.ups and bad.ups)
    bad.client.send(Unsubscribe("x:y"))
    good.client.send(Subscribe("a", 1))
    await until(lambda: bad.closed)
    assert bad.closed == ["policy-violation: x:y is not subscribed"]
    await until(lambda: ("good", Subscribe("a", 1)) in recorder.heard)
    assert good.client.is_established
    assert not good.closed
    await until(lambda: bad.ups == 2)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"not-well-formed"),
        (b"<!DOCTYPE x><x/>", b"restricted-xml"),
        (HEADER % b"a/b/config", b"improper-addressing"),
        (HEADER % b"c1" + b"<iq></b>", b"not-well-formed"),
        (HEADER % b"c1" + b'<iq to="x/bgp-peer"><pubsub><subscribe/></pubsub></iq>', b"bad-format"),
    ],
)
async def test_garbage_is_answered_with_its_cause(
    server: XmppServer, sent: bytes, said: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert b"<" + said + b" xmlns" in answer
    assert answer.endswith(b"</stream:stream>")
    writer.close()


async def test_silent_connections_are_few_and_short(server: XmppServer) -> None:
    streams = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
    async with asyncio.timeout(5):
        refused = await streams[3][0].read()
        timed_out = await streams[0][0].read()
    assert b"resource-constraint" in refused
    assert b"connection-timeout" in timed_out
    for _, writer in streams:
        writer.close()


async def test_a_source_may_have_64_connections_that_say_nothing(recorder: Recorder) -> None:
    server = XmppServer("127.0.0.1", 0, recorder)
    await server.start()
    streams = []
    try:
        for _ in range(TransportOptions().pending_per_source):
            streams.append(await asyncio.open_connection("127.0.0.1", server.port))
        await until(lambda: len(server.connections) == 64)
        streams.append(await asyncio.open_connection("127.0.0.1", server.port))
        async with asyncio.timeout(10):
            refused = await streams[64][0].read()
        assert b"resource-constraint" in refused
        assert len(server.connections) == 64
        assert not any(reader.at_eof() for reader, _ in streams[:64])
        streams[0][1].close()
        await until(lambda: len(server.connections) == 63)
        streams.append(await asyncio.open_connection("127.0.0.1", server.port))
        await until(lambda: len(server.connections) == 64)
        assert not streams[65][0].at_eof()
    finally:
        for _, writer in streams:
            writer.close()
        await server.stop()


async def test_peer_that_stops_reading_is_closed_and_holds_up_nobody(
    server: XmppServer, recorder: Recorder, connect: Callable[..., XmppClient]
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(HEADER % b"slow" + b" ")
    host = Host()
    await connect("quick", host).start()
    await until(lambda: {"slow", "quick"} <= recorder.up.keys())
    slow = recorder.up["slow"]
    slow.set_hold_time(1.5)
    update = RouteUpdate(INET, "a", tuple(InetItem(prefix=f"10.0.{n}.0/24") for n in range(32)))
    await fill(slow, update)
    recorder.up["quick"].send(update)
    await until(lambda: update in host.heard)
    assert slow.backlog < 8 << 20
    keep = asyncio.create_task(_keep(writer))
    await until(lambda: recorder.down)
    assert recorder.down[0] == ("slow", "policy-violation", "the peer has stopped reading")
    keep.cancel()
    writer.transport.abort()


async def fill(connection: Connection, stanza: Stanza) -> None:
    """Send until the backlog is over the mark."""
    while connection.writable:
        connection.send(stanza)
        await asyncio.sleep(0)


async def _keep(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.2)


async def test_slow_peer_that_catches_up_is_writable_again(
    server: XmppServer, recorder: Recorder
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEADER % b"slow")
    await until(lambda: "slow" in recorder.up)
    slow = recorder.up["slow"]
    update = RouteUpdate(INET, "a", tuple(InetItem(prefix=f"10.0.{n}.0/24") for n in range(32)))
    await fill(slow, update)
    async with asyncio.timeout(10):
        while not slow.writable:
            await reader.read(1 << 20)
    assert recorder.drained == 1
    writer.close()


async def test_client_comes_back_when_the_server_does(recorder: Recorder) -> None:
    first = XmppServer("127.0.0.1", 0, recorder)
    await first.start()
    host = Host()
    host.client = XmppClient(
        "127.0.0.1",
        first.port,
        "c1",
        on_established=host.up,
        on_stanza=host.heard.append,
        on_closed=host.closed.append,
    )
    await host.client.start()
    await until(lambda: host.ups == 1)
    await first.stop()
    await until(lambda: host.closed)
    assert host.closed == ["system-shutdown: the control node stops"]
    second = XmppServer("127.0.0.1", first.port, recorder)
    await second.start()
    await until(lambda: host.ups == 2)
    await host.client.stop()
    await second.stop()


async def test_waits_between_attempts_grow_as_upstreams_do() -> None:
    client = XmppClient(
        "127.0.0.1",
        1,
        "c1",
        on_established=lambda: None,
        on_stanza=lambda _: None,
        on_closed=lambda _: None,
    )
    for attempt, base in enumerate([*BACKOFF, 30.0, 30.0]):
        client.attempts = attempt
        assert 0.9 * base <= client.delay() <= 1.1 * base
    assert BACKOFF == (0.05, 1, 2, 4, 8, 16, 30)


async def test_hold_time_passes_on_both_ends_of_a_dead_path(
    server: XmppServer, recorder: Recorder, connect: Callable[..., XmppClient]
) -> None:
    host = Host()
    await connect("c1", host, hold_time=0.4).start()
    await until(lambda: host.ups)
    await until(lambda: host.closed)
    assert host.closed[0] == "connection-timeout: nothing received for the hold time of 0.4 s"
    await until(lambda: [each for each in recorder.down if each[0] == "c1"])


async def test_agents_that_come_back_all_at_once_are_all_let_in(recorder: Recorder) -> None:
    """More than there are places for silent ones: all are accepted before one is read."""
    server = XmppServer("127.0.0.1", 0, recorder, options=TransportOptions(pending_total=20))
    await server.start()
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    try:
        for number, each in enumerate(sockets):
            each.sendall(HEADER % b"host%d" % number)
        await until(lambda: len(recorder.up) == 60)
        assert not server.refused
    finally:
        for each in sockets:
            each.close()
        await server.stop()


async def test_a_silent_connection_gives_its_place_to_one_that_comes(recorder: Recorder) -> None:
    options = TransportOptions(pending_total=3, pending_grace=0.1)
    server = XmppServer("127.0.0.1", 0, recorder, options=options)
    await server.start()
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    try:
        await until(lambda: len(server.connections) == 3)
        await asyncio.sleep(0.15)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HEADER % b"quick")
        await until(lambda: "quick" in recorder.up)
        async with asyncio.timeout(10):
            told = await silent[0][0].read()
        assert b"others want the place" in told
        assert server.refused == {"too-many-pending": 1}
        assert not silent[1][0].at_eof()
        writer.close()
    finally:
        for _, each in silent:
            each.close()
        await server.stop()


async def test_so_many_silent_connections_and_no_more(recorder: Recorder) -> None:
    options = TransportOptions(pending_total=3, pending_most=5)
    server = XmppServer("127.0.0.1", 0, recorder, options=options)
    await server.start()
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(6)]
    try:
        async with asyncio.timeout(10):
            told = await silent[5][0].read()
        assert b"5 connections wait for their stream header" in told
    finally:
        for _, each in silent:
            each.close()
        await server.stop()
