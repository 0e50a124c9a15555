"""One neighbour's session: links, timers, collisions and idle hold, as :mod:`tungsten.bgp.fsm`
describes them.

Owner: whoever owns the sockets (:mod:`tungsten.bgp.transport`). Invariants: at most one link is
Established; besides it there is at most one link in each direction; after :meth:`Session.stop`
there is none, and every link that was given is dropped or has been closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tungsten.bgp.attributes import AttributeStore
from tungsten.bgp.capabilities import GracefulRestart
from tungsten.bgp.errors import CeaseError, ErrorCode, ProtocolError, UsageError
from tungsten.bgp.families import Family
from tungsten.bgp.fsm import (
    FSM_SUBCODES,
    MESSAGE_EVENTS,
    SEEKING,
    TALKING,
    Action,
    CancelDial,
    Dial,
    Down,
    Drop,
    Event,
    LinkId,
    Received,
    ReceivedRun,
    State,
    Up,
    Write,
)
from tungsten.bgp.messages import (
    UPDATE_RUN,
    FindRun,
    Framer,
    Keepalive,
    Message,
    Notification,
    Open,
    RouteRefresh,
    decode_message,
    encode_message,
)
from tungsten.bgp.negotiation import Negotiated, SessionConfig, negotiate, our_open
from tungsten.bgp.update import UPDATE_TYPE, Update

_NEVER: Final = float("inf")
#: What a peer says that is resting, or has another connection. We go on listening; to rest as
#: well could make both sides rest by turns for ever.
_TURNED_AWAY: Final = {
    (ErrorCode.CEASE, CeaseError.CONNECTION_REJECTED),
    (ErrorCode.CEASE, CeaseError.COLLISION),
}
_KEEPALIVE_OCTETS: Final = encode_message(Keepalive())


@dataclass(slots=True, eq=False)
class Link:
    """One connection: who opened it, how far it has come, and its timers."""

    id: LinkId
    outgoing: bool
    state: State = State.OPEN_SENT
    framer: Framer = field(default_factory=Framer)
    negotiated: Negotiated | None = None
    hold_at: float = _NEVER
    keepalive_at: float = _NEVER
    send_hold_at: float = _NEVER


@dataclass(slots=True)
class Ending:
    """Why a link ends: what is said to the peer, or what it said."""

    reason: str
    send: Notification | None = None
    received: Notification | None = None
    is_error: bool = True


class Session:
    """One neighbour. ``store`` shares attributes with whoever uses the routes.

    With ``find_run`` the UPDATE messages of an Established link are passed on undecoded, in runs
    (:class:`~tungsten.bgp.fsm.ReceivedRun`).

    ``draw`` gives numbers in [0, 1) for jitter: timers are shortened by up to a tenth, so that
    neighbours do not act in step.
    """

    def __init__(
        self,
        config: SessionConfig,
        store: AttributeStore,
        draw: Callable[[], float] = random.random,
        find_run: FindRun | None = None,
    ) -> None:
        self.config = config
        self.links: list[Link] = []
        self.errors = 0
        self.last_event: Event | None = None
        self._store = store
        self._draw = draw
        self._find_run = find_run
        self._seeking = State.IDLE
        self._stopped = True
        self._idle_until = _NEVER
        self._retry_at = _NEVER
        self._up_since = 0.0
        self._actions: list[Action] = []

    # --- what it is now

    @property
    def state(self) -> State:
        """The state of the most advanced link, or the seeking state."""
        return max((link.state for link in self.links), default=self._seeking)

    @property
    def is_stopped(self) -> bool:
        """Whether it rests until :meth:`start`."""
        return self._stopped

    @property
    def deadline(self) -> float:
        """When :meth:`timeout` wants to be called; infinity for never."""
        at = min(self._idle_until, self._retry_at)
        for link in self.links:
            at = min(at, link.hold_at, link.keepalive_at, link.send_hold_at)
        return at

    @property
    def established(self) -> Link | None:
        """The link that carries routes."""
        for link in self.links:
            if link.state is State.ESTABLISHED:
                return link
        return None

    # --- inputs

    def start(self, now: float) -> list[Action]:
        """Try to reach the neighbour from now on."""
        if self._stopped:
            self._stopped = False
            self._seek_event(Event.MANUAL_START, now)
        return self._take()

    def stop(self, now: float, notification: Notification | None = None) -> list[Action]:
        """Close all links and rest until :meth:`start`. The default says administrative."""
        say = notification or Notification(ErrorCode.CEASE, CeaseError.ADMINISTRATIVE_SHUTDOWN)
        self._stopped = True
        self._end_all(now, Event.MANUAL_STOP, Ending(f"stopped: {say}", say, is_error=False))
        if self._seeking is not State.IDLE:
            self._seek_event(Event.MANUAL_STOP, now)
        self._idle_until = _NEVER
        return self._take()

    def reset(self, now: float, notification: Notification, rest: float = 0.0) -> list[Action]:
        """Close all links with a NOTIFICATION; try again after ``rest`` and the idle hold."""
        self._end_all(now, Event.MANUAL_STOP, Ending(str(notification), notification))
        if not self._stopped:
            self._go_idle(now, rest)
        return self._take()

    def connected(self, now: float, link_id: LinkId) -> list[Action]:
        """The connection that :class:`Dial` asked for is there."""
        self._new_link(now, link_id, outgoing=True)
        return self._take()

    def accepted(self, now: float, link_id: LinkId) -> list[Action]:
        """The neighbour has connected."""
        self._new_link(now, link_id, outgoing=False)
        return self._take()

    def connect_failed(self, now: float) -> list[Action]:
        """The connection that :class:`Dial` asked for could not be made."""
        if self._seeking is State.CONNECT:
            self._seek_event(Event.TCP_FAILS, now)
        return self._take()

    def closed(self, now: float, link_id: LinkId, reason: str) -> list[Action]:
        """A link is gone. Unknown links (already dropped) are of no interest."""
        link = self._find(link_id)
        if link is not None:
            self._link_event(link, Event.TCP_FAILS, now, Ending(reason, is_error=False))
        return self._take()

    def blocked(self, now: float, link_id: LinkId) -> list[Action]:
        """The neighbour reads too slowly: our backlog has reached its limit."""
        link = self._find(link_id)
        if link is not None and link.send_hold_at == _NEVER:
            hold = link.negotiated.hold_time if link.negotiated else self.config.hold_time
            link.send_hold_at = now + max(2 * hold, self.config.least_send_hold)
        return self._take()

    def unblocked(self, link_id: LinkId) -> list[Action]:
        """The backlog has shrunk again."""
        link = self._find(link_id)
        if link is not None:
            link.send_hold_at = _NEVER
        return self._take()

    def received(self, now: float, link_id: LinkId, data: bytes) -> list[Action]:
        """Octets came on a link."""
        link = self._find(link_id)
        if link is None:
            return self._take()
        try:
            for type_, body in link.framer.feed(data, self._runs_of(link)):
                if type_ == UPDATE_RUN:
                    self._run(link, body, now)
                else:
                    self._message(link, type_, body, now)
                if link not in self.links:
                    break
        except ProtocolError as error:
            self._refuse_message(link, error, now)
        return self._take()

    def refuse(self, now: float, link_id: LinkId, error: ProtocolError) -> list[Action]:
        """What was in a :class:`~tungsten.bgp.fsm.ReceivedRun` must close its link."""
        link = self._find(link_id)
        if link is not None:
            self._refuse_message(link, error, now)
        return self._take()

    def has(self, link_id: LinkId) -> bool:
        """Whether a link is still in use."""
        return self._find(link_id) is not None

    def timeout(self, now: float) -> list[Action]:
        """Time has passed: whatever is due happens."""
        for link in list(self.links):
            if link in self.links:
                self._link_timers(link, now)
        if now >= self._idle_until:
            self._idle_until = _NEVER
            self._seek_event(Event.IDLE_HOLD_EXPIRES, now)
        if now >= self._retry_at:
            self._retry_at = _NEVER
            if self._seeking is not State.IDLE and not self.links:
                self._seek_event(Event.CONNECT_RETRY_EXPIRES, now)
        return self._take()

    # --- seeking a connection

    def _take(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def _short(self, seconds: float) -> float:
        """A timer shortened by up to a tenth."""
        return seconds * (1.0 - 0.1 * self._draw())

    def _seek_event(self, event: Event, now: float, link_id: LinkId = None) -> None:
        row = SEEKING.get((self._seeking, event))
        if row is None:
            raise UsageError(f"neighbour {self.config.name} in {self._seeking.name}: {event.name}")
        what, after = row
        self.last_event = event
        if after is not None:
            self._seeking = after
        match what:
            case "seek":
                self._seek(now)
            case "wait":
                self._retry_at = now + self._short(self.config.connect_time)
            case "cease_seeking":
                self._give_up_seeking()
            case "refuse":
                say = Notification(ErrorCode.CEASE, CeaseError.CONNECTION_REJECTED)
                self._actions.append(Write(link_id, encode_message(say)))
                self._actions.append(Drop(link_id, "the neighbour is held idle"))
            case "greet":
                self._greet(link_id, event is Event.CONNECTED, now)

    def _seek(self, now: float) -> None:
        """Dial, or only listen if the neighbour is passive or somebody is on the line."""
        if self.config.passive:
            self._seeking = State.ACTIVE
            return
        self._seeking = State.CONNECT
        self._retry_at = now + self._short(self.config.connect_time)
        self._actions.append(Dial())

    def _give_up_seeking(self) -> None:
        self._retry_at = _NEVER
        self._actions.append(CancelDial())

    def _new_link(self, now: float, link_id: LinkId, outgoing: bool) -> None:
        if outgoing and self._seeking is not State.CONNECT:
            self._actions.append(Drop(link_id, "no connection was asked for"))
            return
        if outgoing and self.state >= State.OPEN_CONFIRM:
            self._seeking = State.ACTIVE
            self._retry_at = _NEVER
            self._actions.append(Drop(link_id, "the neighbour has connected meanwhile"))
            return
        event = Event.CONNECTED if outgoing else Event.ACCEPTED
        self._seek_event(event, now, link_id)

    def _greet(self, link_id: LinkId, outgoing: bool, now: float) -> None:
        """Take a connection and send OPEN on it."""
        for other in list(self.links):
            if other.outgoing == outgoing and other.state is not State.ESTABLISHED:
                ending = Ending("replaced by a newer connection", is_error=False)
                self._link_event(other, Event.TCP_FAILS, now, ending)
        if outgoing:
            self._seeking = State.ACTIVE
        if self._seeking is State.ACTIVE:
            self._retry_at = _NEVER
        link = Link(link_id, outgoing, hold_at=now + self.config.open_time)
        self.links.append(link)
        self._actions.append(Write(link_id, encode_message(our_open(self.config))))

    # --- talking on a link

    def _find(self, link_id: LinkId) -> Link | None:
        for link in self.links:
            if link.id == link_id:
                return link
        return None

    def _runs_of(self, link: Link) -> FindRun | None:
        """Finds runs of UPDATE, as long as the link is Established."""
        find = self._find_run
        if find is None or (link.negotiated is not None and link.negotiated.add_paths):
            return None
        return lambda data, at: find(data, at) if link.state is State.ESTABLISHED else at

    def _run(self, link: Link, octets: bytes, now: float) -> None:
        assert link.negotiated is not None
        hold_time = link.negotiated.hold_time
        link.hold_at = now + hold_time if hold_time else _NEVER
        self.last_event = Event.UPDATE
        self._actions.append(ReceivedRun(link.id, octets))

    def _message(self, link: Link, type_: int, body: bytes, now: float) -> None:
        negotiated = link.negotiated
        if negotiated is None:
            if type_ == UPDATE_TYPE:
                raise self._out_of_place(link, Event.UPDATE)
            message = decode_message(type_, body, self.config.context, _NO_FAMILIES, self._store)
        else:
            link.hold_at = now + negotiated.hold_time if negotiated.hold_time else _NEVER
            message = decode_message(
                type_, body, negotiated.context, negotiated.families, self._store
            )
        event = MESSAGE_EVENTS[type(message)]
        if isinstance(message, Notification):
            error = (message.code, message.subcode) not in _TURNED_AWAY
            ending = Ending(f"peer sent {message}", received=message, is_error=error)
            self._link_event(link, event, now, ending)
            return
        self._link_event(link, event, now, None, message)

    def _out_of_place(self, link: Link, event: Event) -> ProtocolError:
        return ProtocolError(
            ErrorCode.FSM, FSM_SUBCODES[link.state], f"{event.name} in {link.state.name}"
        )

    def _refuse_message(self, link: Link, error: ProtocolError, now: float) -> None:
        say = Notification(error.code, error.subcode, error.data)
        self._link_event(link, Event.PROTOCOL_ERROR, now, Ending(str(error), say))

    def _link_event(
        self,
        link: Link,
        event: Event,
        now: float,
        ending: Ending | None = None,
        message: Message | None = None,
    ) -> None:
        row = TALKING.get((link.state, event))
        if row is None:
            raise self._out_of_place(link, event)
        what, after = row
        self.last_event = event
        match what:
            case "hear":
                if isinstance(message, Update | RouteRefresh):
                    self._actions.append(Received(message))
            case "meet":
                assert isinstance(message, Open)
                self._meet(link, message, now)
            case "establish":
                assert after is not None
                link.state = after
                self._establish(link, now)
            case "end":
                assert ending is not None
                self._end(link, ending, now)

    def _meet(self, link: Link, message: Open, now: float) -> None:
        """Agree with the peer's OPEN, and settle who stays if there are several links."""
        negotiated = negotiate(self.config, message)
        link.negotiated = negotiated
        link.state = State.OPEN_CONFIRM
        for other in [other for other in self.links if other is not link]:
            loser = self._collision_loser(link, other, negotiated)
            say = Notification(ErrorCode.CEASE, CeaseError.COLLISION)
            if other.state is State.ESTABLISHED and loser is other:
                ending = Ending("the neighbour has restarted", say, is_error=False)
            else:
                ending = Ending("lost a connection collision", say, is_error=False)
            self._link_event(loser, Event.COLLISION_DUMP, now, ending)
        if link not in self.links:
            return
        link.hold_at = now + negotiated.hold_time if negotiated.hold_time else _NEVER
        self._keepalive(link, now)

    def _collision_loser(self, link: Link, other: Link, negotiated: Negotiated) -> Link:
        if other.state is State.ESTABLISHED:
            restart = negotiated.graceful_restart
            restarted = restart is not None and restart.restarting
            return other if self.config.helper and restarted else link
        ours = (self.config.router_id, self.config.local_as)
        theirs = (negotiated.router_id, negotiated.peer_as)
        keep_outgoing = ours > theirs
        return other if link.outgoing == keep_outgoing else link

    def _keepalive(self, link: Link, now: float) -> None:
        assert link.negotiated is not None
        self._actions.append(Write(link.id, _KEEPALIVE_OCTETS))
        interval = link.negotiated.keepalive_time
        link.keepalive_at = now + self._short(interval) if interval else _NEVER

    def _establish(self, link: Link, now: float) -> None:
        assert link.negotiated is not None
        if self._seeking is State.CONNECT:
            self._give_up_seeking()
        self._seeking = State.ACTIVE
        self._retry_at = _NEVER
        self._up_since = now
        self._actions.append(Up(link.id, link.negotiated))
        for other in [other for other in self.links if other is not link]:
            say = Notification(ErrorCode.CEASE, CeaseError.COLLISION)
            ending = Ending("the other connection is established", say, is_error=False)
            self._link_event(other, Event.COLLISION_DUMP, now, ending)

    def _link_timers(self, link: Link, now: float) -> None:
        if now >= link.hold_at:
            say = Notification(ErrorCode.HOLD_TIMER)
            missed = "OPEN" if link.negotiated is None else "KEEPALIVE"
            ending = Ending(f"hold timer: no {missed} in time", say)
            self._link_event(link, Event.HOLD_EXPIRES, now, ending)
        elif now >= link.send_hold_at:
            say = Notification(ErrorCode.SEND_HOLD_TIMER)
            ending = Ending("send hold timer: the peer reads nothing", say)
            self._link_event(link, Event.SEND_HOLD_EXPIRES, now, ending)
        elif now >= link.keepalive_at:
            self._keepalive(link, now)

    # --- ending

    def _end_all(self, now: float, event: Event, ending: Ending) -> None:
        for link in list(self.links):
            self._link_event(link, event, now, ending)

    def _end(self, link: Link, ending: Ending, now: float) -> None:
        """Say why, drop the link, and decide what the neighbour does next."""
        was_up = link.state is State.ESTABLISHED
        self.links.remove(link)
        if ending.send is not None:
            ending.send = self._hard(link, ending.send)
            self._actions.append(Write(link.id, encode_message(ending.send)))
        self._actions.append(Drop(link.id, ending.reason))
        if was_up:
            if now - self._up_since >= self.config.forgive_time:
                self.errors = 0
            self._actions.append(self._down(link, ending))
        if ending.is_error:
            self.errors += 1
        if self._stopped or self.links:
            return
        if was_up or ending.is_error:
            self._go_idle(now)
        elif self._seeking is not State.CONNECT:
            self._seeking = State.ACTIVE
            wait = 0.0 if self.config.passive else self._short(self.config.connect_time)
            self._retry_at = now + wait if wait else _NEVER

    def _go_idle(self, now: float, rest: float = 0.0) -> None:
        """Rest for the idle hold time, which doubles with each error in a row."""
        if self._seeking is State.CONNECT:
            self._give_up_seeking()
        self._seeking = State.IDLE
        self._retry_at = _NEVER
        config = self.config
        doubled = config.idle_hold * 2.0 ** min(max(self.errors - 1, 0), 16)
        self._idle_until = now + max(rest, self._short(min(doubled, config.most_idle_hold)))

    def _down(self, link: Link, ending: Ending) -> Down:
        assert link.negotiated is not None
        restart = link.negotiated.graceful_restart
        keep: frozenset[Family] = frozenset()
        helps = self.config.helper and not self._stopped
        if helps and restart is not None and self._keeps_routes(restart, ending):
            named = {family for family, _ in restart.families}
            keep = link.negotiated.families & named
        time = float(restart.restart_time) if restart is not None and keep else 0.0
        long_lived = link.negotiated.long_lived
        last = tuple(
            (family, seconds)
            for family, _, seconds in (long_lived.families if long_lived is not None else ())
            if family in keep and seconds
        )
        return Down(ending.reason, ending.send, ending.received, keep, time, last)

    def _hard(self, link: Link, say: Notification) -> Notification:
        """The same as a hard reset, to a neighbour that is left for good and would wait for us."""
        if (say.code, say.subcode) != (ErrorCode.CEASE, CeaseError.PEER_DECONFIGURED):
            return say
        restart = link.negotiated.graceful_restart if link.negotiated is not None else None
        ours = self.config.restart_time and self.config.restart_notification
        if not ours or restart is None or not restart.notification:
            return say
        data = bytes((say.code, say.subcode)) + say.data
        return Notification(ErrorCode.CEASE, CeaseError.HARD_RESET, data)

    def _keeps_routes(self, restart: GracefulRestart, ending: Ending) -> bool:
        said = ending.send or ending.received
        if said is None or (said.code, said.subcode) == (ErrorCode.CEASE, CeaseError.COLLISION):
            return True
        if not (restart.notification and self.config.restart_notification):
            return False
        hard = (CeaseError.HARD_RESET, CeaseError.PEER_DECONFIGURED)
        return said.code != ErrorCode.CEASE or said.subcode not in hard


_NO_FAMILIES: frozenset[Family] = frozenset()
