"""Trace buffers: bounded rings of recent events, kept in memory for whoever debugs.

A layer makes a buffer once and adds to it; the process's introspect shows it. A line is
``<microseconds since the epoch> <TraceType>: key = value ...``, the form scripts cut up.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

DEFAULT_SIZE = 1000


def _now_us() -> int:
    return time.time_ns() // 1000


class TraceBuffer:
    """A ring of the last ``size`` events of one kind."""

    def __init__(self, name: str, size: int, now_us: Callable[[], int]) -> None:
        self.name = name
        self._lines: deque[tuple[int, str, tuple[tuple[str, object], ...]]] = deque(maxlen=size)
        self._now_us = now_us

    def add(self, trace_type: str, **fields: object) -> None:
        """Remember an event. Values are turned into text only when the buffer is read."""
        self._lines.append((self._now_us(), trace_type, tuple(fields.items())))

    def lines(self, count: int = 0) -> list[str]:
        """The last ``count`` lines, oldest first; all of them for 0."""
        kept = list(self._lines)
        return [
            f"{when} {kind}:" + "".join(f" {name} = {value}" for name, value in fields)
            for when, kind, fields in kept[-count:]
        ]


class Traces:
    """The trace buffers of a process, by name."""

    def __init__(self, now_us: Callable[[], int] = _now_us) -> None:
        self._buffers: dict[str, TraceBuffer] = {}
        self._now_us = now_us

    def buffer(self, name: str, size: int = DEFAULT_SIZE) -> TraceBuffer:
        """The buffer of this name, made on first use."""
        if name not in self._buffers:
            self._buffers[name] = TraceBuffer(name, size, self._now_us)
        return self._buffers[name]

    def get(self, name: str) -> TraceBuffer | None:
        """The buffer of this name if there is one."""
        return self._buffers.get(name)

    def __iter__(self) -> Iterator[TraceBuffer]:
        return iter(self._buffers.values())
