"""Whatever the socket takes at once, the remote reads what was sent, in order."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from tungsten.xmpp.outbox import HELD, MOST_PARTS, Outbox, WriteTurn


class Writer(asyncio.Protocol):
    """The end that writes."""

    def __init__(self) -> None:
        self.outbox: Outbox | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.outbox = Outbox(transport, gathering=True)

    def pause_writing(self) -> None:
        assert self.outbox is not None
        self.outbox.pause()

    def resume_writing(self) -> None:
        assert self.outbox is not None
        self.outbox.resume()


async def pair(room: int) -> tuple[Outbox, asyncio.Transport, socket.socket]:
    """An outbox, its transport, and the socket that reads; ``room``: octets that sockets hold."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    for end in (ours, theirs):
        end.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_connection(Writer, sock=ours)
    assert protocol.outbox is not None
    return protocol.outbox, transport, theirs


@pytest.mark.parametrize("seed", range(6))
async def test_everything_arrives_in_order(seed: int) -> None:
    chance = random.Random(seed)
    outbox, transport, theirs = await pair(8192)
    loop = asyncio.get_running_loop()
    sent, heard = bytearray(), bytearray()
    shared = chance.randbytes(50_000)
    for _ in range(60):
        parts = [
            chance.choice((shared, b"", chance.randbytes(chance.randrange(1, 9000))))
            for _ in range(chance.randrange(1, 5))
        ]
        sent += b"".join(parts)
        outbox.send(parts)
        assert outbox.backlog <= len(sent)
        while chance.random() < 0.5 and len(heard) < len(sent):
            heard += await loop.sock_recv(theirs, chance.randrange(1, 60_000))
    async with asyncio.timeout(10):
        while len(heard) < len(sent):
            heard += await loop.sock_recv(theirs, 65536)
    assert heard == sent
    assert outbox.backlog == 0
    transport.close()
    theirs.close()


async def test_parts_beyond_what_one_write_takes() -> None:
    outbox, transport, theirs = await pair(8192)
    loop = asyncio.get_running_loop()
    sent = [b"%06d" % number for number in range(5 * MOST_PARTS)]
    outbox.send(sent)
    heard = bytearray()
    async with asyncio.timeout(10):
        while len(heard) < 6 * len(sent):
            heard += await loop.sock_recv(theirs, 65536)
    assert heard == b"".join(sent)
    transport.close()
    theirs.close()


async def test_a_backlog_is_not_copied() -> None:
    outbox, transport, theirs = await pair(8192)
    body = bytes(1 << 20)
    for _ in range(16):
        outbox.send([b"head", body, b"tail"])
    assert outbox.size > 15 << 20
    assert transport.get_write_buffer_size() <= HELD
    transport.abort()
    theirs.close()


async def test_nothing_is_written_when_the_transport_closes() -> None:
    outbox, transport, theirs = await pair(1 << 16)
    transport.close()
    outbox.send([b"late"])
    await asyncio.sleep(0)
    assert theirs.recv(100) == b""
    theirs.close()


async def test_a_turn_calls_each_once_even_if_one_fails() -> None:
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    turn = WriteTurn()
    called: list[str] = []

    def fail() -> None:
        called.append("fails")
        raise OSError("no")

    turn.add(lambda: called.append("one"))
    turn.add(fail)
    turn.add(lambda: called.append("two"))
    assert not called
    for _ in range(3):
        await asyncio.sleep(0)
    assert called == ["one", "fails", "two"]
    assert len(failures) == 1
