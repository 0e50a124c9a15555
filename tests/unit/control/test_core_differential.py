"""Both cores live through the same events at random, and must hold and tell the same."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.core_worlds import CONFIGS, FAMILIES, CoreWorld, path_value
from tests.unit.control.cores import compiled_only
from tests.unit.control.policies import some_policies
from tests.unit.control.test_core_decoder import mutated

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel, encode_attributes
from tungsten.bgp.families import EVPN, INET, INET_VPN, ROUTE_TARGET, Family
from tungsten.bgp.nlri import (
    InclusiveMulticast,
    Inet,
    IpPrefix,
    MacIp,
    Nlri,
    RouteTarget,
    UnknownEvpn,
    Vpn,
    encode_nlri,
    prefix_from_text,
)
from tungsten.bgp.update import pack_end_of_rib, pack_reach, pack_unreach
from tungsten.control.core import choose
from tungsten.control.instances import InstanceConfig
from tungsten.control.paths import ATTRIBUTES, Path, PathFlag, Protocol, Source
from tungsten.control.routing_policy import RoutingPolicy
from tungsten.control.tables import Rib

pytestmark = compiled_only
NAMES = ("a", "b", "c")
TARGETS = [communities.route_target(64512, number) for number in (1, 2, 3)]
RDS = [b"\0\1" + bytes((192, 0, 2, 9)) + bytes((0, number)) for number in (3, 4)]


def some_attributes(draw: random.Random, meds: tuple[int | None, ...] = (None,)) -> PathAttributes:
    """Attributes out of few, so that sets are shared, compared and changed back.

    With several MEDs the order of three paths can depend on which came first (RFC 4451 2.1), and
    when copies come depends on how work is cut into slices: histories do without.
    """
    extended = draw.sample(TARGETS, draw.choice([0, 1, 1, 2]))
    if draw.random() < 0.3:
        extended.append(draw.choice([communities.encapsulation(n) for n in ("vxlan", "udp")]))
    if draw.random() < 0.2:
        asn, index = draw.choice([64512, 64513]), draw.choice([4, 5, 8_000_001])
        extended.append(communities.origin_vn(asn, index))
    if draw.random() < 0.2:
        extended.append(communities.mac_mobility(draw.randrange(3), sticky=draw.random() < 0.3))
    path = draw.choice([(), (64513,), (64513, 70000), (64514, 64512), (64514,)])
    return PathAttributes(
        next_hop=bytes((192, 0, 2, draw.choice([1, 2]))),
        origin=draw.choice([0, 0, 2]),
        as_path=(Segment(AS_SEQUENCE, path),) if path else (),
        med=draw.choice(meds),
        local_preference=draw.choice([100, 100, 200, None]),
        extended_communities=tuple(extended),
        communities=draw.choice([(), (), (), (communities.NO_EXPORT,), (communities.LLGR_STALE,)]),
        originator_id=draw.choice([None, None, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 77))]),
        cluster_list=draw.choice([(), (), (bytes((0, 0, 0, 8)),), (bytes((0, 0, 0, 9)),)]),
        pmsi_tunnel=draw.choice([None, None, PmsiTunnel(6, 0x140, bytes((192, 0, 2, 1)), 0x80)]),
    )


def some_routes(draw: random.Random, family: Family) -> list[Nlri]:
    """Routes out of few, so that neighbours speak of the same ones."""
    prefix = prefix_from_text(draw.choice(["10.0.0.0/24", "10.0.1.0/24", "10.9.0.0/16"]))
    host = prefix_from_text(draw.choice(["192.0.2.1/32", "192.0.2.2/32"]))
    rd, label = draw.choice(RDS), draw.choice([0x101, 0x201, 0x31])
    typed: list[Nlri] = [
        MacIp(rd, 0, b"\xff" * 6, b"", label),
        MacIp(rd, 0, bytes(5) + b"\2", bytes(16), label, bytes(9) + b"\7", 0x501),
        InclusiveMulticast(rd, 0, bytes((192, 0, 2, 1))),
        IpPrefix(rd, 0, prefix, label),
        UnknownEvpn(9, b"abc"),
    ]
    choices: dict[Family, list[Nlri]] = {
        INET: [Inet(draw.choice([prefix, host]))],
        INET_VPN: [Vpn(rd, prefix, label), Vpn(rd, prefix_from_text("10.0.1.0/24"), 0x401)],
        ROUTE_TARGET: [
            RouteTarget.of(64512, target) for target in draw.sample(TARGETS, draw.choice([1, 2]))
        ],
        EVPN: [
            MacIp(rd, draw.choice([0, 5]), bytes(5) + b"\1", b"\x0a\0\0\1", label),
            draw.choice(typed),
        ],
    }
    return choices[family]


def some_messages(draw: random.Random, number: int) -> list[bytes]:
    """Bodies of a few messages of a neighbour."""
    bodies = []
    session = CONFIGS[number].peer.session
    for _ in range(draw.choice([1, 1, 2, 4])):
        family = draw.choice([INET, INET_VPN, INET_VPN, INET_VPN, EVPN, EVPN, ROUTE_TARGET])
        nlris = [encode_nlri(route) for route in some_routes(draw, family)]
        kind = draw.random()
        if kind < 0.1:
            made = [pack_end_of_rib(family)]
        elif kind < 0.35:
            made = pack_unreach(family, nlris)
        else:
            said = some_attributes(draw)
            if session.internal and said.local_preference is None and draw.random() < 0.9:
                said = PathAttributes(next_hop=said.next_hop, local_preference=100)
            block = encode_attributes(said, with_next_hop=family == INET)
            made = pack_reach(family, block, said.next_hop, nlris)
        octets = [message[19:] for message in made]
        if draw.random() < 0.04:
            octets = [broken for each in octets if len(broken := mutated(draw, each)) >= 4]
        bodies += [each for each in octets if len(each) <= 4077]
    return bodies


class Twins:
    """Two worlds, one on each core."""

    def __init__(self) -> None:
        self.python = CoreWorld(Rib())
        self.compiled = CoreWorld(choose("compiled").make_rib())
        self.configs: dict[str, InstanceConfig] = {}

    def do(self, what: str, *arguments: Any) -> Any:
        """The same event in both; they must answer the same."""
        ours = getattr(self.compiled, what)(*arguments)
        theirs = getattr(self.python, what)(*arguments)
        assert ours == theirs, (what, arguments)
        return ours

    def put(self, name: str, imports: list[bytes], exports: list[bytes], index: int) -> None:
        """An instance is made, or its targets change."""
        known = self.configs.get(name)
        config = self.configs[name] = InstanceConfig(
            name,
            frozenset(imports),
            frozenset(exports),
            "net",
            index,
            known.policies if known is not None else (),
        )
        self.do("put", config)

    def judge(self, name: str, policies: tuple[RoutingPolicy, ...]) -> None:
        """Other policies act in an instance."""
        known = self.configs.get(name)
        if known is not None:
            config = self.configs[name] = replace(known, policies=policies)
            self.do("put", config)

    def compare(self) -> None:
        """After all work is done nothing may differ."""
        self.do("work", None)
        for what in ("tables", "contributing", "copies", "told", "holdings", "spoken"):
            self.do(what)


def event(twins: Twins, draw: random.Random) -> None:
    """Something happens."""
    number, agent, name = draw.randrange(len(CONFIGS)), draw.randrange(2), draw.choice(NAMES)
    chance = draw.random()
    if chance < 0.40:
        twins.do("update", number, some_messages(draw, number))
    elif chance < 0.52:
        said = some_attributes(draw)
        twins.do("say", agent, name, draw.randrange(4), said, draw.choice([20, 21, 0x100000]))
    elif chance < 0.57:
        twins.do("unsay", agent, name, draw.randrange(4))
    elif chance < 0.59:
        twins.do("contribute", name, draw.randrange(4), draw.random() < 0.5)
    elif chance < 0.65:
        imports, exports = draw.sample(TARGETS, draw.randrange(3)), draw.sample(TARGETS, 1)
        index = draw.choice([0, 4, 5])
        twins.put(name, imports, exports, index)
    elif chance < 0.66:
        twins.do("check", draw.random() < 0.7)
    elif chance < 0.69:
        twins.judge(name, some_policies(draw))
    elif chance < 0.71:
        twins.configs.pop(name, None)
        twins.do("delete", name)
    elif chance < 0.76:
        some = FAMILIES if draw.random() < 0.5 else FAMILIES - {ROUTE_TARGET}
        twins.do("up", number, some, draw.random() < 0.8)
    elif chance < 0.78:
        twins.do("down", number, draw.choice([frozenset(), frozenset({INET_VPN, EVPN})]))
    elif chance < 0.81:
        twins.do("listen", number, draw.random() < 0.6)
    elif chance < 0.83:
        twins.do("refresh", number, draw.choice([INET_VPN, EVPN]))
    elif chance < 0.86:
        twins.do("lose", agent, draw.choice(["stale", "sweep", "drop"]))
    elif chance < 0.89:
        twins.do("wait", draw.choice([1.0, 20.0, 40.0]))
    elif chance < 0.95:
        limit = draw.choice([1, 3, 50])
        twins.compiled.work(limit)
        twins.python.work(limit)
    else:
        twins.compare()


def live(draw: random.Random, events: int) -> Twins:
    """A history at random."""
    twins = Twins()
    for name, target in zip(NAMES, TARGETS, strict=True):
        twins.put(name, [target], [target], 4)
    for number in range(len(CONFIGS)):
        twins.do("up", number, FAMILIES - {ROUTE_TARGET}, True)
    for _ in range(events):
        event(twins, draw)
    twins.compare()
    return twins


@pytest.mark.parametrize("seed", range(30))
def test_both_cores_hold_and_tell_the_same(seed: int) -> None:
    live(random.Random(seed), 150)


@pytest.mark.parametrize("seed", range(6))
def test_both_cores_put_paths_in_the_same_order(seed: int) -> None:
    """Whatever the paths, and also where preferences go in circles (MED)."""
    draw = random.Random(seed)
    ribs = [Rib(), choose("compiled").make_rib()]
    protocols = list(Protocol)
    for number in range(150):
        sources = []
        for which in range(draw.choice([2, 3, 5, 12])):
            address = bytes((10, 0, 0, draw.randrange(4)))
            source = Source(f"s{which}", draw.choice(protocols), address, address)
            source.external = draw.random() < 0.3
            sources.append(source)
        key = RDS[0] + prefix_from_text(f"10.{number}.0.0/16")
        for source in sources:
            said = ATTRIBUTES.intern(some_attributes(draw, (None, 100, 150)))
            flags = PathFlag(draw.choice([0, 0, 0, 1, 2, 4, 512]))
            path = Path(source, said, 20, path_id=draw.choice([0, 0, 1]), flags=flags)
            for rib in ribs:
                rib.tables["bgp.l3vpn.0"].add(key, path)
        orders = []
        for rib in ribs:
            rib.process()
            route = rib.tables["bgp.l3vpn.0"].get(key)
            assert route is not None
            orders.append([path_value(path) for path in route.paths])
            orders[-1] += [path_value(path) for path in route.equal_cost]
        assert orders[0] == orders[1]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(5, 60))
def test_shortest_histories_that_differ(draw: random.Random, events: int) -> None:
    live(draw, events)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_left_when_all_have_gone(seed: int) -> None:
    twins = live(random.Random(100 + seed), 100)
    for number in range(len(CONFIGS)):
        twins.do("down", number, frozenset())
        twins.do("wait", 100.0)
    for name in NAMES:
        twins.do("delete", name)
    for agent in (0, 1):
        twins.do("lose", agent, "drop")
    twins.compare()
    assert twins.compiled.tables() == {}
    core: Any = twins.compiled.rib
    handles = len(core.views._handles)
    assert core.core.attribute_sets() == handles, "sets that nobody uses"
