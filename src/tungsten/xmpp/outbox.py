"""What a socket is still to be given, and who gives it when.

The same message goes to thousands of connections. So an :class:`Outbox` keeps parts as they are,
shared among all that are to send them, and hands them to the socket in one gathering write
(``writev``): nothing is joined, and a slow reader's backlog is references. What the socket does
not take at once waits here. The transport is given the first octets of it only, since it tells
when the socket takes more. Over TLS there is no socket to write to: parts are joined, piece by
piece, as the transport asks for them.

A :class:`WriteTurn` lets all connections of one owner that have something to send do so in one
callback of the event loop: a callback for each would cost more than the sending.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from itertools import islice

#: Parts in one gathering write: Linux takes 1,024 (``IOV_MAX``).
MOST_PARTS = 512
#: Octets that a full socket's transport is left holding: it copies them.
HELD = 4096
#: Octets that are joined for TLS at once.
PIECE = 64 * 1024


class Outbox:
    """The backlog of one connection, oldest first. ``size`` is in octets."""

    def __init__(self, transport: asyncio.Transport, *, gathering: bool) -> None:
        self.size = 0
        self._transport = transport
        self._parts: deque[bytes | memoryview] = deque()
        self._paused = False
        sock = transport.get_extra_info("socket") if gathering else None
        self._descriptor = sock.fileno() if sock is not None else -1
        # A plain transport is to hold nothing but what it was given last; one with TLS a piece.
        transport.set_write_buffer_limits(*((0, 0) if gathering else (PIECE, PIECE // 4)))

    @property
    def backlog(self) -> int:
        """Octets that the socket has not taken."""
        return self.size + self._transport.get_write_buffer_size()

    def send(self, parts: list[bytes]) -> None:
        """Send parts behind what is here already, as far as the socket takes them now."""
        if self._parts or self._paused or self._descriptor < 0 or len(parts) > MOST_PARTS:
            self._put(parts, 0)
        elif not self._transport.is_closing():
            taken = self._write(parts)
            if taken == sum(map(len, parts)):
                return
            self._put(parts, taken)
            self._transport.write(self._next(HELD))
        self._drain()

    def _put(self, parts: list[bytes], taken: int) -> None:
        """Keep parts but for what the socket took of them."""
        for part in parts:
            if len(part) > taken:
                self._parts.append(memoryview(part)[taken:] if taken else part)
                self.size += len(part) - taken
                taken = 0
            else:
                taken -= len(part)

    def pause(self) -> None:
        """The transport holds something."""
        self._paused = True

    def resume(self) -> None:
        """The transport holds nothing (with TLS: little) any more."""
        self._paused = False
        self._drain()

    def _drain(self) -> None:
        while self._parts and not self._paused and not self._transport.is_closing():
            if self._descriptor < 0:
                self._transport.write(self._piece())
                continue
            given = list(islice(self._parts, MOST_PARTS))
            taken = self._write(given)
            for part in given:
                if len(part) > taken:
                    break
                self._parts.popleft()
                self.size -= len(part)
                taken -= len(part)
            else:
                continue
            if taken:
                self._parts[0] = memoryview(part)[taken:]
                self.size -= taken
            self._transport.write(self._next(HELD))

    def _write(self, parts: list[bytes] | list[bytes | memoryview]) -> int:
        """One gathering write; how many octets the socket took.

        When it took none the transport is given some: whatever stands in the way, it waits for
        the socket, or finds out that the connection is gone.
        """
        try:
            return os.writev(self._descriptor, parts)
        except OSError:
            return 0

    def _next(self, most: int = PIECE) -> bytes | memoryview:
        """Up to ``most`` octets of the first part, which are no longer here then."""
        part = self._parts.popleft()
        if len(part) > most:
            whole = memoryview(part)
            part = whole[:most]
            self._parts.appendleft(whole[most:])
        self.size -= len(part)
        return part

    def _piece(self) -> bytes:
        found: list[bytes | memoryview] = []
        size = 0
        while self._parts and size < PIECE:
            found.append(self._next(PIECE - size))
            size += len(found[-1])
        return b"".join(found)


class WriteTurn:
    """Calls what wants to write, once each, in the next turn of the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Callable[[], None]] = []

    def add(self, write: Callable[[], None]) -> None:
        """Call ``write`` in the next turn."""
        if not self._waiting:
            self._loop.call_soon(self._run)
        self._waiting.append(write)

    def _run(self) -> None:
        waiting, self._waiting = iter(self._waiting), []
        try:
            for write in waiting:
                write()
        finally:
            # What fails for one keeps no other waiting.
            for write in waiting:
                self.add(write)
