"""Starts a lab's daemons by their command, waits until they say they are ready, ends them.

Readiness is sd_notify(3): each daemon gets a ``NOTIFY_SOCKET`` and the lab waits for READY=1
on it, so a lab tests what systemd will see.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tungsten.lab.netns import Namespace, process_start
from tungsten.lab.spec import LabError
from tungsten.lab.state import ProcessState, alive

#: Seconds a daemon has from its start to READY=1.
READY_TIMEOUT = 60.0


def tungsten_argv(*words: str) -> list[str]:
    """The command line of ``tungsten WORDS``, of this very installation."""
    return [sys.executable, "-m", "tungsten", *words]


def module_argv(module: str) -> list[str]:
    """The command line of ``python -m MODULE``."""
    return [sys.executable, "-m", module]


def _log_tail(log: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"


class Starting:
    """A daemon on its way up: made by :func:`start`, finished by :meth:`wait`."""

    def __init__(
        self, process: subprocess.Popen[str], state: ProcessState, channel: socket.socket
    ) -> None:
        self.process = process
        self.state = state
        self._channel = channel

    def wait(self, timeout: float = READY_TIMEOUT) -> ProcessState:
        """Return when the daemon is ready. Raises LabError with the end of its log."""
        deadline = time.monotonic() + timeout
        log = Path(self.state.log)
        label = f"{self.state.name} on {self.state.host}"
        try:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    raise LabError(
                        f"{label} ended with status {self.process.returncode}:\n{_log_tail(log)}"
                    )
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in self._channel.recv(4096):
                        return self.state
        finally:
            address = self._channel.getsockname()
            self._channel.close()
            Path(address).unlink(missing_ok=True)
        raise LabError(f"{label} was not ready within {timeout:.0f} s:\n{_log_tail(log)}")


def start(
    namespace: Namespace | None, host: str, name: str, argv: Sequence[str], directory: Path
) -> Starting:
    """Start a daemon in a namespace (or the caller's), logging to ``directory/NAME.log``."""
    directory.mkdir(parents=True, exist_ok=True)
    address = directory / f"{name}.notify"
    address.unlink(missing_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(address))
    channel.settimeout(0.05)
    log = directory / f"{name}.log"
    env = {**os.environ, "NOTIFY_SOCKET": str(address), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as sink:
        process = _spawn(namespace, argv, sink, env)
    # nsenter replaces itself by the program, so its pid is the daemon's.
    state = ProcessState(host, name, process.pid, process_start(process.pid), list(argv), str(log))
    return Starting(process, state, channel)


def _spawn(
    namespace: Namespace | None, argv: Sequence[str], sink: IO[bytes], env: dict[str, str]
) -> subprocess.Popen[str]:
    if namespace is not None:
        return namespace.popen(*argv, stdout=sink, stderr=sink, env=env)
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env=env,
        text=True,
        start_new_session=True,
    )


def stop(process: ProcessState, *, number: int = signal.SIGTERM, timeout: float = 12.0) -> None:
    """Send a signal and wait for the end; SIGKILL when ``timeout`` seconds were not enough."""
    if not alive(process):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
    deadline = time.monotonic() + timeout
    while alive(process):
        _reap(process.pid)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            deadline += 5.0
        time.sleep(0.01)
    _reap(process.pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
