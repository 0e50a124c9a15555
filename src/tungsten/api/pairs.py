"""Named values that belong to the system and to no object: a text for a key, in a space.

They are kept as claims of the global-system-config, which is there from the start, so that they
change in transactions as objects do: a key is a claim in the space ``pairs:<space>``, its value
the only claim in a space of the key's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from tungsten.api.errors import ApiFault
from tungsten.store.base import Snapshot, Transaction

GLOBAL_SYSTEM_CONFIG = "default-global-system-config"


def system_uuid(snapshot: Snapshot) -> str:
    """The uuid of the global-system-config. Raises ApiFault while there is none."""
    record = snapshot.find("global-system-config", (GLOBAL_SYSTEM_CONFIG,))
    if record is None:
        raise ApiFault(f"global-system-config {GLOBAL_SYSTEM_CONFIG} does not exist", status=503)
    return record.uuid


def _keys(space: str) -> str:
    return f"pairs:{space}"


def _value(space: str, key: str) -> str:
    return f"pair:{len(space)}:{space}:{key}"


def put(tx: Transaction, space: str, key: str, value: str) -> None:
    """Give a key its value, in place of any other."""
    owner = system_uuid(tx)
    tx.claim(_keys(space), key, owner)
    for old, _ in tx.claims(_value(space, key)):
        if old != value:
            tx.release(_value(space, key), old)
    tx.claim(_value(space, key), value, owner)


def get(snapshot: Snapshot, space: str, key: str) -> str | None:
    """The value of a key; None for a key that has none."""
    return next((value for value, _ in snapshot.claims(_value(space, key))), None)


def items(snapshot: Snapshot, space: str) -> Iterator[tuple[str, str]]:
    """All keys of a space with their values, in the order of the keys."""
    for key, _ in snapshot.claims(_keys(space)):
        value = get(snapshot, space, key)
        if value is not None:
            yield key, value


def remove(tx: Transaction, space: str, key: str) -> bool:
    """Forget a key; whether there was one."""
    there = tx.claim_owner(_keys(space), key) is not None
    tx.release(_keys(space), key)
    for value, _ in tx.claims(_value(space, key)):
        tx.release(_value(space, key), value)
    return there
