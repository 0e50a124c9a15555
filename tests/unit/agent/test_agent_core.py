"""The core from messages to tables: when everything counts as known, and what happens before."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tests.unit.agent.agent_samples import World
from tests.unit.agent.test_writer import FABRIC, PKT0, WatchedDatapath

from tungsten.agent.agent import ROUTE_QUIET_SECONDS, Agent, Settings
from tungsten.agent.kernel import Kernel
from tungsten.agent.ports import PortStore
from tungsten.agent.writer import read_tables
from tungsten.xmpp.routes import INET, InetItem, NextHop
from tungsten.xmpp.stanzas import ConfigMessage, RouteRetract, RouteUpdate

BLUE = "default-domain:demo:blue:blue"
REMOTE = IPv4Network("10.0.1.99/32")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Bed:
    """A datapath that outlives agents, and the world they are told of."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.datapath = WatchedDatapath()
        self.world = World()
        self.world.network("blue", "10.0.1.0/24")
        self.world.interface("blue", "10.0.1.3")
        self.world.interface("blue", "10.0.1.4")

    async def agent(self) -> Agent:
        kernel = Kernel(lambda: None)
        await kernel.stop()
        kernel.devices = {**self.world.devices(), FABRIC.name: FABRIC, PKT0.name: PKT0}
        settings = Settings(
            name="compute1",
            state_dir=self.directory,
            fabric=FABRIC.name,
            address=IPv4Address("172.30.1.2"),
            encapsulations=("MPLSoUDP",),
            stale_port_seconds=60,
            config_quiet_seconds=15,
            end_of_rib_seconds=60,
        )
        ports = PortStore(self.directory / "ports")
        ports.load(self.clock.now)
        ports.add(self.world.ports)
        agent = Agent(settings, self.datapath, kernel, ports, sessions=2, clock=self.clock)
        agent.pkt0 = PKT0.name
        return agent

    def config(self, agent: Agent) -> None:
        agent.config_begins()
        agent.config_received(ConfigMessage(tuple(self.world.operations)))
        agent.reconcile()
        agent.end_of_config()

    def routes(self, agent: Agent, session: int = 0) -> None:
        hop = NextHop(address="172.30.2.2", label=31, encapsulations=("udp",))
        item = InetItem(prefix=str(REMOTE), next_hops=(hop,))
        agent.routes_received(session, RouteUpdate(INET, BLUE, (item,)))

    def pass_time(self, agent: Agent, seconds: float) -> None:
        self.clock.now += seconds
        agent.tick()
        agent.reconcile()

    def learn_all(self, agent: Agent) -> None:
        agent.session_up(0)
        self.config(agent)
        self.routes(agent)
        agent.end_of_rib(0)
        self.pass_time(agent, ROUTE_QUIET_SECONDS + 0.1)
        assert agent.complete

    def remote_is_there(self) -> bool:
        return any(prefix == REMOTE for _, prefix in self.datapath.routes.entries)


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path, Clock())


async def test_a_new_host_works_before_everything_is_known(bed: Bed) -> None:
    agent = await bed.agent()
    agent.session_up(0)
    bed.config(agent)
    bed.routes(agent)
    agent.reconcile()
    assert bed.remote_is_there()
    assert len(agent.oper.interfaces) == 2
    assert set(agent.wanted.advertisement.instances) == {BLUE}
    assert agent.wanted.complete
    assert not agent.complete


async def test_a_restart_changes_nothing_at_any_step(bed: Bed) -> None:
    bed.learn_all(await bed.agent())
    before = read_tables(bed.datapath)
    agent = await bed.agent()
    agent.load_config()

    def unchanged() -> bool:
        now = read_tables(bed.datapath)
        names = ("vifs", "nexthops", "labels", "vnis", "routes", "bridge")
        return all(getattr(now, name) == getattr(before, name) for name in names)

    steps: list[Callable[[], None]] = [
        agent.reconcile,
        lambda: agent.session_up(0),
        lambda: bed.config(agent),
        lambda: agent.end_of_rib(0),
        lambda: bed.pass_time(agent, 1.0),
        lambda: bed.routes(agent),
        lambda: bed.pass_time(agent, ROUTE_QUIET_SECONDS + 0.1),
    ]
    for step in steps:
        step()
        agent.reconcile()
        assert unchanged()
    assert agent.complete
    assert agent.writer.inherited == 0


async def test_what_is_gone_after_a_restart_goes_when_all_is_known(bed: Bed) -> None:
    bed.learn_all(await bed.agent())
    agent = await bed.agent()
    agent.session_up(0)
    bed.config(agent)
    agent.end_of_rib(0)
    bed.pass_time(agent, 1.0)
    assert bed.remote_is_there()
    bed.pass_time(agent, ROUTE_QUIET_SECONDS)
    assert agent.complete
    assert not bed.remote_is_there()


async def test_without_an_end_of_rib_the_wait_is_bounded(bed: Bed) -> None:
    bed.learn_all(await bed.agent())
    agent = await bed.agent()
    agent.session_up(0)
    bed.config(agent)
    bed.pass_time(agent, 59.0)
    assert bed.remote_is_there()
    bed.pass_time(agent, 2.0)
    assert not bed.remote_is_there()


async def test_without_a_control_nothing_goes_ever(bed: Bed) -> None:
    bed.learn_all(await bed.agent())
    agent = await bed.agent()
    agent.load_config()
    for _ in range(100):
        bed.pass_time(agent, 3600.0)
    assert bed.remote_is_there()
    assert len(agent.ports.ports()) == 2
    assert agent.oper.waiting != {} or len(agent.oper.interfaces) == 2


async def test_a_control_without_end_of_config_is_waited_for_until_it_is_silent(bed: Bed) -> None:
    agent = await bed.agent()
    agent.session_up(0)
    agent.config_begins()
    for operation in bed.world.operations:
        agent.config_received(ConfigMessage((operation,)))
        bed.pass_time(agent, 1.0)
        assert not agent.config_complete
    bed.pass_time(agent, 15.0)
    assert agent.config_complete


async def test_routes_of_lost_controls_stay_and_a_live_one_is_believed(bed: Bed) -> None:
    agent = await bed.agent()
    bed.learn_all(agent)
    agent.session_down(0)
    bed.pass_time(agent, 600)
    assert bed.remote_is_there()
    agent.session_up(1)
    bed.config(agent)
    bed.routes(agent, 1)
    agent.end_of_rib(1)
    bed.pass_time(agent, ROUTE_QUIET_SECONDS + 0.1)
    assert bed.remote_is_there()
    agent.routes_received(1, RouteRetract(INET, BLUE, (str(REMOTE),)))
    agent.reconcile()
    assert not bed.remote_is_there()


async def test_a_control_that_takes_over_late_removes_nothing_before_it_has_said_all(
    bed: Bed,
) -> None:
    agent = await bed.agent()
    bed.learn_all(agent)
    agent.session_down(0)
    agent.session_up(1)
    agent.config_begins()
    agent.end_of_config()
    bed.pass_time(agent, 1.0)
    assert len(agent.oper.interfaces) == 2
    agent.config_received(ConfigMessage(tuple(bed.world.operations)))
    agent.reconcile()
    bed.pass_time(agent, 1.0)
    assert agent.config_complete
    assert len(agent.oper.interfaces) == 2


async def test_lost_numbers_do_not_meet_those_still_in_use(bed: Bed) -> None:
    bed.learn_all(await bed.agent())
    before = read_tables(bed.datapath)
    (bed.directory / "ids.json").write_text("{")
    agent = await bed.agent()
    agent.session_up(0)
    bed.config(agent)
    fresh = read_tables(bed.datapath)
    for name in ("nexthops", "labels"):
        held, now = getattr(before, name), getattr(fresh, name)
        assert all(now[key] == value for key, value in held.items()), name
    bed.routes(agent)
    agent.end_of_rib(0)
    bed.pass_time(agent, ROUTE_QUIET_SECONDS + 0.1)
    after = read_tables(bed.datapath)
    assert len(after.nexthops) == len(before.nexthops)
    assert len(after.labels) == len(before.labels)
    assert not [key for key in agent.ids["nh"].by_key if key.startswith("orphan")]
