"""What a process says of its health: NodeStatus and the connections it depends on.

A process is ``Functional`` when it has every connection it needs and nothing else is amiss;
otherwise ``Non-Functional`` with a description in the words that operators' tools know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from tungsten.introspect.wire import Field, Message, Struct

UP = "Up"
DOWN = "Down"
INITIALIZING = "Initializing"
FUNCTIONAL = "Functional"
NON_FUNCTIONAL = "Non-Functional"


class ConnectionInfo(Struct, frozen=True, kw_only=True):
    """One dependency. ``type``: Database, XMPP, Collector...; ``status``: one of the above."""

    type: Annotated[str, Field(1)]
    name: Annotated[str, Field(2)] = ""
    server_addrs: Annotated[Sequence[str], Field(3)] = ()
    status: Annotated[str, Field(4)] = UP
    description: Annotated[str, Field(5)] = ""

    @property
    def title(self) -> str:
        """``type`` or ``type:name``, as descriptions name it."""
        return f"{self.type}:{self.name}" if self.name else self.type


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """The health of one process. ``description`` is always present: status tools need it."""

    module_id: Annotated[str, Field(1)]
    instance_id: Annotated[str, Field(2)] = "0"
    state: Annotated[str, Field(3)] = FUNCTIONAL
    connection_infos: Annotated[Sequence[ConnectionInfo] | None, Field(4)] = None
    description: Annotated[str, Field(6)] = ""


class NodeStatus(Struct, frozen=True, kw_only=True):
    """The UVE of a node. Optional lists are left out rather than empty: readers crash on those."""

    name: Annotated[str, Field(1)]
    process_status: Annotated[Sequence[ProcessStatus] | None, Field(4, aggtype="union")] = None
    build_info: Annotated[str | None, Field(9)] = None


class NodeStatusUVE(Message, frozen=True, kw_only=True):
    """The message that carries a NodeStatus."""

    trailer = False

    data: Annotated[NodeStatus, Field(1)]


def process_status(
    module: str,
    connections: Sequence[ConnectionInfo],
    problems: Sequence[str] = (),
    *,
    instance: str = "0",
) -> ProcessStatus:
    """The status that follows from the connections and from other ``problems``, in words."""
    down = [each.title for each in connections if each.status != UP]
    reasons = [f"{', '.join(down)} connection down"] if down else []
    reasons.extend(problems)
    return ProcessStatus(
        module_id=module,
        instance_id=instance,
        state=NON_FUNCTIONAL if reasons else FUNCTIONAL,
        connection_infos=list(connections) or None,
        description=" ".join(reasons),
    )
