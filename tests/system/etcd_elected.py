"""A process that is a candidate for a role and, once elected, writes until it is refused.

Run as ``python etcd_elected.py PLACE NAME [SECONDS]``, the seconds of a lease; it prints
``elected REVISION``, ``wrote N``, ``refused``.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from itertools import count
from uuid import uuid4

from tungsten.store import EtcdOptions
from tungsten.store.base import Record, StoreUnavailable, Transaction
from tungsten.store.election import ElectedStore, Election, LeadershipLost
from tungsten.store.etcd import EtcdStore


def create(tx: Transaction, record: Record) -> None:
    """One record."""
    tx.create(record)


async def main(place: str, name: str, seconds: str = "4") -> None:
    """Be elected, write, be refused, end."""
    store = EtcdStore.open(place, options=EtcdOptions(allow_unpatched=True))
    leadership = await Election(store, "writer", name, ttl=int(seconds)).lead()
    print("elected", leadership.revision, flush=True)
    elected = ElectedStore(store, leadership)
    for number in count(1):
        record = Record(str(uuid4()), "project", (name, str(number)), None, (), b"{}")
        try:
            await elected.transact(partial(create, record=record))
        except LeadershipLost:
            print("refused", flush=True)
            break
        except StoreUnavailable:
            continue
        print("wrote", number, flush=True)
        await asyncio.sleep(0.02)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
