"""``dropstats``: why packets ended, by reason. Reasons that never happened are not printed."""

from __future__ import annotations

from collections.abc import Iterable

#: Counted for every replicated multicast original: no loss, so shown on request only.
CLONED = "Cloned Original"


def drop_lines(counters: Iterable[tuple[str, int]], *, debug: bool = False) -> str:
    """A line per counter, in the order given."""
    return "".join(
        f"{name:<28}  {count}\n" for name, count in counters if count and (debug or name != CLONED)
    )
