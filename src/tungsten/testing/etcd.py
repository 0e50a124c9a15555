"""etcd for tests: one member or several on the loopback address, to be killed and stopped.

Members die with the process that started them, however that ends (setpriv(1), PR_SET_PDEATHSIG).
Their timers are short, so that a cluster is there in half a second and elects within one; time
enough on a machine that is busy is given by ``heartbeat`` and ``election`` in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Seconds that a member has to become healthy.
PATIENCE = 20.0


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in held]


class Member:
    """One etcd process and its data."""

    def __init__(
        self, name: str, directory: Path, client_port: int, peer_port: int, scheme: str
    ) -> None:
        self.scheme = scheme
        self.name = name
        self.directory = directory
        self.endpoint = f"127.0.0.1:{client_port}"
        self.peer = f"http://127.0.0.1:{peer_port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self, cluster: str, options: Sequence[str], prefix: Sequence[str] = ()) -> None:
        """Start the process, by the command ``prefix`` if it is given; see :meth:`wait`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        url = f"{self.scheme}://{self.endpoint}"
        argv = ["setpriv", "--pdeathsig", "KILL", *prefix, "etcd", "--name", self.name]
        argv += ["--data-dir", str(self.directory / "data"), "--initial-cluster", cluster]
        argv += ["--listen-client-urls", url, "--advertise-client-urls", url]
        argv += ["--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer]
        argv += ["--logger", "zap", "--log-level", "warn", *options]
        with (self.directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=_environment())

    def wait(self) -> None:
        """Wait until it is healthy: it knows a leader and can commit."""
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            log = self.directory / "etcd.log"
            assert self._process is not None, f"{self.name} was not started"
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def healthy(self) -> bool:
        """Whether it says that it is; behind TLS, whether it listens."""
        if self.scheme == "https":
            return self._listens()
        try:
            with urllib.request.urlopen(f"http://{self.endpoint}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except (OSError, urllib.error.URLError):
            return False

    def _listens(self) -> bool:
        host, _, port = self.endpoint.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it without warning."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class EtcdCluster:
    """Members by number. A context manager that starts them, and ends them and their data."""

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 1,
        heartbeat: int = 20,
        election: int = 200,
        scheme: str = "http",
        options: Sequence[str] = ("--max-txn-ops", "10000", "--max-request-bytes", "10485760"),
    ) -> None:
        ports = free_ports(2 * size)
        self.directory = directory
        self.members = [
            Member(f"m{n}", directory / f"m{n}", ports[2 * n], ports[2 * n + 1], scheme)
            for n in range(size)
        ]
        self._names = ",".join(f"{one.name}={one.peer}" for one in self.members)
        timers = ["--heartbeat-interval", str(heartbeat), "--election-timeout", str(election)]
        self._options = [*timers, *options]

    @property
    def endpoints(self) -> str:
        """All endpoints, as a store's URL has them."""
        return ",".join(one.endpoint for one in self.members)

    def url(self, prefix: str = "tungsten") -> str:
        """The URL of a store in it."""
        return f"etcd:{self.endpoints}/{prefix}"

    def start(self) -> EtcdCluster:
        """Start all members and wait until they are healthy."""
        for member in self.members:
            self.start_member(member)
        for member in self.members:
            member.wait()
        return self

    def start_member(self, member: Member, *options: str) -> None:
        """Start one, again; ``options`` beside those of all."""
        member.start(self._names, [*self._options, *options])

    def stop(self) -> None:
        """End all members and remove their data."""
        for member in self.members:
            member.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> EtcdCluster:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def paused(member: Member) -> Iterator[None]:
    """Stop a member's process, as a machine that hangs, and let it go on."""
    member.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        member.signal(signal.SIGCONT)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
