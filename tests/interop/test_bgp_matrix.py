"""Every neighbour that others wrote, and our own, by every family: there, back, and from there.

What is compared is each field that the neighbour shows, and on the way back every attribute.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import pytest
import pytest_asyncio
from tests.interop.bgp_harness import SAMPLES, Ours, RealPeer, Sample
from tests.interop.bird import Bird
from tests.interop.exabgp import ExaBgp
from tests.interop.frr import loopback_address, until
from tests.interop.frr_peer import FrrLabeled, FrrPeer
from tests.interop.gobgp import GoBgp
from tests.interop.tungsten_peer import Tungsten

from tungsten.bgp.nlri import Nlri

PEERS: dict[str, type[RealPeer]] = {
    each.name: each for each in (GoBgp, Bird, ExaBgp, FrrPeer, FrrLabeled, Tungsten)
}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Site:
    """A neighbour, and two sessions of ours with it."""

    peer: RealPeer
    one: Ours
    two: Ours


_sites: dict[str, Site] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[dict[str, Site]]:
    """Neighbours that were started, each once."""
    yield _sites
    for site in _sites.values():
        await site.one.stop()
        await site.two.stop()
        site.peer.stop()
    _sites.clear()


async def site_of(sites: dict[str, Site], name: str) -> Site:
    """The site of a neighbour, started if it was not yet."""
    if name not in sites:
        hosts = [loopback_address(), loopback_address()]
        one, two = [await Ours.listen(host) for host in hosts]
        peer = PEERS[name](hosts)
        sites[name] = site = Site(peer, one, two)
        await peer.start()
        for each in (one, two):
            await each.up(peer, peer.families)
        return site
    return sites[name]


def told(route: Nlri) -> tuple[bytes, object]:
    """A route's identity and label; FRR sets the traffic class next to a label at will."""
    label = getattr(route, "label", None)
    return route.key, getattr(route, "label_field", None) if label is None else label


def _cases(which: str) -> list[object]:
    names = {
        name: peer.announces if which == "announces" else peer.takes
        for name, peer in PEERS.items()
        if which != "reflects" or peer.reflects
    }
    return [
        pytest.param(name, SAMPLES[sample], id=f"{name}-{sample}")
        for name, samples in names.items()
        for sample in sorted(samples)
    ]


@pytest.mark.parametrize(("name", "sample"), _cases("takes"))
async def test_what_we_say_is_shown_there(
    sites: dict[str, Site], name: str, sample: Sample
) -> None:
    site = await site_of(sites, name)
    site.one.announce(sample)
    shown = await until(lambda: site.peer.shows(sample), what="route is shown")
    assert shown.without(site.peer.hidden(sample)) == site.peer.expected(sample)
    site.one.withdraw(sample)

    async def gone() -> bool:
        return await site.peer.shows(sample) is None

    await until(gone, what="withdrawal is shown")


@pytest.mark.parametrize(("name", "sample"), _cases("reflects"))
async def test_what_we_say_comes_back_with_every_attribute(
    sites: dict[str, Site], name: str, sample: Sample
) -> None:
    site = await site_of(sites, name)
    site.one.announce(sample)
    route, attributes = await until(lambda: site.two.heard(sample), what="route comes back")
    assert told(route) == told(sample.route) or sample.name in site.peer.loses_labels_of
    assert attributes.originator_id is not None
    assert attributes.cluster_list
    for field in sample.attributes.__struct_fields__:
        if field not in ("originator_id", "cluster_list", "extended_communities"):
            assert getattr(attributes, field) == getattr(sample.attributes, field), field
    assert sorted(attributes.extended_communities) == sorted(sample.attributes.extended_communities)
    site.one.withdraw(sample)
    await until(lambda: site.two.lacks(sample), what="withdrawal comes back")
    assert not site.two.rib.faults


@pytest.mark.parametrize(("name", "sample"), _cases("announces"))
async def test_what_it_says_arrives_with_every_attribute(
    sites: dict[str, Site], name: str, sample: Sample
) -> None:
    site = await site_of(sites, name)
    site.peer.announce(sample)
    for each in (site.one, site.two):
        route, attributes = await until(partial(each.heard, sample), what="its route")
        assert told(route) == told(sample.route)
        for field in ("next_hop", "med", "local_preference", "communities", "large_communities"):
            assert getattr(attributes, field) == getattr(sample.attributes, field), field
        wanted = set(sample.attributes.extended_communities)
        assert wanted <= set(attributes.extended_communities)
        assert attributes.pmsi_tunnel == sample.attributes.pmsi_tunnel
    site.peer.withdraw(sample)
    for each in (site.one, site.two):
        await until(partial(each.lacks, sample), what="its withdrawal")
    assert not site.one.rib.faults
