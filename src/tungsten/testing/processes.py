"""Processes lived through a test, and had nothing to complain about.

Two invariants of every system test: no input ends a process (same pid, same start time), and no
exception goes uncaught (no traceback and no error in the logs but those the test asked for).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: ``[error    ]`` of console logs, ``"level": "error"`` of JSON ones, a Python traceback.
_COMPLAINT = re.compile(
    r"\[\s*(?:error|critical)\s*\]"
    r'|"level":\s*"(?:error|critical)"'
    r"|\b(?:ERROR|CRITICAL)\b"
    r"|Traceback \(most recent call last\)",
)
#: Colours of a terminal.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Life:
    """A process in time; ``started`` in clock ticks after boot (proc(5), stat field 22)."""

    pid: int
    started: int


class Unwell(AssertionError):
    """A process ended or was replaced, or a log has complaints."""


def life(pid: int) -> Life | None:
    """The life of a running process; None when there is none, or it is dead and not reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold anything; the fields begin after it.
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    return None if state in ("Z", "X") else Life(pid, int(fields[18]))


def lives(pids: Mapping[str, int]) -> dict[str, Life | None]:
    """The lives of named processes, for :func:`assert_same_lives`."""
    return {name: life(pid) for name, pid in pids.items()}


def assert_same_lives(before: Mapping[str, Life | None], *, killed: Iterable[str] = ()) -> None:
    """Raise Unwell unless every process, but those the test ``killed``, still lives its life."""
    for name, was in before.items():
        if name in killed:
            continue
        if was is None:
            raise Unwell(f"{name} was not running to begin with")
        now = life(was.pid)
        if now != was:
            raise Unwell(f"{name} (pid {was.pid}) ended during the test")


def complaints(log: str, *, expected: Iterable[str] = ()) -> list[str]:
    """The lines of a log that tell an error or a traceback.

    Lines that match one of the regular expressions ``expected`` are what the test asked for.
    """
    allowed = [re.compile(pattern) for pattern in expected]
    lines = (_COLOUR.sub("", line) for line in log.splitlines())
    return [
        line
        for line in lines
        if _COMPLAINT.search(line) and not any(pattern.search(line) for pattern in allowed)
    ]


def assert_clean_logs(logs: Mapping[str, Path], *, expected: Iterable[str] = ()) -> None:
    """Raise Unwell with the complaints, if any, of each named log file."""
    allowed = list(expected)
    found = [
        f"{name}: {line}"
        for name, path in logs.items()
        for line in complaints(path.read_text(errors="replace"), expected=allowed)
    ]
    if found:
        raise Unwell("\n".join(found))
