"""Sessions with real XMPP servers: what an agent says, in which order, to which control."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tungsten.agent.advertise import Advertisement
from tungsten.agent.channel import Controls, Wanted
from tungsten.agent.settings import Endpoint
from tungsten.xmpp.routes import INET, InetItem, NextHop
from tungsten.xmpp.stanzas import (
    ConfigMessage,
    ConfigNode,
    ConfigOperation,
    ConfigSubscribe,
    ConfigUnsubscribe,
    EndOfConfig,
    EndOfRib,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    Subscribe,
    Unsubscribe,
    Withdraw,
)
from tungsten.xmpp.transport import Connection, XmppServer

BLUE, RED = "d:p:blue:blue", "d:p:red:red"
HOST = ConfigSubscribe("virtual-router", "default-global-system-config:compute1")


def route(prefix: str, label: int = 20) -> InetItem:
    hop = NextHop(address="172.30.1.2", label=label, encapsulations=("udp",))
    return InetItem(prefix=prefix, next_hops=(hop,))


def told(instances: dict[str, int], *routes: tuple[str, InetItem]) -> Advertisement:
    return Advertisement(instances, {(name, INET, item.id): item for name, item in routes})


class Control:
    """A control node as a script: remembers what it is told."""

    def __init__(self) -> None:
        self.server = XmppServer("127.0.0.1", 0, self)
        self.heard: list[Stanza] = []
        self.agent: Connection | None = None

    def established(self, connection: Connection) -> None:
        self.agent = connection

    def received(self, connection: Connection, stanza: Stanza) -> None:
        self.heard.append(stanza)

    def writable(self, connection: Connection) -> None:
        pass

    def closed(self, connection: Connection, condition: str, text: str) -> None:
        self.agent = None

    def say(self, stanza: Stanza) -> None:
        assert self.agent is not None
        self.agent.send(stanza)


class Ears:
    """What the sessions tell the agent."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def session_up(self, session: int) -> None:
        self.events.append(("up", session))

    def session_down(self, session: int) -> None:
        self.events.append(("down", session))

    def routes_received(self, session: int, stanza: RouteUpdate | RouteRetract) -> None:
        self.events.append((session, stanza))

    def end_of_rib(self, session: int) -> None:
        self.events.append(("end of rib", session))

    def config_begins(self) -> None:
        self.events.append("config begins")

    def config_received(self, message: ConfigMessage) -> None:
        self.events.append(message)

    def end_of_config(self) -> None:
        self.events.append("end of config")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


class Bed:
    def __init__(self) -> None:
        self.controls = [Control(), Control()]
        self.ears = Ears()
        self.wanted = Wanted()
        self.sessions: Controls | None = None

    async def start(self) -> Controls:
        for control in self.controls:
            await control.server.start()
        self.sessions = Controls(
            tuple(Endpoint("127.0.0.1", c.server.port) for c in self.controls),
            "compute1",
            self.ears,
            source_address="",
            hold_seconds=90,
            on_wanted=lambda: self.wanted,
        )
        await self.sessions.start()
        await until(lambda: all(control.agent for control in self.controls))
        await until(lambda: self.ears.events.count("config begins") == 1)
        return self.sessions

    @property
    def teller(self) -> Control:
        """The control that has the config role."""
        return next(c for c in self.controls if HOST in c.heard)

    @property
    def told(self) -> list[list[Stanza]]:
        """What each control heard, besides the question for configuration."""
        return [[s for s in control.heard if s != HOST] for control in self.controls]

    @property
    def other(self) -> Control:
        return next(c for c in self.controls if c is not self.teller)


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    bed = Bed()
    yield bed
    if bed.sessions is not None:
        await bed.sessions.stop()
    for control in bed.controls:
        await control.server.stop()


async def test_exactly_one_control_is_asked_for_configuration(bed: Bed) -> None:
    """Both hear which machines are here."""
    bed.wanted = Wanted(machines=frozenset({"vm-b", "vm-a"}))
    sessions = await bed.start()
    sessions.sync()
    await until(lambda: any(HOST in c.heard for c in bed.controls))
    machine = [ConfigSubscribe("virtual-machine", name) for name in ("vm-a", "vm-b")]
    await until(lambda: bed.teller.heard == [HOST, *machine])
    await until(lambda: bed.other.heard == machine)
    bed.wanted = Wanted(machines=frozenset({"vm-b"}))
    sessions.sync()
    gone = ConfigUnsubscribe("virtual-machine", "vm-a")
    await until(lambda: bed.teller.heard == [HOST, *machine, gone])
    await until(lambda: bed.other.heard == [*machine, gone])


async def test_routes_go_to_both_after_their_vrf_and_leave_before_it(bed: Bed) -> None:
    item, more = route("10.0.1.3/32"), route("10.0.2.3/32")
    bed.wanted = Wanted(told({BLUE: 1, RED: 2}, (BLUE, item), (RED, more)))
    sessions = await bed.start()
    sessions.sync()
    expected: list[Stanza] = [
        Subscribe(BLUE, 1),
        Subscribe(RED, 2),
        Publish(BLUE, item),
        Publish(RED, more),
    ]
    await until(lambda: bed.told == [expected, expected])
    changed = route("10.0.1.3/32", label=21)
    bed.wanted = Wanted(told({BLUE: 1}, (BLUE, changed)))
    sessions.sync()
    expected += [Withdraw(RED, InetItem(prefix="10.0.2.3/32"))]
    expected += [Unsubscribe(RED), Publish(BLUE, changed)]
    await until(lambda: bed.told == [expected, expected])
    sessions.sync()
    await asyncio.sleep(0.05)
    assert [s for s in bed.other.heard if s != HOST] == expected


async def test_end_of_rib_is_said_once_when_everything_is_out(bed: Bed) -> None:
    sessions = await bed.start()
    sessions.sync()
    bed.wanted = Wanted(told({BLUE: 1}, (BLUE, route("10.0.1.3/32"))), complete=True)
    sessions.sync()
    sessions.sync()
    await until(lambda: all(EndOfRib() in heard for heard in bed.told))
    for control in bed.controls:
        assert control.heard.index(Subscribe(BLUE, 1)) < control.heard.index(EndOfRib())


async def test_the_other_control_takes_over_and_is_told_all_again(bed: Bed) -> None:
    bed.wanted = Wanted(told({BLUE: 1}, (BLUE, route("10.0.1.3/32"))), frozenset({"vm-a"}))
    sessions = await bed.start()
    sessions.sync()
    await until(lambda: any(HOST in c.heard for c in bed.controls))
    first, second = bed.teller, bed.other
    await until(lambda: Publish(BLUE, route("10.0.1.3/32")) in second.heard)
    second.heard.clear()
    assert first.agent is not None
    first.heard.clear()
    first.agent.close()
    await until(lambda: HOST in second.heard)
    assert ConfigSubscribe("virtual-machine", "vm-a") in second.heard
    assert not [s for s in second.heard if isinstance(s, Publish)]
    await until(lambda: Publish(BLUE, route("10.0.1.3/32")) in first.heard)
    assert HOST not in first.heard
    down = ("down", bed.controls.index(first))
    assert bed.ears.events.count("config begins") == 2
    assert bed.ears.events.index(down) < len(bed.ears.events) - 1


async def test_configuration_counts_only_from_the_control_asked_for_it(bed: Bed) -> None:
    sessions = await bed.start()
    sessions.sync()
    await until(lambda: any(HOST in c.heard for c in bed.controls))
    node = ConfigNode("virtual-network", "d:p:blue", body=b"<display-name>x</display-name>")
    message = ConfigMessage((ConfigOperation(node),))
    update = RouteUpdate(INET, BLUE, (route("10.0.1.9/32"),))
    bed.ears.events.clear()
    for stanza in (message, EndOfConfig(), update, EndOfRib()):
        bed.other.say(stanza)
    number = bed.controls.index(bed.other)
    await until(lambda: ("end of rib", number) in bed.ears.events)
    assert bed.ears.events[0] == (number, update)
    assert "end of config" not in bed.ears.events
    bed.teller.say(message)
    bed.teller.say(EndOfConfig())
    await until(lambda: "end of config" in bed.ears.events)
    assert any(isinstance(event, ConfigMessage) for event in bed.ears.events)
