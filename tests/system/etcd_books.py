"""Prints what is in a store in etcd: a line of JSON with its records' names and its claims.

Run as ``python etcd_books.py PLACE``, also in a namespace that the test's own process cannot reach.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from tungsten.store import EtcdOptions
from tungsten.store.base import Record, Snapshot
from tungsten.store.etcd import EtcdStore


class Books(msgspec.Struct):
    """What an audit needs."""

    records: list[Record]
    claims: dict[str, dict[str, str]]


def claims_of(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    """The claims of the writers' spaces."""
    return {space: dict(snapshot.claims(space)) for space in ("numbers", "shared")}


async def books(place: str) -> Books:
    """Read them."""
    store = EtcdStore.open(place, options=EtcdOptions(allow_unpatched=True))
    _, records = await store.load()
    found = Books(records, await store.read(claims_of))
    await store.close()
    return found


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(books(sys.argv[1]))).decode())
