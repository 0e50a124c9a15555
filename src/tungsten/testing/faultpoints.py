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
    command: Callable[[int], Sequence[str]],
    after: Callable[[int], None],
    *,
    env: Mapping[str, str] | None = None,
    most: int = 1000,
    timeout: float = 60.0,
) -> int:
    """Run ``command(n)`` with ``point`` armed for hit n = 1, 2, ... until it survives.

    ``after(n)`` looks at what each run left, the survivor's included. Returns the number of
    kills. Raises NotKilled when a run exits with an error of its own, or after ``most`` runs.
    """
    for n in range(1, most + 1):
        argv = list(command(n))
        armed = {**os.environ, **(env or {}), VARIABLE: f"{point}:{n}"}
        done = subprocess.run(
            argv, env=armed, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode not in (0, -signal.SIGKILL):
            raise NotKilled(
                f"{argv[0]} with {point}:{n} exited {done.returncode}, not 0 and not by the"
                f" fault:\n{done.stdout}{done.stderr}"
            )
        after(n)
        if done.returncode == 0:
            return n - 1
    raise NotKilled(f"{point} was still hit at run {most}: the command never came to its end")
