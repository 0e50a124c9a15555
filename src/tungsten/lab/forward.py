"""Carries TCP connections from 127.0.0.1 into a namespace, so that a person can reach a lab.

    python -m tungsten.lab.forward PORT NAMESPACE TARGET_HOST:TARGET_PORT

The listener is in the namespace of the caller, on loopback only; each outgoing socket is made
inside the lab's namespace. No link or route joins the two. PORT 0 takes a free one; the port
is printed, and READY=1 sent, when connections are accepted. It ends with its namespace, so that
one whose maker was killed before it could remember it is not left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

from tungsten.lab.netns import Namespace

CHUNK = 65536
#: Seconds between two looks whether the namespace is still there.
LOOK = 0.5


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


class Forwarder:
    """One listener and one target."""

    def __init__(self, namespace: Namespace, host: str, port: int) -> None:
        self._namespace = namespace
        self._target = (host, port)

    async def listen(self, port: int) -> asyncio.Server:
        """Accept on 127.0.0.1:``port``."""
        return await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside = await asyncio.to_thread(
                self._namespace.socket, socket.AF_INET, socket.SOCK_STREAM
            )
            inside.setblocking(False)
            await asyncio.get_running_loop().sock_connect(inside, self._target)
            far_reader, far_writer = await asyncio.open_connection(sock=inside)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()


async def gone(namespace: Namespace) -> None:
    """Returns when a namespace has been removed, or replaced by another of its name."""

    def identity() -> tuple[int, int] | None:
        try:
            found = namespace.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    first = identity()
    while first is not None and identity() == first:  # noqa: ASYNC110 - no event tells this
        await asyncio.sleep(LOOK)


async def _main(port: int, namespace: str, target: str) -> None:
    host, _, target_port = target.rpartition(":")
    inside = Namespace(namespace)
    forwarder = Forwarder(inside, host, int(target_port))
    server = await forwarder.listen(port)
    bound = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"{bound}\n")
    sys.stdout.flush()
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"READY=1", address)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    ends = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(gone(inside))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
