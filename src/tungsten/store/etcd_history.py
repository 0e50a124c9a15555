"""Reading etcd's own history of a store: commits as it still keeps them.

etcd can be read forwards only, by a watch that begins in the past; with each key's event comes
what was there before. It keeps everything after its compaction; deletions that are exactly as old
as that it may have dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aetcd.rpc import rpc_pb2 as pb

from tungsten.store.base import Commit, Compacted, Record, StoreUnavailable
from tungsten.store.etcd_client import Access, Connection, Stream, first_answer
from tungsten.store.etcd_follower import batches, check_kept, refuse_cancelled, watch
from tungsten.store.etcd_keys import Keys, decode_head, decode_record
from tungsten.store.etcd_replica import Batch, Broken, changes_of
from tungsten.store.origin import UNKNOWN, Origin

#: Commits that are read at a time.
HISTORY = 1024

#: Seconds that etcd has to send them.
PATIENCE = 10.0


def history(access: Access, keys: Keys, revision: int, upto: int) -> list[Commit]:
    """Commits after ``revision``: the next ones, some at least.

    ``upto`` is a commit that is known to be there. Raises Compacted, StoreUnavailable.
    """

    def read(connection: Connection) -> list[Commit]:
        begin = max(revision, _before_first(connection, keys))
        check_kept(connection, keys, begin)
        stream = watch(connection, keys, begin, before=True)
        try:
            commits = _read(stream, keys, upto)
        finally:
            stream.cancel()
        check_kept(connection, keys, begin)
        return commits

    try:
        commits: list[Commit] = first_answer(access, read)
    except Broken as error:
        raise Compacted(f"the history after {revision} is not whole: {error}") from error
    return commits


def _before_first(connection: Connection, keys: Keys) -> int:
    """The revision before the store's first commit, which etcd need not keep for its sake; or 0."""
    kvs = connection.range(pb.RangeRequest(key=keys.head, keys_only=True)).kvs
    return kvs[0].create_revision - 1 if kvs else 0


@contextmanager
def in_time(stream: Stream) -> Iterator[None]:
    """Cancel a stream that takes too long."""
    timer = threading.Timer(PATIENCE, stream.cancel)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _origin(batch: Batch, keys: Keys) -> Origin:
    """What the head of a revision says of where it comes from."""
    heads = (event.value for event in batch.events if event.key == keys.head)
    value = next(heads, None)
    return UNKNOWN if value is None else decode_head(value).origin


def _read(stream: Stream, keys: Keys, upto: int) -> list[Commit]:
    commits: list[Commit] = []
    with in_time(stream):
        for response in stream:
            refuse_cancelled(response)
            for batch in batches(response):
                old = {
                    event.key: (event.before, event.before_revision)
                    for event in batch.events
                    if event.before is not None
                }

                def known(uuid: str, old: dict[bytes, tuple[bytes, int]] = old) -> Record | None:
                    there = old.get(keys.record(uuid))
                    return None if there is None else decode_record(uuid, *there)

                changes = tuple(changes_of(batch, keys, known))
                commits.append(Commit(batch.revision, changes, _origin(batch, keys)))
                if batch.revision >= upto:
                    return commits
            if len(commits) >= HISTORY:
                return commits
    raise StoreUnavailable("etcd did not send its history in time")
