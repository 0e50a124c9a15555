"""What is wrong with a neighbour's UPDATEs and does not end its session: counted and logged."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from tungsten.bgp.attributes import Remedy
from tungsten.bgp.families import Family
from tungsten.bgp.update import Update

from .paths import PathFlag

if TYPE_CHECKING:
    from .core._core import FeedResult

_log = structlog.get_logger("tungsten.control")


class Complaints:
    """Counts under the neighbour's ``counters``, each reason by its own."""

    def __init__(self, name: str, counters: Counter[str]) -> None:
        self._name = name
        self.counters = counters

    def note(self, result: FeedResult) -> None:
        """Count and log what was wrong with messages."""
        for code, remedy, count in result.faults:
            self.counters[f"attribute {code}: {Remedy(remedy).name.lower()}"] += count
        for afi, safi, count in result.ignored:
            self._ignore(Family(afi, safi), count)
        for reason, count in result.unusable:
            self.counters[reason] += count
        for flags, count in result.infeasible:
            self.counters[str(PathFlag(flags).name).lower()] += count
        if result.skipped:
            self._skip(result.skipped, result.skipped_reason)
        if result.fault is not None:
            code, remedy, reason, _, _ = result.fault
            self._log_fault(code, Remedy(remedy), reason)

    def count(self, message: Update) -> None:
        """The same of one message."""
        for fault in message.faults:
            self.counters[f"attribute {fault.code}: {fault.remedy.name.lower()}"] += 1
        for family in message.ignored:
            self._ignore(family, 1)
        if message.skipped:
            self._skip(len(message.skipped), message.skipped[0])
        if message.faults:
            first = message.faults[0]
            self._log_fault(first.code, first.remedy, first.reason)

    def _ignore(self, family: Family, count: int) -> None:
        if not self.counters[f"family {family} not negotiated"]:
            _log.warning("family_ignored", neighbor=self._name, family=str(family))
        self.counters[f"family {family} not negotiated"] += count

    def _skip(self, count: int, reason: str) -> None:
        self.counters["routes skipped"] += count
        _log.warning("routes_skipped", neighbor=self._name, reason=reason)

    def _log_fault(self, code: int, remedy: Remedy, reason: str) -> None:
        _log.warning(
            "attribute_fault",
            neighbor=self._name,
            attribute=code,
            remedy=remedy.name.lower(),
            reason=reason,
        )
