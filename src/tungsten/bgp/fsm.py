"""The BGP state machine of one neighbour, without sockets and without a clock.

Theory of operation
===================

A :class:`~tungsten.bgp.session.Session` is one neighbour. Inputs are method calls, each with
the present time in seconds (any clock that does not go back); each returns the :class:`Action`
values that whoever owns the sockets must carry out, in order. Between inputs nothing happens,
except that ``Session.deadline`` says when ``Session.timeout`` wants to be called.

RFC 4271 section 8 describes one machine per connection, and several of them for a neighbour
while connections collide. Its six states fall in two parts, and so do the tables here:

* *Idle, Connect, Active* say how the neighbour tries to get a connection. There is one such
  state for the neighbour (:data:`SEEKING`).
* *OpenSent, OpenConfirm, Established* say how far a connection has come. Each connection, a
  :class:`~tungsten.bgp.session.Link`, has its own (:data:`TALKING`). What is in no row of the
  table is an FSM error: NOTIFICATION 5, with the state as subcode (RFC 6608).

The neighbour's state is that of its most advanced link, or its seeking state without links.

::

    Idle --start, idle hold over--> Connect --connected--> [link: OpenSent] --OPEN-->
      ^                              |   ^                       OpenConfirm --KEEPALIVE-->
      |                       failed v   | retry                      Established
      +------ any error            Active --accepted--> [link: OpenSent]

Collisions (RFC 4271 section 6.8). A neighbour is known by its address, so the first OPEN tells
its identifier and the collision is decided then, by both sides alike: the connection opened by
the side with the higher identifier stays (on a tie, RFC 6286, the higher AS). An Established
link wins over any other, unless the new OPEN says that the neighbour is restarting gracefully:
then the old link is dropped with its routes kept (RFC 4724 4.2). A connection of ours that
comes up when another one already has the neighbour's OPEN is dropped unused.

Idle hold. After an error the neighbour rests in Idle, and refuses connections, for 1, 2, 4...
up to 120 s. The count is forgotten only after a session was up for 5 minutes, so a neighbour
that comes up and breaks at once cannot make us busy.

Losing a session. :class:`Down` names the families whose routes may be kept as stale, and for
how long: those for which the neighbour announced graceful restart, if it is allowed and the
loss was not a NOTIFICATION; with the N bit on both sides (RFC 8538) a NOTIFICATION other than
hard reset keeps them too. Where both sides announced it, long-lived graceful restart (RFC 9494)
follows for families whose forwarding state the neighbour may have kept. A neighbour that is no
longer configured is told by a hard reset, if it would keep our routes otherwise.

Sources: RFC 4271 section 8; RFC 4724, 5492, 6286, 6608, 6793, 8538, 9494, 9687 (send hold). Timer
values are upstream's (connect 30 s, hold 90 s), open time its 15 s.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, TypeAlias

from tungsten.bgp.errors import FsmError
from tungsten.bgp.families import Family
from tungsten.bgp.messages import Keepalive, Message, Notification, Open, RouteRefresh
from tungsten.bgp.negotiation import Negotiated
from tungsten.bgp.update import Update

LinkId: TypeAlias = Hashable


class State(IntEnum):
    """States of RFC 4271 section 8.2.2, in the order a session goes through them."""

    IDLE = 0
    ACTIVE = 1
    CONNECT = 2
    OPEN_SENT = 3
    OPEN_CONFIRM = 4
    ESTABLISHED = 5


class Event(Enum):
    """Events of RFC 4271 section 8.1 that move a machine; numbers are the RFC's."""

    MANUAL_START = 1
    MANUAL_STOP = 2
    CONNECT_RETRY_EXPIRES = 9
    HOLD_EXPIRES = 10
    IDLE_HOLD_EXPIRES = 13
    CONNECTED = 16
    ACCEPTED = 17
    TCP_FAILS = 18
    OPEN = 19
    PROTOCOL_ERROR = 21  # and 22, 28: a message that cannot be used
    COLLISION_DUMP = 23
    NOTIFICATION = 25
    KEEPALIVE = 26
    UPDATE = 27
    SEND_HOLD_EXPIRES = 29  # RFC 9687
    ROUTE_REFRESH = 30  # RFC 2918, in Established only


# --- actions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection to the neighbour, in place of any attempt still under way."""


@dataclass(frozen=True, slots=True)
class CancelDial:
    """Give up the attempt to connect."""


@dataclass(frozen=True, slots=True)
class Write:
    """Send octets on a link."""

    link: LinkId
    data: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Close a link, after what was written has been sent if that is possible at once."""

    link: LinkId
    reason: str


@dataclass(frozen=True, slots=True)
class Up:
    """The session is Established on a link."""

    link: LinkId
    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class Received:
    """An UPDATE or ROUTE-REFRESH came."""

    message: Update | RouteRefresh


@dataclass(frozen=True, slots=True)
class ReceivedRun:
    """Whole UPDATE messages came, one after the other, not decoded.

    What they say must be reported back if it breaks the protocol (:meth:`Session.refuse`).
    """

    link: LinkId
    octets: bytes


@dataclass(frozen=True, slots=True)
class Down:
    """The session is no longer Established.

    Routes of the ``keep`` families may be kept as stale for ``keep_time`` seconds, and those of
    the families in ``long_lived`` as a last resort for the seconds said there after that.
    """

    reason: str
    sent: Notification | None = None
    received: Notification | None = None
    keep: frozenset[Family] = frozenset()
    keep_time: float = 0.0
    long_lived: tuple[tuple[Family, int], ...] = ()


Action: TypeAlias = Dial | CancelDial | Write | Drop | Up | Received | ReceivedRun | Down


# --- tables -------------------------------------------------------------------------------------

#: What a neighbour without links does: (state, event) -> (what, next state). ``None`` as the
#: next state leaves it to what is done.
SEEKING: Final[dict[tuple[State, Event], tuple[str, State | None]]] = {
    (State.IDLE, Event.MANUAL_START): ("seek", None),
    (State.IDLE, Event.IDLE_HOLD_EXPIRES): ("seek", None),
    (State.IDLE, Event.ACCEPTED): ("refuse", State.IDLE),
    (State.CONNECT, Event.CONNECTED): ("greet", None),
    (State.CONNECT, Event.ACCEPTED): ("greet", None),
    (State.CONNECT, Event.TCP_FAILS): ("wait", State.ACTIVE),
    (State.CONNECT, Event.CONNECT_RETRY_EXPIRES): ("seek", None),
    (State.CONNECT, Event.MANUAL_STOP): ("cease_seeking", State.IDLE),
    (State.ACTIVE, Event.ACCEPTED): ("greet", None),
    (State.ACTIVE, Event.CONNECT_RETRY_EXPIRES): ("seek", None),
    (State.ACTIVE, Event.MANUAL_STOP): ("cease_seeking", State.IDLE),
}

_ENDINGS: Final = {
    Event.MANUAL_STOP: "end",
    Event.HOLD_EXPIRES: "end",
    Event.SEND_HOLD_EXPIRES: "end",
    Event.TCP_FAILS: "end",
    Event.PROTOCOL_ERROR: "end",
    Event.COLLISION_DUMP: "end",
    Event.NOTIFICATION: "end",
}

#: What a link does: (state, event) -> (what, next state). ``None`` ends the link.
TALKING: Final[dict[tuple[State, Event], tuple[str, State | None]]] = {
    (State.OPEN_SENT, Event.OPEN): ("meet", State.OPEN_CONFIRM),
    (State.OPEN_CONFIRM, Event.KEEPALIVE): ("establish", State.ESTABLISHED),
    (State.ESTABLISHED, Event.KEEPALIVE): ("hear", State.ESTABLISHED),
    (State.ESTABLISHED, Event.UPDATE): ("hear", State.ESTABLISHED),
    (State.ESTABLISHED, Event.ROUTE_REFRESH): ("hear", State.ESTABLISHED),
    **{
        (state, event): (what, None)
        for state in (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED)
        for event, what in _ENDINGS.items()
    },
}

#: The event that each kind of message is.
MESSAGE_EVENTS: Final[dict[type[Message], Event]] = {
    Open: Event.OPEN,
    Update: Event.UPDATE,
    Notification: Event.NOTIFICATION,
    Keepalive: Event.KEEPALIVE,
    RouteRefresh: Event.ROUTE_REFRESH,
}
#: What an FSM error says of the state it happened in.
FSM_SUBCODES: Final = {
    State.OPEN_SENT: FsmError.IN_OPEN_SENT,
    State.OPEN_CONFIRM: FsmError.IN_OPEN_CONFIRM,
    State.ESTABLISHED: FsmError.IN_ESTABLISHED,
}
