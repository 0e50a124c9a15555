"""Looking at the past: what changed when, and how things stood at a revision.

Both come from the store's log of commits, which keeps the newest ones only; what it no longer
tells is refused by :class:`~tungsten.store.base.Compacted`, never guessed. The log is read from
its end backwards, a piece at a time, so that recent questions are cheap however long it is.

How a record stood at revision N is found so: what was not written after N stands as it does now.
For the others the last commit up to N that wrote them tells; when the log does not reach back
that far, the first commit after N may still tell, since a creation says that there was nothing
before and a deletion says what there was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tungsten.store.base import Change, ChangeKind, Commit, Compacted, Record, Store
from tungsten.store.origin import Origin

#: Commits read at a time.
PIECE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of one record, and the one before it as far as the log knows it.

    ``known`` says whether ``before`` is what there was: of an update it may have been written
    so long ago that the log does not keep it.
    """

    revision: int
    change: Change
    before: Record | None
    known: bool
    origin: Origin


async def kept_since(store: Store) -> int:
    """The revision after which the store keeps every commit; 0: it keeps all there were."""
    low, high = 0, await revision_of(store)
    while low < high:
        middle = (low + high) // 2
        if await _keeps(store, middle):
            high = middle
        else:
            low = middle + 1
    return low


async def _keeps(store: Store, revision: int) -> bool:
    """Whether all commits after a revision, of which there are some, can be read."""
    try:
        await anext(aiter(store.watch(revision)))
    except Compacted:
        return False
    return True


async def backwards(store: Store, before: int | None = None) -> AsyncIterator[Commit]:
    """The commits that the store keeps, the newest first: all, or those before a revision."""
    last = await revision_of(store)
    upto = last if before is None else min(before - 1, last)
    piece, since = PIECE, await kept_since(store)
    while upto > since:
        after = max(since, upto - piece)
        commits = await _between(store, after, upto, last)
        for commit in reversed(commits):
            yield commit
        # Revisions may have gaps. Where there are many, more of them are asked for at once.
        piece = piece * 2 if len(commits) < PIECE // 4 else PIECE
        upto = after


async def _between(store: Store, after: int, upto: int, last: int) -> list[Commit]:
    """The commits after a revision up to another; ``last``, the newest, is one for sure."""
    found: list[Commit] = []
    async for commit in store.watch(after):
        if commit.revision <= upto:
            found.append(commit)
        if commit.revision >= min(upto, last):
            break
    return found


async def revision_at(store: Store, when: float) -> int:
    """The revision at which a store stood at a time, in seconds since the epoch.

    Commits say when they were made, by the clocks of who made them. Raises Compacted when the
    store does not keep, or never knew, how far it was then.
    """
    low = kept = await kept_since(store)
    high, made = await revision_of(store), float("inf")
    while low < high:
        middle = (low + high) // 2
        commit = await anext(aiter(store.watch(middle)))
        if commit.time <= when:
            low, made = commit.revision, commit.time
        else:
            high = middle
    if low == kept and kept:
        raise Compacted(f"the past is kept from revision {kept} on, which was later than that")
    if not made:
        raise Compacted(f"when revision {low} and those before it were written is not known")
    return low


async def revision_of(store: Store) -> int:
    """The revision at which a store stands."""
    return await store.read(lambda snapshot: snapshot.revision)


async def changes(
    store: Store,
    wanted: Callable[[Record], bool],
    *,
    before: int | None = None,
    limit: int = 100,
    since: float = 0.0,
    until: float = float("inf"),
) -> list[Entry]:
    """The newest ``limit`` changes of records that are wanted, the newest first.

    ``before`` is a revision; ``since`` and ``until`` are in seconds since the epoch.
    """
    found: list[tuple[Commit, Change]] = []
    earlier: dict[tuple[str, int], Record | None] = {}
    waiting: dict[str, int] = {}
    ended = False
    async for commit in backwards(store, before):
        ended = ended or commit.time < since
        for change in reversed(commit.changes):
            uuid = change.record.uuid
            if uuid in waiting:
                deleted = change.kind is ChangeKind.DELETED
                earlier[uuid, waiting.pop(uuid)] = None if deleted else change.record
            if ended or commit.time > until:
                continue
            if len(found) < limit and wanted(change.record):
                found.append((commit, change))
                if change.kind is ChangeKind.UPDATED:
                    waiting[uuid] = commit.revision
        if (ended or len(found) == limit) and not waiting:
            break
    return [_entry(commit, change, earlier) for commit, change in found]


def _entry(commit: Commit, change: Change, earlier: dict[tuple[str, int], Record | None]) -> Entry:
    before, known = None, True
    match change.kind:
        case ChangeKind.DELETED:
            before = change.record
        case ChangeKind.UPDATED:
            key = change.record.uuid, commit.revision
            before, known = earlier.get(key), key in earlier
        case ChangeKind.CREATED:
            pass
    return Entry(commit.revision, change, before, known, commit.origin)


async def records_at(
    store: Store, revision: int, type_: str, wanted: Callable[[Record], bool] | None = None
) -> list[Record]:
    """The records of a type as they stood at a revision, by name.

    ``wanted`` looks at what never changes of a record: uuid, name, parent. Raises Compacted when
    the log no longer tells how one of them stood, and for a revision that has not been reached.
    """

    def asked(record: Record) -> bool:
        return record.type == type_ and (wanted is None or wanted(record))

    last, now = await store.read(
        lambda snapshot: (snapshot.revision, [r for r in snapshot.records(type_) if asked(r)])
    )
    if revision > last:
        raise Compacted(f"the store stands at revision {last}; {revision} is not reached yet")
    if revision < 0:
        raise Compacted(f"revisions begin at 0, {revision} is before that")
    stood = {record.uuid: record for record in now if record.revision <= revision}
    kept = await kept_since(store)
    if revision < kept:
        raise Compacted(f"the past is kept from revision {kept} on, {revision} is gone")
    unsure: dict[str, Record] = {}
    async for commit in backwards(store, last + 1):
        if commit.revision <= revision and not unsure:
            break
        for change in reversed(commit.changes):
            record = change.record
            if not asked(record):
                continue
            if commit.revision > revision:
                _go_back(change, revision, stood, unsure)
            elif unsure.pop(record.uuid, None) is not None:
                stood[record.uuid] = record
    for record in unsure.values():
        raise Compacted(
            f"how {record.type} {':'.join(record.fq_name)} stood at revision {revision} is not "
            f"known: it was written before revision {kept}, from where the past is kept"
        )
    return sorted(stood.values(), key=lambda record: record.fq_name)


def _go_back(
    change: Change, revision: int, stood: dict[str, Record], unsure: dict[str, Record]
) -> None:
    """Go back over a change that came after the revision that is asked for."""
    record = change.record
    stood.pop(record.uuid, None)
    unsure.pop(record.uuid, None)
    if change.kind is ChangeKind.DELETED and record.revision <= revision:
        stood[record.uuid] = record
    elif change.kind is not ChangeKind.CREATED:
        unsure[record.uuid] = record
