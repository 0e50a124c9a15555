"""The compiled core towards BGP neighbours: whole runs of UPDATE in, whole batches of them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import ref

from tungsten.control.bgp_ribout import KEYS_PER_FLUSH, BgpRibOut, Member
from tungsten.control.bgp_routes import Exporter, TakingPolicy
from tungsten.control.paths import Source
from tungsten.control.tables import Table

from . import _core

if TYPE_CHECKING:
    from .compiled import CompiledRib

MEMBERS = 64
"""Members of one rib-out of the core: sets of them are the bits of a word."""


class UpdateReader:
    """A neighbour's UPDATE messages into the tables."""

    def __init__(self, rib: CompiledRib, source: Source, policy: TakingPolicy) -> None:
        self._rib = rib
        self._source = source
        own, neighbor = policy.own, policy.neighbor
        session = neighbor.peer.session
        self._reader = _core.make_reader(
            rib.core,
            rib.views.reads_for(source, self),
            session.internal,
            policy.four_octet_as,
            session.local_as,
            session.peer_as,
            neighbor.loop_count,
            own.router_id,
            own.cluster_id or b"",
            -1 if neighbor.origin is None else int(neighbor.origin),
            neighbor.control_node and not session.internal,
            [
                (*family, rib.number(table), list(neighbor.encapsulations_of(family)))
                for family, table in policy.tables.items()
            ],
        )

    def feed(self, run: bytes) -> _core.FeedResult:
        """Take whole messages, up to the first that must close the session."""
        self._rib.views.source(self._source)
        result = self._reader.feed(run, time.time())
        self._rib.tell_marked()
        return result


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Shard:
    """Up to 64 members, a bit each."""

    out: _core.RibOut
    members: dict[int, Member] = field(default_factory=dict)

    def free(self) -> int | None:
        """The lowest number that no member has."""
        return next((each for each in range(MEMBERS) if each not in self.members), None)


class CompiledRibOut(BgpRibOut):
    """The fan-out of one table to the neighbours of one policy, encoded in the core."""

    def __init__(
        self,
        rib: CompiledRib,
        table: Table,
        exporter: Exporter,
        is_client: Callable[[Source], bool],
        on_work: Callable[[], None],
    ) -> None:
        self.table = table
        self.exporter = exporter
        self._rib = rib
        self._is_client = is_client
        self._on_work = on_work
        self._shards: list[_Shard] = []
        self._where: dict[Member, tuple[_Shard, int]] = {}

    @property
    def untold(self) -> dict[str, int]:
        """How many routes could not be encoded, by reason."""
        counts: dict[str, int] = {}
        for shard in self._shards:
            for reason, count in shard.out.untold().items():
                counts[reason] = counts.get(reason, 0) + count
        return counts

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left to tell."""
        return not self._where

    def close(self) -> None:
        """Stop following the table."""
        self._shards.clear()

    def _new_shard(self) -> _Shard:
        policy, own, us = self.exporter.policy, self.exporter.own, ref(self)
        rib = self._rib
        made: list[ref[_Shard]] = []

        def is_client(source: int) -> bool:
            alive = us()
            return alive is not None and alive._is_client(rib.views.source_of(source))

        def wants(member: int, targets: list[bytes]) -> bool:
            alive = made[0]()
            return alive is not None and alive.members[member].wants(frozenset(targets))

        out = _core.make_rib_out(
            rib.core,
            rib.number(self.table),
            policy.internal,
            policy.four_octet_as,
            policy.client,
            policy.local_as,
            policy.peer_as,
            policy.as_override,
            policy.private_as,
            list(policy.encapsulations),
            policy.long_lived,
            own.cluster_id or b"",
            is_client,
            wants,
        )
        shard = _Shard(out)
        made.append(ref(shard))
        self._shards.append(shard)
        return shard

    # --- members

    def join(self, member: Member) -> None:
        """Add a member; it is to hear of every route that it may."""
        for shard in self._shards:
            number = shard.free()
            if number is not None:
                break
        else:
            shard, number = self._new_shard(), 0
        shard.members[number] = member
        self._where[member] = (shard, number)
        shard.out.join(number, self._rib.views.source(member.source), member.is_choosy)
        self._on_work()

    def leave(self, member: Member) -> None:
        """Remove a member whose session is gone."""
        where = self._where.pop(member, None)
        if where is None:
            return
        shard, number = where
        shard.out.leave(number)
        del shard.members[number]
        if not shard.members:
            self._shards.remove(shard)

    def refresh(self, member: Member) -> None:
        """Tell a member everything again (ROUTE-REFRESH, RFC 2918)."""
        if member in self._where:
            shard, number = self._where[member]
            shard.out.refresh(number)
            self._on_work()

    def refilter(self, member: Member, targets: Iterable[bytes] | None) -> None:
        """What a member asks for has changed, as to some route targets or (None) as to all."""
        if member in self._where:
            shard, number = self._where[member]
            shard.out.refilter(number, member.is_choosy, targets is None, list(targets or ()))
            self._on_work()

    def is_behind(self, member: Member) -> bool:
        """Whether something is still to be told to a member."""
        if member not in self._where:
            return False
        shard, number = self._where[member]
        return shard.out.is_behind(number)

    def count(self, member: Member) -> int:
        """How many routes a member holds."""
        if member not in self._where:
            return 0
        shard, number = self._where[member]
        return shard.out.count(number)

    # --- sending

    def flush(self) -> bool:
        """Send what members are ready for, up to a batch of routes; whether more can be sent."""
        more = False
        for shard in self._shards:
            if not shard.out.has_work():
                continue
            ready = 0
            for number, member in shard.members.items():
                if member.is_ready(self.family):
                    ready |= 1 << number
            again, outputs = shard.out.flush(ready, KEYS_PER_FLUSH)
            more = more or again
            for members, octets, messages in outputs:
                for number, member in shard.members.items():
                    if members >> number & 1:
                        member.deliver(octets, messages)
        return more
