"""Which records commits have touched lately: what lets a copy of something read be trusted.

A record is *touched* by a commit that changes it, its children, or a record that refers to it
before or after. So what was read of a record, of its children and of its referrers at one revision
still holds as long as the record has not been touched after it.

The writer notes what a commit touches before the commit is made: while a reader may already see
it, nothing older is trusted any more. A commit that fails after that costs a second reading.
"""

from __future__ import annotations

from collections.abc import Iterable

REMEMBERED = 32_768
"""Records of which at least is remembered when they were touched; of others, less is trusted."""


class Touched:
    """The revisions at which records were last touched. Used by any thread.

    Notes come in the order of revisions. The newest are in one table, those before in another;
    when the first is full, the older one is forgotten and ``_floor`` is what it reached.
    """

    def __init__(self, revision: int) -> None:
        self._tables: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._floor = revision
        self._before = revision

    def note(self, uuids: Iterable[str], revision: int) -> None:
        """A commit of a revision is about to touch these."""
        newest = self._tables[0]
        for uuid in uuids:
            newest[uuid] = revision
        if len(newest) >= REMEMBERED:
            # The floor rises first: what is in neither table is then not trusted.
            self._floor = self._before
            self._before = revision
            self._tables = ({}, newest)

    def holds(self, uuid: str, revision: int) -> bool:
        """Whether what was read of a record at a revision is still so."""
        newest, older = self._tables
        at = newest.get(uuid)
        if at is None:
            at = older.get(uuid, 0)
        return at <= revision and revision >= self._floor
