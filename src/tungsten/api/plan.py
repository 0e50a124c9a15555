"""``POST /plan``: what a change would change, and what would be compiled from it.

The request is that of ``POST /apply`` or that of ``POST /transaction``. It is carried out over an
:class:`~tungsten.store.overlay.Overlay` of one state of the store, by the very functions that
would carry it out in earnest, hence refused for the same reasons; then the compiler is run on
the outcome (:mod:`tungsten.compiler.forecast`). Nothing is written. ``"compile": false`` leaves
the compiler out, which costs no more than the change itself.

The answer tells the ``revision`` that it is about, what would become of each document
(``objects``) or what each operation would answer (``results``), the changes of objects,
``intent`` for those that people write and ``derived`` for what the compiler makes of them, and
``faults``: what the compiler could not do and why. A change has ``before`` and ``after``, an
object as the API takes it, or null; an object that the compiler made has ``derived_from``.
Numbers, uuids and addresses that would be given out are a forecast: another change may get them
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tungsten.api import batch, bodies, intent
from tungsten.api.authority import may_see, without_unseen
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo, of_store
from tungsten.api.transactions import Write
from tungsten.compiler.forecast import Forecaster
from tungsten.model import to_fields
from tungsten.store.base import Record, StoreError
from tungsten.store.overlay import Difference, Overlay
from tungsten.store.records import from_record

ORDER = {"create": 0, "update": 1, "delete": 2}


def wants_compiling(body: Json) -> bool:
    """Whether the request asks for what is derived."""
    return bodies.flag({"compile": True, **body}, "compile")


Doing = Callable[[Write], Json]
"""Does what a request asks for; the members of the answer that tell what became of its parts."""


def read(body: Json, base: str, *, drop: bool) -> Doing:
    """What a request asks for: documents, or operations. Raises BadRequest, NotFound."""
    if "operations" not in body:
        asked = intent.read(body)
        return lambda write: {"objects": intent.run(write, asked, base, drop=drop)}
    other = set(body) - {"operations", "compile"}
    if other:
        raise BadRequest(f"Bad Request, beside operations there is no {echo(sorted(other)[0])}")
    return lambda write: batch.run(write, body, base, drop=drop)


def run(write: Write, doing: Doing, *, compiling: bool) -> Json:
    """What would happen. ``write`` is on an overlay; raises ApiFault for what would be refused."""
    overlay = write.tx
    assert isinstance(overlay, Overlay)
    forecaster = Forecaster(overlay, write.now) if compiling else None
    try:
        results = doing(write)
        written = overlay.commit()
    except StoreError as error:
        raise of_store(error) from error
    derived = [one for one in written if one.record.provenance]
    faults: list[str] = []
    if forecaster is not None:
        forecast = forecaster.follow(written)
        derived += forecast.differences
        faults = [*forecaster.standing.faults, *forecast.faults]
        if not write.caller.sees_all:
            # They name objects of anyone.
            faults = []
    people = [one for one in written if not one.record.provenance]
    return {
        "revision": overlay.revision,
        **results,
        "intent": _changes(write, people),
        # What goes with its source, as routing instances with a network, is derived, too.
        "derived": _changes(write, derived),
        "faults": faults,
    }


def _changes(write: Write, differences: list[Difference]) -> list[Json]:
    """The changes that the caller may see, creations first."""
    shown = [
        _change(write, one) for one in differences if may_see(write.tx, write.caller, one.record)
    ]
    return sorted(shown, key=lambda one: (ORDER[one["action"]], one["type"], one["fq_name"]))


def _change(write: Write, difference: Difference) -> Json:
    record = difference.record
    action = "update"
    if difference.before is None or difference.after is None:
        action = "create" if difference.before is None else "delete"
    shown: Json = {
        "action": action,
        "type": record.type,
        "fq_name": [*record.fq_name],
        "uuid": record.uuid,
        "before": _seen(write, difference.before),
        "after": _seen(write, difference.after),
    }
    if record.provenance:
        shown["derived_from"] = _source(write, record.provenance)
    return shown


def _seen(write: Write, record: Record | None) -> Any:
    """A record as the caller may see it, without references to what it may not."""
    shown = document(record)
    return None if shown is None else without_unseen(write.tx, write.caller, shown)


def _source(write: Write, provenance: str) -> Json:
    """Which object a derived one is of, by what its record says."""
    type_, _, uuid = provenance.rpartition(":")
    record = write.tx.get(uuid)
    name = [*record.fq_name] if record and may_see(write.tx, write.caller, record) else []
    return {"type": type_, "uuid": uuid, "fq_name": name}


def document(record: Record | None) -> Any:
    """A record as the API takes an object."""
    return None if record is None else msgspec.to_builtins(to_fields(from_record(record)))
