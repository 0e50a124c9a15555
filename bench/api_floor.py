"""The HTTP stack of the API with nothing behind it: ``python -m bench.api_floor PORT``.

Every request is answered with the same bytes, as many as a read of a port has. What a request costs
here is what HTTP costs there.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tungsten.api.server import HttpServer, listening_socket

BODY = b'{"x":"' + b"a" * 1500 + b'"}'
OK = b"HTTP/1.1 200 OK\r\n"
REST = b"content-length: %d\r\ncontent-type: application/json\r\n\r\n%s" % (len(BODY), BODY)


def quick(
    scheme: str, target: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[bytes, bytes] | None:
    """The answer to a GET."""
    return OK, REST


async def at_length(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to any other request."""
    await Response(BODY, media_type="application/json")(scope, receive, send)


async def main() -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = HttpServer(
        at_length,
        listening_socket(f"127.0.0.1:{sys.argv[1]}", "the port"),
        max_requests=1024,
        timeout=30.0,
        quick=quick,
    )
    await server.start()
    await ended.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
