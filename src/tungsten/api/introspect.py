"""What the API shows of itself: whether it works, what it depends on, its latest requests.

Bodies of requests and answers are not kept: they may hold what is not for everyone who may look
at this port.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from tungsten.api.engine import Engine
from tungsten.api.keystone import Keystone
from tungsten.introspect import (
    AnyRequest,
    ConnectionInfo,
    NodeStatus,
    NodeStatusUVE,
    Traces,
    UveCache,
    common_requests,
    process_status,
)
from tungsten.introspect.status import DOWN, INITIALIZING, UP

MODULE = "contrail-api"
REST_BUFFER = "RestApiTraceBuf"


class RestTrace:
    """The latest requests, for ``Snh_SandeshTraceRequest?x=RestApiTraceBuf``."""

    def __init__(self) -> None:
        self.traces = Traces()
        self._buffer = self.traces.buffer(REST_BUFFER)

    def add(self, request_id: str, method: str, url: str, status: int, error: str) -> None:
        """Remember a request that was answered."""
        self._buffer.add(
            "RestApiTrace",
            request_id=request_id,
            url=url,
            method=method,
            status=status,
            request_error=error,
        )


def connections(engine: Engine, keystone: Keystone | None, *, ready: bool) -> list[ConnectionInfo]:
    """What the API depends on, and how that is."""
    state = DOWN if engine.failure else UP if ready else INITIALIZING
    found = [ConnectionInfo(type="Database", status=state, description=engine.failure)]
    if keystone is not None:
        state = DOWN if keystone.failure else UP
        found.append(
            ConnectionInfo(
                type="Keystone",
                server_addrs=[keystone.url],
                status=state,
                description=keystone.failure,
            )
        )
    return found


def api_requests(
    trace: RestTrace, dependencies: Callable[[], Sequence[ConnectionInfo]]
) -> list[AnyRequest]:
    """Every request that the API's introspect answers."""

    def status() -> NodeStatusUVE:
        process = process_status(MODULE, dependencies())
        return NodeStatusUVE(data=NodeStatus(name=socket.gethostname(), process_status=[process]))

    return common_requests(status, UveCache(), trace.traces)
