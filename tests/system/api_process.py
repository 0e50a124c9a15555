"""A ``tungsten api`` process on the loopback address, for tests that kill it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tungsten.client import BlockingClient

PATIENCE = 20.0


class ApiProcess:
    """The API in a process of its own, on a store in ``directory``.

    ``fault`` is a fault point at which the process kills itself (``name:n``).
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the processes so far have logged."""
        return (self.directory / "api.log").read_text()

    def start(self, fault: str = "") -> None:
        """Start, and wait until requests are answered."""
        argv = [str(Path(sys.executable).with_name("tungsten")), "api"]
        argv += ["--listen", f"127.0.0.1:{self.port}"]
        argv += ["--store", f"sqlite:{self.directory / 'config.db'}"]
        argv += ["--set", "api.introspect_listen="]
        environment = {**os.environ, "TUNGSTEN_FAULT_POINT": fault}
        with (self.directory / "api.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + PATIENCE
        with BlockingClient(self.url, timeout=2) as client:
            while not client.healthy():
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)

    def wait_dead(self) -> int:
        """The signal that ended the process, or 0."""
        assert self._process is not None
        return -self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End the process without warning."""
        assert self._process is not None
        self._process.kill()
        assert self.wait_dead() == signal.SIGKILL

    def stop(self) -> int:
        """Ask the process to end; returns its exit status. A dead process is left alone."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
