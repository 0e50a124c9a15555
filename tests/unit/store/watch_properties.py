"""The six properties of a watch, checked on what a watcher received.

They are those that etcd names: *ordered* (revisions only grow), *unique* (no commit twice),
*reliable* (no commit missing), *atomic* (a commit is never split or merged), *resumable* (a
watch that starts after revision r gets just what comes after r), *bookmarkable* (what a commit
says about how far one has got is true: its state is the store's at that revision).

A :class:`WatchValidator` is fed by one watcher, which may break off and resume as often as it
likes, and at the end is compared with the history that the writer knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from tungsten.store.base import ChangeKind, Commit, Record


class WatchValidator:
    """Follows one watcher that started from a loaded state."""

    def __init__(
        self, revision: int = 0, records: Iterable[Record] = (), *, gapless: bool = True
    ) -> None:
        """``gapless``: the engine's revisions grow by one."""
        self.gapless = gapless
        self.revision = revision
        self.state = {record.uuid: record for record in records}
        self.commits: list[Commit] = []

    def receive(self, commit: Commit) -> None:
        """One commit, in the order received. AssertionError names the property it breaks."""
        assert commit.revision > self.revision, f"ordered, unique: {commit} after {self.revision}"
        if self.gapless:
            assert commit.revision == self.revision + 1, f"reliable: {self.revision} then {commit}"
        for change in commit.changes:
            self._apply(commit, change.kind, change.record)
        self.revision = commit.revision
        self.commits.append(commit)

    def _apply(self, commit: Commit, kind: ChangeKind, record: Record) -> None:
        known = self.state.get(record.uuid)
        if kind is ChangeKind.CREATED:
            assert known is None, f"unique: {record.uuid} created twice, again by {commit}"
        else:
            assert known is not None, f"reliable: {kind} of unknown {record.uuid} in {commit}"
        if kind is ChangeKind.DELETED:
            assert record == known, f"atomic: deleted {record}, last seen as {known}"
            del self.state[record.uuid]
        else:
            assert record.revision == commit.revision, f"atomic: {record} in {commit}"
            self.state[record.uuid] = record

    def check_state(self, revision: int, records: Iterable[Record]) -> None:
        """Bookmarkable: at the revision, the state built from commits is the store's."""
        assert self.revision == revision
        assert self.state == {record.uuid: record for record in records}

    def check_history(self, history: Iterable[Commit]) -> None:
        """Reliable and atomic, against every commit that was ever made."""
        first = self.commits[0].revision if self.commits else self.revision + 1
        expected = [c for c in history if first <= c.revision <= self.revision]
        assert self.commits == expected
