"""Times on the command line: when something was, as people say it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tungsten.cli.session import Refused

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(said: str, option: str) -> str:
    """A time as the API takes it. Raises Refused.

    ``10m`` (also s, h, d, w) is so long ago; else a date or a time of ISO 8601, in this machine's
    zone unless it has one.
    """
    ago = _AGO.fullmatch(said)
    try:
        if ago is not None:
            when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            when = datetime.fromisoformat(said)
        return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise Refused(
            f"{option} {said!r} is no time: give 10m, 2h, 3d (ago), 2026-11-27 or "
            "2026-11-27T14:00:00Z"
        ) from None


def revision_or_moment(said: str, option: str) -> int | str:
    """A revision, or a time as :func:`moment` takes it."""
    return int(said) if said.isascii() and said.isdigit() else moment(said, option)


def local(when: str | None) -> str:
    """A time of the API in this machine's zone, with the zone; ``-`` for none."""
    if not when:
        return "-"
    return datetime.fromisoformat(when).astimezone().isoformat(" ", "milliseconds")
