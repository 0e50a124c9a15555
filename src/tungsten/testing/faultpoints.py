"""Kill a command at the first hit of a fault point, the second, the third... until none is left.

The pattern "fail at n, for every n": after each death the caller looks at what was left behind.
Works with every point of :mod:`tungsten.store.faults`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from tungsten.store.faults import VARIABLE


class NotKilled(AssertionError):
    """The command failed of something else, or never came to an end without the fault."""


def kill_at_every(
    point: str,
    command: Sequence[str],
    after: Callable[[int], None],
    *,
    before: Callable[[int], None] = lambda _: None,
    env: Mapping[str, str] | None = None,
    most: int = 1000,
    timeout: float = 60.0,
) -> int:
    """Run ``command`` with ``point`` armed for hit 1, 2, ... until it survives; returns the kills.

    ``before(n)`` and ``after(n)`` are called around the run that is to die at hit n, the
    last time around the one that survived. Raises NotKilled when the command exits with an
    error of its own, or after ``most`` runs.
    """
    for n in range(1, most + 1):
        before(n)
        armed = {**os.environ, **(env or {}), VARIABLE: f"{point}:{n}"}
        done = subprocess.run(
            list(command), env=armed, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode not in (0, -signal.SIGKILL):
            raise NotKilled(
                f"{command[0]} with {point}:{n} exited {done.returncode}, not 0 and not by the"
                f" fault:\n{done.stdout}{done.stderr}"
            )
        after(n)
        if done.returncode == 0:
            return n - 1
    raise NotKilled(f"{point} was hit more than {most} times in every run of {command[0]}")
