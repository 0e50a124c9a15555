"""What sessions agree on beyond routes, with neighbours that others wrote: library alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from tests.interop.bgp_harness import SAMPLES, TARGET, Ours, RealPeer, Sample
from tests.interop.bird import Bird
from tests.interop.exabgp import ExaBgp
from tests.interop.frr import loopback_address, until
from tests.interop.frr_peer import FrrPeer
from tests.interop.gobgp import GoBgp

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, Segment
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET_VPN, ROUTE_TARGET, Family
from tungsten.bgp.messages import RouteRefresh, encode_message
from tungsten.bgp.nlri import RouteTarget
from tungsten.bgp.update import Reach, Update, pack_end_of_rib

VPN = SAMPLES["inet-vpn"]
ALL = [GoBgp, Bird, ExaBgp, FrrPeer]
ONLY_VPN = frozenset({INET_VPN})
Make = Callable[..., Awaitable[tuple[RealPeer, Ours]]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Starts a neighbour, and a speaker of ours that is configured there."""
    peers: list[RealPeer] = []
    speakers: list[Ours] = []

    async def start(kind: type[RealPeer], *, count: int = 1, **values: object) -> object:
        init = {key: values.pop(key) for key in ("asn", "md5") if key in values}
        hosts = [loopback_address() for _ in range(count)]
        ours = [await Ours.listen(host) for host in hosts]
        speakers.extend(ours)
        peer = kind(hosts, **init)  # type: ignore[arg-type]
        peers.append(peer)
        for name, value in values.items():
            setattr(peer, name, value)
        await peer.start()
        return (peer, *ours)

    yield start  # type: ignore[misc]
    for each in speakers:
        await each.stop()
    for peer in peers:
        peer.stop()


@pytest.mark.parametrize("kind", ALL)
async def test_md5(make: Make, kind: type[RealPeer]) -> None:
    """B-15: with the key there is a session, with another one there is none."""
    peer, ours = await make(kind, md5="a-key-of-theirs", takes=frozenset({"inet-vpn"}))
    wrong = ours.add(peer, ONLY_VPN, md5="another")
    await asyncio.sleep(0.7)
    assert not wrong.established
    ours.speaker.remove(peer.address)
    await ours.up(peer, ONLY_VPN, md5="a-key-of-theirs")


@pytest.mark.parametrize("kind", ALL)
async def test_hold_time_is_the_smaller_one(make: Make, kind: type[RealPeer]) -> None:
    peer, ours = await make(kind, takes=frozenset({"inet-vpn"}))
    session = await ours.up(peer, ONLY_VPN, hold_time=6)
    assert session.negotiated is not None
    assert session.negotiated.hold_time == 6


@pytest.mark.parametrize("kind", ALL)
async def test_refresh_is_answered(make: Make, kind: type[RealPeer]) -> None:
    """With its beginning and end marked by those who can (RFC 7313)."""
    takes = frozenset({"inet-vpn"})
    if kind is ExaBgp:
        peer, ours = await make(kind, takes=takes)
        session = await ours.up(peer, ONLY_VPN)
        peer.announce(VPN)
    else:
        peer, ours, other = await make(kind, takes=takes, count=2)  # type: ignore[misc]
        session = await ours.up(peer, ONLY_VPN)
        await other.up(peer, ONLY_VPN)
        other.announce(VPN)
    await until(lambda: ours.heard(VPN))
    if kind is not GoBgp:  # says none without graceful restart
        await until(lambda: INET_VPN in ours.rib.ended, what="its End-of-RIB")
    ours.rib.routes.clear()
    session.send(encode_message(RouteRefresh(INET_VPN)))
    await until(lambda: ours.heard(VPN), what="the route again")
    assert session.negotiated is not None
    assert session.negotiated.enhanced_refresh == (kind in (Bird, ExaBgp, FrrPeer))
    if session.negotiated.enhanced_refresh:
        marks = [RouteRefresh(INET_VPN, 1), RouteRefresh(INET_VPN, 2)]
        await until(lambda: ours.rib.demarcations == marks, what="both marks")


@pytest.mark.parametrize("kind", ALL)
async def test_as_numbers_of_four_octets(make: Make, kind: type[RealPeer]) -> None:
    """Ours is told as AS_TRANS where we do not offer them, and theirs comes whole all the same."""
    names = frozenset({"inet-vpn"})
    sample = VPN
    for wide in (True, False):
        peer, ours = await make(kind, asn=4200000001, takes=names)
        session = await ours.up(peer, ONLY_VPN, four_octet_as=wide)
        assert session.negotiated is not None
        assert session.negotiated.four_octet_as == wide
        path = (Segment(AS_SEQUENCE, (64512, 4200000009)),)
        attributes = replace_attributes(sample, as_path=path, local_preference=None)
        block = Update(reach=(Reach(INET_VPN, attributes, (sample.route,)),))
        session.send(encode_message(block, four_octet_as=wide))
        shown = await until(partial(peer.shows, sample), what="route")
        assert shown.label == 27
        if peer.announces:
            await asyncio.to_thread(peer.announce, sample)
            _, heard = await until(partial(ours.heard, sample), what="its route")
            assert heard.as_path == (Segment(AS_SEQUENCE, (4200000001,)),)


def replace_attributes(sample: Sample, **changes: object) -> PathAttributes:
    values = {name: getattr(sample.attributes, name) for name in PathAttributes.__struct_fields__}
    return PathAttributes(**{**values, **changes})


async def test_gobgp_filters_by_route_target(make: Make) -> None:
    """Two of ours ask for one target each; each gets what it asked for, until it asks no more."""
    peer, say, one, two = await make(  # type: ignore[misc]
        GoBgp, count=3, takes=frozenset({"inet-vpn"}), families_too=("route-target",)
    )
    families: frozenset[Family] = frozenset({INET_VPN, ROUTE_TARGET})
    targets = [TARGET, communities.route_target(64512, 8000004)]
    for ours, target in ((one, targets[0]), (two, targets[1])):
        session = await ours.up(peer, families)
        wish = RouteTarget.of(64512, target)
        attributes = PathAttributes(next_hop=bytes((192, 0, 2, 1)), local_preference=100)
        ours.tell(Update(reach=(Reach(ROUTE_TARGET, attributes, (wish,)),)))
        session.send(pack_end_of_rib(ROUTE_TARGET))
    await say.up(peer, ONLY_VPN)
    other = replace(
        VPN,
        route=type(VPN.route)(bytes(7) + b"\1", VPN.route.prefix, VPN.route.label_field),  # type: ignore
        attributes=replace_attributes(VPN, extended_communities=(targets[1],)),
    )
    for sample in (VPN, other):
        say.announce(sample)
    await until(lambda: one.heard(VPN) and two.heard(other), what="what each asked for")
    await asyncio.sleep(0.3)
    assert one.lacks(other)
    assert two.lacks(VPN)


async def test_gobgp_and_frr_say_why_they_stop(make: Make) -> None:
    """B-11: the words of the other operator (RFC 9003)."""
    peer, ours = await make(GoBgp, takes=frozenset({"inet-vpn"}))
    await ours.up(peer, ONLY_VPN)
    assert isinstance(peer, GoBgp)
    await asyncio.to_thread(peer.ask, "neighbor", ours.host, "shutdown", "--reason", "moving house")
    await until(lambda: ours.rib.downs)
    said = ours.rib.downs[0].received
    assert said is not None
    assert said.shutdown_text == "moving house"
    frr, ours = await make(FrrPeer, takes=frozenset({"inet-vpn"}))
    await ours.up(frr, ONLY_VPN)
    assert isinstance(frr, FrrPeer)
    line = f"neighbor {ours.host} shutdown message back at noon"
    await frr.frr.configure("router bgp 64512", line)
    await until(lambda: ours.rib.downs)
    said = ours.rib.downs[0].received
    assert said is not None
    assert said.shutdown_text == "back at noon"


async def test_bird_sends_several_paths(make: Make) -> None:
    """RFC 7911: two of ours say one route, a third hears both."""
    peer, one, two, hears = await make(  # type: ignore[misc]
        Bird,
        count=3,
        takes=frozenset({"inet-vpn"}),
        channels=("inet-vpn",),
        channel_options="add paths tx; ",
    )
    await one.up(peer, ONLY_VPN)
    await two.up(peer, ONLY_VPN)
    session = await hears.up(peer, ONLY_VPN, add_paths=ONLY_VPN)
    assert session.negotiated is not None
    assert session.negotiated.add_paths == ONLY_VPN
    one.announce(VPN)
    two.announce(VPN)

    def ids() -> set[int]:
        return {
            path_id
            for update in hears.rib.stream
            for news in update.reach
            for path_id in news.path_ids
        }

    await until(lambda: len(ids()) == 2, what="both paths")
    one.withdraw(VPN)

    def gone() -> list[int]:
        return [i for update in hears.rib.stream for each in update.unreach for i in each.path_ids]

    await until(lambda: len(gone()) == 1, what="withdrawal of one")
    assert set(gone()) < ids()
    assert not hears.rib.faults


@pytest.mark.parametrize("kind", [GoBgp, Bird])
async def test_last_resort_is_agreed_on(make: Make, kind: type[RealPeer]) -> None:
    """RFC 9494: a lost neighbour's time is what it announced; it keeps ours marked."""
    peer, ours, other = await make(  # type: ignore[misc]
        kind, count=2, takes=frozenset({"inet-vpn"}), restart_time=1, long_lived=60
    )
    restart = {"restart_time": 1, "long_lived_time": 60}
    session = await ours.up(peer, ONLY_VPN, **restart)
    await other.up(peer, ONLY_VPN, **restart)
    assert session.negotiated is not None
    assert session.negotiated.long_lived is not None
    assert session.negotiated.long_lived.families[0][2] == 60
    session.send(pack_end_of_rib(INET_VPN))
    ours.announce(VPN)
    await until(lambda: other.heard(VPN))
    for link in list(session._connections):
        assert link.transport is not None
        link.transport.abort()
    ours.speaker.remove(peer.address)

    def marked() -> bool:
        found = other.heard(VPN)
        return found is not None and communities.LLGR_STALE in found[1].communities

    await until(marked, what="our route as a last resort")
