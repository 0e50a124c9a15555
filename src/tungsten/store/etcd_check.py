"""Looking a store in etcd over: does everything that must hold hold?

The counterpart of :mod:`tungsten.store.check` for the cluster store. All keys below the prefix are
read at one revision, as they are, without the replica, and each must be explained by the others:

* the layout's mark, and a head that says how many events its commit has;
* records and claims can be read, are of commits of ours, lead to what exists;
* each record has its name and each name its record;
* whoever uses a record as parent, target or owner of a claim has left the mark that says so
  (``u/``) and nothing else has;
* roles hang on leases, so that they end;
* the history that etcd still keeps counts its commits without a gap and leads to what is there.

Transactions keep all of it, so there should never be anything to find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tungsten.store import etcd_layout
from tungsten.store.base import Compacted, Record, StoreUnavailable, StoreUnusable
from tungsten.store.check import dangling
from tungsten.store.etcd_client import Access, Connection, first_answer, parse
from tungsten.store.etcd_follower import batches, pages_of, refuse_cancelled, watch
from tungsten.store.etcd_history import in_time
from tungsten.store.etcd_keys import CLAIMS, Keys, after, decode_head, decode_record
from tungsten.store.etcd_options import EtcdOptions
from tungsten.store.etcd_replica import Batch
from tungsten.store.etcd_transaction import uses
from tungsten.store.sqlite_file import decode_name


@dataclass(slots=True)
class _Found:
    """The keys of a store at one revision."""

    revision: int = 0
    head: Any = None
    records: dict[str, Record] = field(default_factory=dict)
    #: by (space, key): the owner, and the revision that gave it the claim
    claims: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    #: by (type, name): the uuid
    names: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    #: by (uuid, type of its users): the revision of the newest mark
    used: dict[tuple[str, str], int] = field(default_factory=dict)
    #: what is watched: the value and the revision by key
    data: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)


def check(rest: str, options: EtcdOptions) -> list[str]:
    """What is wrong with the store ``HOST:PORT[,...]/PREFIX``, in words; empty when nothing is.

    May be run while processes write. Raises StoreUnusable for what cannot be opened as a store.
    """
    endpoints, prefix = parse(rest)
    keys = Keys(prefix)

    def run(connection: Connection) -> list[str]:
        etcd_layout.prepare(connection, keys, options, readonly=True)
        return list(_findings(connection, keys))

    try:
        findings: list[str] = first_answer(Access(endpoints, options), run)
    except StoreUnavailable as error:
        raise StoreUnusable(f"etcd cannot be opened: {error}") from error
    return findings


def _findings(connection: Connection, keys: Keys) -> Iterator[str]:
    found = _Found()
    for page, revision in pages_of(connection, keys.base, after(keys.base)):
        found.revision = revision
        for item in page:
            yield from _sort(found, keys, item)
    yield from dangling(found.records)
    yield from _names(found)
    yield from _claims(found)
    yield from _used(found)
    yield from _commits(found, keys)
    yield from _deleted(connection, keys, found)
    yield from _history(connection, keys, found)


def _sort(found: _Found, keys: Keys, item: Any) -> Iterator[str]:
    """Put a key where it belongs; what cannot be read is a finding."""
    key, value = item.key, item.value
    if key.startswith(keys.data):
        found.data[key] = (value, item.mod_revision)
    try:
        if key == keys.head:
            found.head = item
        elif key.startswith(keys.records):
            uuid = key[len(keys.records) :].decode()
            found.records[uuid] = decode_record(uuid, value, item.mod_revision)
        elif key.startswith(keys.claims):
            found.claims[keys.claim_of(key)] = (value.decode(), item.mod_revision)
        elif key.startswith(keys.names):
            type_, _, name = key[len(keys.names) :].partition(b"\0")
            found.names[type_.decode(), decode_name(name)] = value.decode()
        elif key.startswith(keys.users):
            uuid, _, type_ = key[len(keys.users) :].decode().partition("\0")
            found.used[uuid, type_] = item.mod_revision
        elif key.startswith((keys.fences, keys.roles)):
            if not item.lease:
                yield f"{_shown(keys, key)} hangs on no lease, so it never ends"
        elif key != keys.layout:
            yield f"{_shown(keys, key)} is no key of a store"
    except (StoreUnusable, ValueError) as error:
        yield f"{_shown(keys, key)} cannot be read: {error}"


def _shown(keys: Keys, key: bytes) -> str:
    return repr(key[len(keys.base) :])[1:]


def _names(found: _Found) -> Iterator[str]:
    for (type_, name), uuid in found.names.items():
        record = found.records.get(uuid)
        if record is None or (record.type, record.fq_name) != (type_, name):
            yield f"the name {':'.join(name)} of {type_} leads to {uuid}, which is not called so"
    for record in found.records.values():
        holder = found.names.get((record.type, record.fq_name))
        if holder != record.uuid:
            said = f"leads to {holder}" if holder else "is not in the index"
            yield f"the name {':'.join(record.fq_name)} of {record.type} {record.uuid} {said}"


def _claims(found: _Found) -> Iterator[str]:
    for (space, key), (owner, _) in found.claims.items():
        if owner not in found.records:
            yield f"claim {key} in {space} belongs to {owner}, which does not exist"


def _used(found: _Found) -> Iterator[str]:
    """Marks are of records that exist, and as new as the newest use that began after the record."""
    for uuid, type_ in found.used:
        if uuid not in found.records:
            yield f"{uuid} is marked as used by {type_} and does not exist"
    newest: dict[tuple[str, str], int] = defaultdict(int)
    for record in found.records.values():
        for target in uses(record):
            newest[target, record.type] = max(newest[target, record.type], record.created)
    for owner, revision in found.claims.values():
        newest[owner, CLAIMS] = max(newest[owner, CLAIMS], revision)
    for (uuid, type_), began in newest.items():
        user = found.records.get(uuid)
        if user is not None and began > user.created and found.used.get((uuid, type_), 0) < began:
            yield f"{uuid} is not marked as used by {type_} since revision {began}"


def _commits(found: _Found, keys: Keys) -> Iterator[str]:
    """The head is that of the newest commit, and says how many events it has."""
    if found.head is None:
        if found.data:
            yield "there is no head, and there are records or claims"
        return
    last = found.head.mod_revision
    for key, (_, revision) in found.data.items():
        if revision > last:
            yield f"{_shown(keys, key)} was written at {revision}, after the newest commit {last}"
    for record in found.records.values():
        if record.created > record.revision:
            yield f"{record.uuid} was created at {record.created}, after its last change"
    try:
        head = decode_head(found.head.value)
    except StoreUnusable as error:
        yield str(error)
        return
    there = sum(revision == last for _, revision in found.data.values())
    if there > head.events:
        yield f"the newest commit {last} has {there} keys of {head.events}"


def _deleted(connection: Connection, keys: Keys, found: _Found) -> Iterator[str]:
    """Nothing is gone that was there at the newest commit, as far as etcd still knows that."""
    if found.head is None:
        return
    start, end = keys.data, after(keys.data)
    try:
        for page, _ in pages_of(connection, start, end, found.head.mod_revision, values=False):
            for item in page:
                if item.key not in found.data:
                    yield f"{_shown(keys, item.key)} was deleted after the newest commit"
    except Compacted:
        return


def _history(connection: Connection, keys: Keys, found: _Found) -> Iterator[str]:
    """Commits count themselves and their events, and lead to what is there."""
    if found.head is None:
        return
    last = found.head.mod_revision
    version = 0
    said: dict[bytes, tuple[bytes, int] | None] = {}
    for batch in _kept(connection, keys, last):
        heads = [event for event in batch.events if event.key == keys.head]
        if not heads or heads[0].value is None:
            yield f"revision {batch.revision} changed {len(batch.events)} keys and is no commit"
        else:
            if version and heads[0].version != version + 1:
                yield f"commits {version + 1} to {heads[0].version - 1} are missing"
            version = heads[0].version
            yield from _events(batch, heads[0].value)
        for event in batch.events:
            said[event.key] = None if event.value is None else (event.value, batch.revision)
    if version and version != found.head.version:
        yield f"the history ends with commit {version}, the head says {found.head.version}"
    for key, state in said.items():
        if found.data.get(key) != state:
            yield f"{_shown(keys, key)} is not what the history says of it last"


def _events(batch: Batch, value: bytes) -> Iterator[str]:
    try:
        events = decode_head(value).events
    except StoreUnusable as error:
        yield f"commit {batch.revision}: {error}"
        return
    if events != len(batch.events):
        yield f"commit {batch.revision} has {len(batch.events)} events of {events}"


def _kept(connection: Connection, keys: Keys, last: int) -> Iterator[Batch]:
    """All commits that etcd still keeps, up to and with the revision ``last``."""
    begin = 0
    while begin < last:
        before = begin
        stream = watch(connection, keys, begin, before=False)
        try:
            with in_time(stream):
                for response in stream:
                    begin = max(begin, response.compact_revision)
                    refuse_cancelled(response)
                    for batch in batches(response):
                        if batch.revision <= last:
                            yield batch
                        begin = batch.revision
                    if begin >= last:
                        return
        except Compacted:
            continue
        except StoreUnavailable:
            if begin == before:
                raise
        finally:
            stream.cancel()
