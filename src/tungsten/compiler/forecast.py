"""What would be compiled from a change that nobody has made.

The compiler of :mod:`tungsten.compiler.compile` has no I/O, and its output is written by a
function of a transaction; so a forecast is the real thing over an
:class:`~tungsten.store.overlay.Overlay`. First everything is compiled as the snapshot stands:
what the running compiler has not got to yet is no consequence of the change. Then the change is
made on the overlay, and what the compiler does about it is the forecast.

Numbers are those that would be given now. Somebody else may get them first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tungsten.compiler import output
from tungsten.compiler.compile import Compiler
from tungsten.compiler.pools import POOLS
from tungsten.model import RESOURCE_TYPES, ModelError
from tungsten.store.base import StoreError
from tungsten.store.overlay import Difference, Overlay

#: Rounds of compiling and writing after which a forecast is given as it is. Two do nearly always:
#: one that writes, one that finds nothing left.
ROUNDS = 16


@dataclass(slots=True)
class Forecast:
    """What the compiler would change, and what it could not compile and why."""

    differences: list[Difference] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Forecaster:
    """A compiler on an overlay; ``now`` is the time to put in new objects (ISO 8601)."""

    def __init__(self, overlay: Overlay, now: str) -> None:
        self._overlay = overlay
        self._now = now
        self._compiler = Compiler()
        records = (one for name in RESOURCE_TYPES for one in overlay.records(name))
        self._compiler.load(records, {space: list(overlay.claims(space)) for space in POOLS})
        self.standing = self._compile()
        """What is still to be compiled of the snapshot itself."""

    def follow(self, differences: list[Difference]) -> Forecast:
        """What these changes, already written to the overlay, lead to."""
        self._compiler.apply(each.change for each in differences)
        return self._compile()

    def _compile(self) -> Forecast:
        forecast = Forecast()
        found: dict[str, Difference] = {}
        for _ in range(ROUNDS):
            while self._compiler.run():
                pass
            self._note_faults(forecast)
            operations = output.ordered(self._compiler.plan(self._compiler.dirty()))
            try:
                outcome = output.write(self._overlay, operations, self._now)
                written = self._overlay.commit()
            except (StoreError, ModelError, ValueError) as error:
                forecast.faults.append(f"what is derived cannot be written: {error}")
                break
            self._compiler.settle(outcome)
            self._compiler.apply(each.change for each in written)
            for each in written:
                before = (
                    found[each.record.uuid].before if each.record.uuid in found else each.before
                )
                found[each.record.uuid] = Difference(before, each.after)
            if not written:
                break
        forecast.differences = [one for one in found.values() if one.before != one.after]
        return forecast

    def _note_faults(self, forecast: Forecast) -> None:
        for fault in self._compiler.news():
            if fault.error is not None:
                record = self._compiler.graph.record(fault.producer.uuid)
                name = fault.producer.uuid if record is None else ":".join(record.fq_name)
                forecast.faults.append(f"{fault.producer.type} {name}: {fault.error}")
        forecast.faults += [str(each) for each in self._compiler.exhausted.values()]
