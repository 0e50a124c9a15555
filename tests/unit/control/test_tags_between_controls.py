"""Tags cross from agent to agent, whichever form a neighbour speaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.communities import large_tag, tag
from tungsten.control.paths import Path, Protocol, Source
from tungsten.control.xmpp_routes import _attributes, _tags
from tungsten.xmpp.stanzas import InetItem, NextHop

HOP = NextHop(address="192.0.2.1", label=20, tags=(65543, 131073))


@pytest.mark.parametrize("form", ["extended", "large", "both"])
def test_tags_of_an_agents_route(form: str) -> None:
    item = InetItem(prefix="10.1.1.3/32", next_hops=(HOP,))
    made = _attributes(item, HOP, bytes((192, 0, 2, 1)), 64512, False)
    assert made.large_communities == (large_tag(64512, 65543), large_tag(64512, 131073))
    assert tag(64512, 65543) in made.extended_communities
    values = {name: getattr(made, name) for name in made.__struct_fields__}
    if form == "extended":
        values["large_communities"] = ()
    if form == "large":
        values["extended_communities"] = ()
    path = Path(Source("gateway", Protocol.BGP), PathAttributes(**values))
    assert _tags(path) == HOP.tags
    assert _tags(replace(path, attributes=PathAttributes(next_hop=path.attributes.next_hop))) == ()
