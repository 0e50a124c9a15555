"""The tables of replication trees, beside those of either core.

Trees are few routes beside those of addresses: one for an agent and network, and a few between
control nodes. So their tables, ``X.ermvpn.0`` and ``bgp.ermvpn.0``, are always kept in Python:
:class:`RibWithTrees` is a RIB to all who use one, and hands each table to whoever keeps it.

A compiled core that were to keep them would have to store the family's keys (type, distinguisher,
router identifier, source, group), copy types 1 and 2 between VRF and VPN table with the
distinguisher set and cleared, into VRFs of the origin network only and never from VRF to VRF,
never copy type 0, and read and write the NLRI on BGP.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from tungsten.bgp.families import ERM_VPN, Family

from .paths import Source
from .replication import Replication
from .tables import Rib, Route, Table

if TYPE_CHECKING:
    from .bgp_ribout import BgpRibOut
    from .bgp_routes import Exporter, TakingPolicy
    from .core.speaking import UpdateReader
    from .instances import Instance, Instances


#: AFI and SAFI of erm-vpn, as they are in MP_REACH_NLRI and MP_UNREACH_NLRI.
_ON_BGP = b"\0\1\xf3"
_HEADER = 19


def before_trees(data: bytes, at: int, end: int) -> int:
    """Where, among whole BGP messages from ``at`` to ``end``, the first begins that may be about
    trees (it has the octets of the family somewhere); ``end`` if there is none.
    """
    found = data.find(_ON_BGP, at, end)
    if found < 0:
        return end
    while True:
        size = int.from_bytes(data[at + 16 : at + 18], "big")
        if size < _HEADER or at + size > found:
            return at
        at += size


class RibWithTrees(Rib):
    """Tables of ``core``, and those of trees."""

    keeps_trees = True

    def __init__(self, core: Rib) -> None:
        self.core = core
        self.trees = Rib({"bgp.ermvpn.0": ERM_VPN})
        self.tables = core.tables | self.trees.tables
        self.replicator = None
        self.on_marked = None
        self.find_run = core.find_run
        core.on_marked = self.trees.on_marked = self._marked_some

    def _marked_some(self) -> None:
        if self.on_marked is not None:
            self.on_marked()

    def _keeper(self, family: Family) -> Rib:
        return self.trees if family == ERM_VPN else self.core

    # --- tables

    def vrf_table(self, instance: str, family: Family) -> Table:
        """The table of an instance and family, made when missing."""
        table = self._keeper(family).vrf_table(instance, family)
        self.tables[table.name] = table
        return table

    def remove_table(self, table: Table) -> None:
        """Empty a table of what was said in it, and forget it once its copies are gone."""
        keeper = self._keeper(table.family)
        keeper.remove_table(table)
        if table.name not in keeper.tables:
            self.tables.pop(table.name, None)

    def mark(self, route: Route) -> None:
        """A route is to be looked at again."""
        self._keeper(route.table.family).mark(route)

    @property
    def is_settled(self) -> bool:
        """Whether no route waits to be dealt with."""
        return self.core.is_settled and self.trees.is_settled

    # --- all of a source

    def _shares(
        self, tables: Collection[Table] | None
    ) -> tuple[tuple[Rib, Collection[Table] | None], ...]:
        """Whom to ask for what is in some tables or all."""
        if tables is None:
            return (self.core, None), (self.trees, None)
        mine = [table for table in tables if table.family == ERM_VPN]
        others = [table for table in tables if table.family != ERM_VPN]
        return (self.core, others), (self.trees, mine)

    def spoken(self, source: Source, tables: Collection[Table] | None = None) -> list[Route]:
        """Routes that a source speaks of, in some tables or all."""
        return [r for rib, some in self._shares(tables) for r in rib.spoken(source, some)]

    def path_count(self, source: Source) -> int:
        """How many primary paths a source has."""
        return self.core.path_count(source) + self.trees.path_count(source)

    def drop(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw all that a source has said; how many paths."""
        return sum(rib.drop(source, some) for rib, some in self._shares(tables))

    def stale(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Flag all that a source has said as stale; it stays in use."""
        return sum(rib.stale(source, some) for rib, some in self._shares(tables))

    def sweep(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw what a source said before it was lost and has not said again."""
        return sum(rib.sweep(source, some) for rib, some in self._shares(tables))

    # --- work

    def process(self, limit: int | None = None) -> bool:
        """Deal with marked routes, or with about ``limit`` of them; whether all are done."""
        while not self.is_settled:
            self.core.process(limit)
            self.trees.process(limit)
            if limit is not None:
                break
        return self.is_settled

    # --- what belongs to it

    def replication_for(self, instances: Instances) -> Replication:
        """Who copies its routes between instances."""
        core = self.core.replication_for(instances)
        trees = Replication(self.trees, instances)
        self.core.replicator, self.trees.replicator = core, trees
        return _Both(self, instances, core, trees)

    def bgp_rib_out(
        self,
        table: Table,
        exporter: Exporter,
        is_client: Callable[[Source], bool],
        on_work: Callable[[], None],
    ) -> BgpRibOut:
        """What neighbours of one policy are told of a table."""
        return self._keeper(table.family).bgp_rib_out(table, exporter, is_client, on_work)

    def update_reader(self, source: Source, policy: TakingPolicy) -> UpdateReader | None:
        """Who takes a neighbour's UPDATE messages of all families but this one."""
        tables = {f: table for f, table in policy.tables.items() if f != ERM_VPN}
        return self.core.update_reader(source, replace(policy, tables=tables))


class _Both(Replication):
    """Replication of a core's tables, and of those of trees."""

    def __init__(
        self, rib: RibWithTrees, instances: Instances, core: Replication, trees: Replication
    ) -> None:
        super().__init__(rib, instances)
        self._core = core
        self._trees = trees

    def replicate(self, route: Route) -> None:
        """Bring the copies of a route up to date."""
        (self._trees if route.table.family == ERM_VPN else self._core).replicate(route)

    def follow(self, instance: Instance) -> None:
        """An instance is new, or its configuration changed."""
        self._core.follow(instance)

    def forget(self, instance: Instance) -> None:
        """An instance is gone."""
        self._core.forget(instance)

    @property
    def targets(self) -> set[bytes]:
        """Route targets that routes carry."""
        return self._core.targets | self._trees.targets

    def reconsider_target(self, target: bytes) -> None:
        """Someone's use of a route target changed."""
        self._core.reconsider_target(target)
        self._trees.reconsider_target(target)

    def reconsider_table(self, table: Table) -> None:
        """The configuration of a table's instance changed."""
        (self._trees if table.family == ERM_VPN else self._core).reconsider_table(table)

    def set_reachability_check(self, check: bool) -> None:
        """Whether copies wait for a host route to their next hop; none is needed in trees."""
        self._core.set_reachability_check(check)

    def set_asn(self, asn: int) -> None:
        """The AS number of this node changed."""
        self._core.set_asn(asn)
        self._trees.set_asn(asn)
        self.asn = asn
