"""Fault points: named places where a test can make the process die.

``TUNGSTEN_FAULT_POINT=store.commit.before:3`` kills the process with SIGKILL, as a power cut
would, when it reaches the point ``store.commit.before`` for the third time. Without the
variable a point costs one comparison. Points of the store:

``store.transaction``
    a transaction's function has run, its record of changes is not written yet;
``store.commit.before``
    a group of transactions is about to be committed;
``store.commit.after``
    the group is durable, nobody has been told.
"""

from __future__ import annotations

import os
import signal
from itertools import count

VARIABLE = "TUNGSTEN_FAULT_POINT"


def _armed() -> tuple[str, int]:
    """The point's name and the hit that kills; an empty name arms nothing."""
    setting = os.environ.get(VARIABLE, "")
    if not setting:
        return "", 0
    name, _, nth = setting.rpartition(":")
    if not name or not nth.isdecimal() or int(nth) == 0:
        raise ValueError(f"{VARIABLE}={setting!r}: NAME:N expected, N counted from 1")
    return name, int(nth)


_NAME, _NTH = _armed()
_hits = count(1)


def point(name: str) -> None:
    """Die here if this is the armed point and its hit has come."""
    if name == _NAME and next(_hits) == _NTH:
        os.kill(os.getpid(), signal.SIGKILL)
