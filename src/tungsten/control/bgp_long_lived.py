"""Long-lived graceful restart (RFC 9494): a lost neighbour's routes as a last resort.

When the restart time of a neighbour is over and it announced a long-lived time for a family, its
routes get the community ``llgr-stale`` and stay for that time: any other path is preferred, and
neighbours that know the community are told of it. Routes with ``no-llgr`` go at once.

For others the routes must not look as good as they did (section 4.6): external ones are not told
of them; internal ones get them with local preference 0 and ``no-export``, as upstream does.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes

from .paths import ATTRIBUTES, PathFlag, Source
from .tables import Rib, Table


def make_long_lived(rib: Rib, source: Source, table: Table) -> int:
    """Keep what a source said in a table, and has not said again, as long-lived stale; how many."""
    kept = 0
    for route in rib.spoken(source, [table]):
        mine = [p for p in route.paths if p.source is source and p.is_primary and p.is_stale]
        for path in [each.as_said() for each in mine]:
            held = path.attributes.communities
            if communities.NO_LLGR in held:
                table.remove(route.key, path.identity)
                continue
            attributes = path.attributes
            if communities.LLGR_STALE not in held:
                attributes = ATTRIBUTES.intern(
                    msgspec.structs.replace(attributes, communities=(*held, communities.LLGR_STALE))
                )
            flags = path.flags | PathFlag.LLGR_STALE
            table.add(route.key, replace(path, attributes=attributes, flags=flags))
            kept += 1
    return kept


def told_without_long_lived(attributes: PathAttributes, internal: bool) -> PathAttributes | None:
    """What a neighbour that does not know ``llgr-stale`` is told of such a route."""
    if communities.LLGR_STALE not in attributes.communities:
        return attributes
    if not internal:
        return None
    held = attributes.communities
    if communities.NO_EXPORT not in held:
        held = (*held, communities.NO_EXPORT)
    return msgspec.structs.replace(attributes, local_preference=0, communities=held)
