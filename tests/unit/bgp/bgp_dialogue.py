"""A conversation with a session: ``peer >> message`` says something to it, and
``peer << message`` asserts that it said exactly that next.

The clock stands still until ``peer.wait`` moves it; then timers fire in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from tungsten.bgp.attributes import AttributeStore, Context
from tungsten.bgp.capabilities import (
    Capability,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
)
from tungsten.bgp.families import FAMILIES, INET_VPN, Family
from tungsten.bgp.fsm import Action, CancelDial, Dial, Down, Drop, Received, Up, Write
from tungsten.bgp.messages import (
    Framer,
    Message,
    Notification,
    Open,
    decode_message,
    encode_message,
)
from tungsten.bgp.negotiation import SessionConfig
from tungsten.bgp.session import Session

OUR_ID, PEER_ID = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
ALL = frozenset(FAMILIES.values())
A = TypeVar("A")


def config(**changes: object) -> SessionConfig:
    values: dict[str, object] = {
        "name": "peer",
        "local_as": 64512,
        "peer_as": 64512,
        "router_id": OUR_ID,
        "families": frozenset({INET_VPN}),
        **changes,
    }
    return SessionConfig(**values)  # type: ignore[arg-type]


def peer_open(
    asn: int = 64512,
    hold: int = 90,
    router_id: bytes = PEER_ID,
    families: tuple[Family, ...] = (INET_VPN,),
    restart: GracefulRestart | None = None,
) -> Open:
    capabilities: list[Capability] = [Multiprotocol(family) for family in families]
    capabilities.append(FourOctetAs(asn))
    if restart is not None:
        capabilities.append(restart)
    return Open(asn, hold, router_id, tuple(capabilities))


@dataclass
class Talk:
    """One link's side of the conversation."""

    dialogue: Dialogue
    link: object
    heard: deque[Message] = field(default_factory=deque)
    framer: Framer = field(default_factory=Framer)
    dropped: str = ""

    def __rshift__(self, said: Message | bytes) -> Talk:
        data = said if isinstance(said, bytes) else encode_message(said)
        session = self.dialogue.session
        self.dialogue.take(session.received(self.dialogue.now, self.link, data))
        return self

    def __lshift__(self, expected: Message | type[Message]) -> Talk:
        assert self.heard, f"nothing was said, expected {expected}"
        said = self.heard.popleft()
        if isinstance(expected, type):
            assert isinstance(said, expected), said
        else:
            assert said == expected
        return self

    def hangs_up(self) -> None:
        session = self.dialogue.session
        self.dialogue.take(session.closed(self.dialogue.now, self.link, "reset by peer"))

    @property
    def silent(self) -> bool:
        return not self.heard


class Dialogue:
    """A session under test, its clock, and what it wanted."""

    def __init__(self, **changes: object) -> None:
        self.now = 1000.0
        self.session = Session(config(**changes), AttributeStore(), draw=lambda: 0.0)
        self.actions: deque[Action] = deque()
        self.talks: dict[object, Talk] = {}

    def take(self, actions: list[Action]) -> None:
        context = Context(internal=True, four_octet_as=True)
        for action in actions:
            match action:
                case Write(link, data):
                    talk = self.talks[link]
                    for type_, body in talk.framer.feed(data):
                        store = AttributeStore()
                        talk.heard.append(decode_message(type_, body, context, ALL, store))
                case Drop(link, reason):
                    self.talks[link].dropped = reason
                case Dial() | CancelDial() | Up() | Received() | Down():
                    self.actions.append(action)

    def expect(self, kind: type[A]) -> A:
        assert self.actions, f"nothing was wanted, expected {kind.__name__}"
        action = self.actions.popleft()
        assert isinstance(action, kind), action
        return action

    @property
    def idle(self) -> bool:
        return not self.actions

    def start(self) -> Dialogue:
        self.take(self.session.start(self.now))
        return self

    def stop(self, notification: Notification | None = None) -> None:
        self.take(self.session.stop(self.now, notification))

    def _talk(self, name: object) -> Talk:
        return self.talks.setdefault(name, Talk(self, name))

    def connects(self, name: object = "out") -> Talk:
        """Our dial succeeds."""
        talk = self._talk(name)
        self.take(self.session.connected(self.now, name))
        return talk

    def accepts(self, name: object = "in") -> Talk:
        """The peer dials us."""
        talk = self._talk(name)
        self.take(self.session.accepted(self.now, name))
        return talk

    def dial_fails(self) -> None:
        self.take(self.session.connect_failed(self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, firing what falls due on the way."""
        end = self.now + seconds
        while self.session.deadline <= end:
            self.now = max(self.now, self.session.deadline)
            self.take(self.session.timeout(self.now))
        self.now = end
