"""``/int-pools`` and ``/int-pool``: ranges of numbers from which clients have numbers given out.

A pool has a name and bounds. A number of it has one owner, whatever text the client calls it by;
the lowest free number is given out first. Numbers are claims, so two clients never get the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tungsten.api import bodies, pairs
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, Conflict, NotFound, echo
from tungsten.api.transactions import Write
from tungsten.store.base import Snapshot, number_key

POOLS = "int-pools"
MAX = 2**63 - 1


def _numbers(pool: str) -> str:
    return f"int-pool:{pool}"


def _owners(pool: str) -> str:
    return f"int-pool-owner:{pool}"


def create_pool(write: Write, body: Json) -> None:
    """Make a pool of the numbers from ``start`` to ``end``."""
    name, start, end = _name(body), _number(body, "start"), _number(body, "end")
    if start > end:
        raise BadRequest(f"Pool {echo(name)}: start {start} is greater than end {end}")
    bounds = f"{start}-{end}"
    known = pairs.get(write.tx, POOLS, name)
    if known not in (None, bounds):
        raise Conflict(f"Pool {echo(name)} already exists with the numbers {known}")
    pairs.put(write.tx, POOLS, name, bounds)


def delete_pool(write: Write, body: Json) -> None:
    """Forget a pool and who has its numbers."""
    name = _name(body)
    _pool(write.tx, name)
    for key, _ in list(write.tx.claims(_numbers(name))):
        write.tx.release(_numbers(name), key)
        pairs.remove(write.tx, _owners(name), str(int(key, 16)))
    pairs.remove(write.tx, POOLS, name)


def owner(snapshot: Snapshot, query: Mapping[str, str]) -> Json:
    """Who has a number of a pool."""
    name, number = _name(query), _number(query, "value")
    _within(_pool(snapshot, name), number, name)
    return {"owner": pairs.get(snapshot, _owners(name), str(number))}


def give(write: Write, body: Json) -> Json:
    """Give a number out: ``value`` if it is asked for, else the lowest free one."""
    name, asked_by = _name(body), bodies.text(body, "owner")
    if not asked_by:
        raise BadRequest(f"Pool {echo(name)}: an owner is needed")
    pool, system = _pool(write.tx, name), pairs.system_uuid(write.tx)
    if body.get("value") is None:
        number = write.tx.claim_number(_numbers(name), pool, system)
        if number is None:
            raise Conflict(f"Pool {echo(name)} has no free number from {pool[0]} to {pool[-1]}")
    else:
        number = _number(body, "value")
        _within(pool, number, name)
        holder = pairs.get(write.tx, _owners(name), str(number))
        if holder not in (None, asked_by):
            raise Conflict(f"{number} of pool {echo(name)} belongs to {echo(holder)}")
        write.tx.claim(_numbers(name), number_key(number), system)
    pairs.put(write.tx, _owners(name), str(number), asked_by)
    return {"value": number}


def take_back(write: Write, body: Json) -> None:
    """A number of a pool is free again."""
    name, number = _name(body), _number(body, "value")
    _within(_pool(write.tx, name), number, name)
    write.tx.release(_numbers(name), number_key(number))
    pairs.remove(write.tx, _owners(name), str(number))


def _pool(snapshot: Snapshot, name: str) -> range:
    bounds = pairs.get(snapshot, POOLS, name)
    if bounds is None:
        raise NotFound(f"Pool {echo(name)} not found")
    start, _, end = bounds.partition("-")
    return range(int(start), int(end) + 1)


def _within(pool: range, number: int, name: str) -> None:
    if number not in pool:
        raise BadRequest(f"{number} is not in pool {echo(name)}, which is {pool[0]} to {pool[-1]}")


def _name(body: Mapping[str, Any]) -> str:
    name = bodies.text(body, "pool")
    if not name:
        raise BadRequest("Bad Request, pool is needed")
    return name


def _number(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX:
        raise BadRequest(f"Bad Request, {key} must be a number from 0 to {MAX - 1}: {echo(value)}")
    return value
