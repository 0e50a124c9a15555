"""The life of a process: logging, readiness, clean stop, and exceptions nobody caught.

A daemon is a list of services, started in order and stopped in reverse. The process says
``READY=1`` to its supervisor (sd_notify(3)) when all have started and ``STOPPING=1`` when a
SIGTERM or SIGINT ends it. An exception that reaches the event loop is logged with its
traceback and counted; it does not end the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from prometheus_client import Counter

from tungsten.process.collector import keep_collections_short
from tungsten.process.settings import LogSettings

log = structlog.get_logger("tungsten.process")

UNCAUGHT = Counter(
    "tungsten_uncaught_exceptions", "Exceptions that reached the event loop uncaught"
)
#: Seconds each service has to stop before the process goes on without it.
STOP_TIMEOUT = 10.0


#: Objects made between two looks for garbage of the youngest kind: Python's own number is for
#: programs that make few. A list of 10,000 objects takes a quarter less time with this one.
YOUNG_OBJECTS = 10_000


class Service(Protocol):
    """A part of a daemon."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def configure_logging(settings: LogSettings, stream: Any = None) -> None:
    """Send structlog's and the standard library's events to standard error."""
    level = getattr(logging, settings.level.upper())
    renderer: Any
    if settings.format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        renderer = structlog.dev.ConsoleRenderer(colors=colours)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([structlog.processors.format_exc_info] if settings.format == "json" else []),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


def notify(state: str) -> None:
    """Tell the supervisor; without ``NOTIFY_SOCKET`` nothing happens (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
    ):
        channel.sendto(state.encode(), address)


def _on_uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    UNCAUGHT.inc()
    error = context.get("exception")
    log.error("uncaught_exception", message=context.get("message"), exc_info=error)


async def serve(name: str, services: Sequence[Service]) -> int:
    """Run services until a signal; returns the exit status."""
    gc.set_threshold(YOUNG_OBJECTS)
    keep_collections_short()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_uncaught)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    started: list[Service] = []
    status = 0
    try:
        for service in services:
            started.append(service)
            await service.start()
        log.info("ready", process=name, pid=os.getpid())
        notify(f"READY=1\nMAINPID={os.getpid()}")
        await stopping.wait()
    except Exception as error:  # noqa: BLE001 - the last stop: report it and leave in order
        log.error("start_failed", process=name, error=str(error), cause=type(error).__name__)
        log.debug("start_failed_at", trace=traceback.format_exc())
        status = 1
    notify("STOPPING=1")
    for service in reversed(started):
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await service.stop()
        except TimeoutError:
            log.error("stop_timed_out", service=type(service).__name__, seconds=STOP_TIMEOUT)
            status = 1
        except Exception:
            log.exception("stop_failed", service=type(service).__name__)
            status = 1
    log.info("stopped", process=name)
    return status
