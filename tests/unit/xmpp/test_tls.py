"""X-08, X-09, X-10, X-24, C-04, C-05: who gets a session over TLS, and who does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.xmpp.certificates import Authority
from tests.unit.xmpp.test_transport import HEADER, Host, Recorder, until

from tungsten.xmpp.stanzas import INET, InetItem, RouteUpdate, Subscribe
from tungsten.xmpp.stream import SessionOptions
from tungsten.xmpp.tls import TlsFiles
from tungsten.xmpp.transport import TransportOptions, XmppClient, XmppServer

STARTTLS = b'<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>'
FEATURES = (
    b'<stream:features><starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"><required/></starttls>'
    b"</stream:features>"
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


class Bench:
    """A server with TLS, a client that is to be left alone, and clients on trial."""

    def __init__(self, authority: Authority, **options: object) -> None:
        self.authority = authority
        self.recorder = Recorder()
        self.clients: list[XmppClient] = []
        values: dict[str, object] = {"tls": authority.server(), **options}
        self.server = XmppServer(
            "127.0.0.1",
            0,
            self.recorder,
            options=TransportOptions(**values),  # type: ignore[arg-type]
        )

    async def client(self, name: str, tls: TlsFiles | None, open_time: float = 15.0) -> Host:
        host = Host()
        host.client = XmppClient(
            "127.0.0.1",
            self.server.port,
            name,
            on_established=host.up,
            on_stanza=host.heard.append,
            on_closed=host.closed.append,
            options=TransportOptions(tls=tls, session=SessionOptions(open_time=open_time)),
        )
        self.clients.append(host.client)
        await host.client.start()
        return host

    async def stop(self) -> None:
        for client in self.clients:
            await client.stop()
        await self.server.stop()


@pytest.fixture
async def bench(authority: Authority) -> AsyncIterator[Bench]:
    made = Bench(authority)
    await made.server.start()
    yield made
    await made.stop()


async def bystander(bench: Bench) -> Host:
    host = await bench.client("bystander", bench.authority.client("bystander"))
    await until(lambda: "bystander" in bench.recorder.up and host.ups)
    return host


def unharmed(bench: Bench, host: Host) -> bool:
    connection = bench.recorder.up["bystander"]
    return connection.established and host.ups == 1 and not host.closed


async def test_stanzas_go_both_ways(bench: Bench) -> None:
    host = await bystander(bench)
    connection = bench.recorder.up["bystander"]
    assert connection.proven == ("bystander",)
    update = RouteUpdate(INET, "x", (InetItem(prefix="10.0.0.1/32"),) * 32)
    for _ in range(200):
        connection.send(update)
    host.client.send(Subscribe("x", 3))
    await until(lambda: bench.recorder.heard and len(host.heard) == 200)
    assert bench.recorder.heard == [("bystander", Subscribe("x", 3))]
    assert host.heard == [update] * 200


async def test_common_name_counts_where_there_are_no_other_names(bench: Bench) -> None:
    await bench.client("old", bench.authority.client("old", names=()))
    await until(lambda: "old" in bench.recorder.up)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("other authority", "tls-certificate"),
        ("expired", "tls-certificate"),
        ("other name", "tls-name"),
        ("common name beside others", "tls-name"),
        ("none", "tls-no-certificate"),
        ("plain", "policy-violation"),
    ],
)
async def test_clients_that_are_refused(
    bench: Bench, tmp_path: Path, what: str, reason: str
) -> None:
    host = await bystander(bench)
    ours = bench.authority
    match what:
        case "other authority":
            other = Authority(tmp_path / "other", name="other")
            tls = replace(other.client("c1"), authority=str(ours.path))
        case "expired":
            tls = ours.client("c1", days=-1)
        case "other name":
            tls = ours.client("c2")
        case "common name beside others":
            tls = ours.client("c1", names=("c2",))
        case _:
            tls = ours.client("c1")
    if what == "none":
        await without_certificate(bench)
    else:
        await bench.client("c1", None if what == "plain" else tls)
    await until(lambda: bench.server.refused[reason])
    assert "c1" not in bench.recorder.up
    assert set(bench.server.refused) == {reason}
    assert unharmed(bench, host)


async def without_certificate(bench: Bench) -> None:
    """A client of upstream's that has the authority only."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
    await negotiate(reader, writer)
    context = ssl.create_default_context(cafile=str(bench.authority.path))
    await writer.start_tls(context, server_hostname="127.0.0.1")
    writer.write(HEADER % b"c1")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        assert await reader.read(100)
    writer.close()


async def negotiate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEADER % b"c1")
    said = await reader.readuntil(b"</stream:features>")
    assert said.endswith(b'streams"  >' + FEATURES)
    writer.write(STARTTLS)
    assert await reader.readuntil(b"/>") == STARTTLS.replace(b"starttls", b"proceed")


async def test_upstreams_agent_without_certificate_can_be_let_in(authority: Authority) -> None:
    """The exchange octet by octet as upstream's client has it."""
    bench = Bench(authority, tls=authority.server(demand=False))
    await bench.server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
    await negotiate(reader, writer)
    context = ssl.create_default_context(cafile=str(authority.path))
    await writer.start_tls(context, server_hostname="127.0.0.1")
    writer.write(HEADER % b"c1")
    answer = await reader.readuntil(b"  >")
    assert answer.startswith(b'<stream:stream from="network-control@contrailsystems.com" to="c1"')
    writer.write(b"\xc8\x80")
    await until(lambda: "c1" in bench.recorder.up)
    impostor = await bench.client("c3", authority.client("c2"))
    await until(lambda: bench.server.refused["tls-name"])
    await until(lambda: impostor.closed)
    writer.close()
    await bench.stop()


@pytest.mark.parametrize("what", ["other authority", "other address", "plain"])
async def test_servers_that_are_refused(authority: Authority, tmp_path: Path, what: str) -> None:
    other = Authority(tmp_path / "other", name="other")
    tls = authority.server()
    if what == "other authority":
        tls = other.server()
    elif what == "other address":
        tls = TlsFiles(*authority.issue("127.0.0.2"), str(authority.path), True)
    bench = Bench(authority, tls=None if what == "plain" else tls)
    await bench.server.start()
    host = await bench.client("c1", authority.client("c1"), open_time=0.5)
    await until(lambda: host.client.last_error)
    assert host.ups == 0
    wanted = {"plain": "no TLS within 0.5 s"}.get(what, "tls-certificate")
    await until(lambda: wanted in host.client.last_error)
    await bench.stop()


async def test_what_is_said_before_the_handshake_is_not_heard(bench: Bench) -> None:
    """A stanza behind starttls in the same segment, and one instead of it."""
    host = await bystander(bench)
    iq = b'<iq type="set" from="c1" to="x/bgp-peer"><pubsub><subscribe node="x"/></pubsub></iq>'
    for attack in (STARTTLS + iq + (HEADER % b"c1"), iq, STARTTLS[:-2] + b"></starttls>" + iq):
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
        writer.write((HEADER % b"c1") + attack)
        await reader.readuntil(b"</stream:features>")
        writer.write(b"<iq/>")
        async with asyncio.timeout(5):
            assert b"jabber:client" not in await reader.read()
        writer.close()
    assert [peer for peer, _ in bench.recorder.heard] == []
    assert set(bench.recorder.up) == {"bystander"}
    assert sum(bench.server.refused.values()) == 3
    assert unharmed(bench, host)


async def test_handshakes_that_stall_end_and_hold_up_nobody(authority: Authority) -> None:
    """X-08: more of them than take turns at once."""
    bench = Bench(authority, handshake_time=0.4, handshakes=8)
    await bench.server.start()
    stalled = []
    for _ in range(24):
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
        await negotiate(reader, writer)
        stalled.append((reader, writer))
    host = await bystander(bench)
    await until(
        lambda: bench.server.refused["tls-handshake"] + bench.server.refused["tls-timeout"] >= 24
    )
    for reader, writer in stalled:
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    assert unharmed(bench, host)
    await bench.stop()


async def test_certificates_are_read_again_for_new_sessions(bench: Bench, tmp_path: Path) -> None:
    """C-04, C-05: also when the former has expired, and when what is there now is broken."""
    host = await bystander(bench)
    bench.authority.issue("127.0.0.1", days=-1)
    late = await bench.client("late", bench.authority.client("late"))
    await until(lambda: "expired" in late.client.last_error)
    Path(bench.authority.directory / "127.0.0.1.pem").write_text("broken")
    await asyncio.sleep(0.1)
    assert not late.ups
    bench.authority.issue("127.0.0.1")
    await until(lambda: late.ups)
    assert unharmed(bench, host)


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("c1")
    _, other_key = authority.issue("c2")
    broken = tmp_path / "broken"
    broken.write_text("nothing")
    ca = str(authority.path)
    for files, named in (
        (("/none", key, ca), "/none: No such file"),
        ((certificate, other_key, ca), other_key),
        ((certificate, key, str(broken)), str(broken)),
    ):
        with pytest.raises(ValueError, match=named):
            TlsFiles(*files, True).context()
