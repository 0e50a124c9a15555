"""Network namespaces as hosts: make them, wire them, run programs in them, remove them.

A :class:`Namespace` is a named network namespace (``ip netns``, so ``ip netns exec NAME``
works beside it). Programs run in it through ``nsenter --net``, which changes the network
alone: mounts stay those of the caller, so a bpffs or a log directory is shared.

Nothing here touches a link, address or route of the root namespace: veth pairs are created
inside a namespace and their far end is moved straight into another.

Names of short-lived namespaces carry the pid of their maker (:func:`unique_prefix`), so that
:func:`reap_orphans` can remove what a killed maker left behind.

Source: network_namespaces(7), ip-netns(8), setns(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

RUN_DIR = Path("/run/netns")
#: setns(2) flag for a network namespace, linux/sched.h.
CLONE_NEWNET = 0x40000000
#: Prefix of namespaces that live only as long as the process that made them.
EPHEMERAL = "tt"

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """A namespace operation failed; says which command, in which namespace, and its words."""


def _command(argv: tuple[str, ...], where: str, timeout: float) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip()
        raise NamespaceError(f"{where}: {' '.join(argv)}: exit {result.returncode}: {words}")
    return result.stdout


def enter(path: Path) -> None:
    """Move the calling thread into the network namespace that ``path`` names."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            err = ctypes.get_errno()
            raise NamespaceError(f"setns {path}: {os.strerror(err)}")
    finally:
        os.close(fd)


def call_in(path: Path, fn: Callable[[], T]) -> T:
    """Run ``fn`` in a thread of its own inside the namespace ``path`` and return its result.

    Sockets that ``fn`` opens belong to the namespace for good and may be used anywhere.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            enter(path)
            outcome.append(fn())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=work, name=f"netns-{path.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class Namespace:
    """A named network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = RUN_DIR / name

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"

    @property
    def exists(self) -> bool:
        """Whether the kernel has it."""
        return self.path.exists()

    def create(self) -> Namespace:
        """Make it, with loopback up. Raises NamespaceError if the name is taken."""
        _command(("ip", "netns", "add", self.name), self.name, 10)
        self.ip("link", "set", "lo", "up")
        return self

    def pids(self) -> list[int]:
        """Processes whose network is this namespace."""
        if not self.exists:
            return []
        try:
            here = self.path.stat()
        except OSError:
            return []
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                there = (entry / "ns/net").stat()
                if (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev):
                    found.append(int(entry.name))
        return found

    def kill(self, grace: float = 3.0) -> None:
        """End every process in it: SIGTERM, then SIGKILL after ``grace`` seconds."""
        deadline = time.monotonic() + grace
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = self.pids()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number == signal.SIGKILL:
                deadline = time.monotonic() + 2.0
            while self.pids() and time.monotonic() < deadline:
                time.sleep(0.02)

    def delete(self, grace: float = 3.0) -> None:
        """End its processes and remove it with all its links. Removing it twice is no error."""
        if self.exists:
            self.kill(grace)
            subprocess.run(
                ("ip", "netns", "del", self.name), capture_output=True, check=False, timeout=10
            )

    def argv(self, *argv: str) -> tuple[str, ...]:
        """The command line that runs ``argv`` inside."""
        return ("nsenter", f"--net={self.path}", "--", *argv)

    def run(self, *argv: str, timeout: float = 30, check: bool = True) -> str:
        """Run a program inside to its end and return its standard output."""
        full = self.argv(*argv)
        if check:
            return _command(full, self.name, timeout)
        done = subprocess.run(full, capture_output=True, text=True, timeout=timeout, check=False)
        return done.stdout + done.stderr

    def call(self, *argv: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a program inside and return whatever came of it."""
        return subprocess.run(
            self.argv(*argv), capture_output=True, text=True, timeout=timeout, check=False
        )

    def popen(
        self,
        *argv: str,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] = subprocess.STDOUT,
        env: dict[str, str] | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """Start a program inside, in a session of its own."""
        return subprocess.Popen(
            self.argv(*argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            text=True,
            start_new_session=True,
        )

    def ip(self, *argv: str) -> str:
        """``ip ARGV...`` inside; returns its output."""
        return _command(("ip", "-n", self.name, *argv), self.name, 10)

    def sysctl(self, key: str, value: str | int) -> None:
        """Write a kernel setting of this namespace (dots or slashes in ``key``)."""
        target = Path("/proc/sys") / key.replace(".", "/")
        call_in(self.path, lambda: target.write_text(str(value)))

    def call_in(self, fn: Callable[[], T]) -> T:
        """Run a Python function inside (see :func:`call_in`)."""
        return call_in(self.path, fn)

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new socket that belongs to this namespace."""
        return self.call_in(lambda: socket.socket(family, kind))

    def link_mac(self, ifname: str) -> str:
        """The MAC address of an interface inside."""
        words = self.ip("-o", "link", "show", "dev", ifname).split()
        return words[words.index("link/ether") + 1]


def veth(
    left: Namespace,
    left_name: str,
    right: Namespace,
    right_name: str,
    *,
    mtu: int = 1500,
    left_mac: str | None = None,
    right_mac: str | None = None,
) -> None:
    """Join two namespaces by a veth pair, both ends up."""
    near = ["address", left_mac] if left_mac else []
    far = ["address", right_mac] if right_mac else []
    left.ip(
        *("link", "add", left_name, *near, "mtu", str(mtu), "type", "veth"),
        *("peer", "name", right_name, *far, "mtu", str(mtu), "netns", right.name),
    )
    left.ip("link", "set", left_name, "up")
    right.ip("link", "set", right_name, "up")


def unique_prefix() -> str:
    """A prefix for short-lived namespaces: names their maker's pid and start time."""
    return f"{EPHEMERAL}{os.getpid()}x{process_start(os.getpid())}x{secrets.token_hex(2)}"


def process_start(pid: int) -> str:
    """A process' start time in clock ticks since boot; empty if it is gone (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def owner_alive(name: str) -> bool:
    """Whether the maker of a namespace named by :func:`unique_prefix` still runs."""
    pid, _, rest = name.removeprefix(EPHEMERAL).partition("x")
    started, _, _ = rest.partition("x")
    return pid.isdigit() and bool(started) and process_start(int(pid)) == started


def orphans() -> list[str]:
    """Names of short-lived namespaces whose maker is gone."""
    if not RUN_DIR.is_dir():
        return []
    names = sorted(entry.name for entry in RUN_DIR.iterdir())
    return [
        name
        for name in names
        if name.startswith(EPHEMERAL)
        and name.removeprefix(EPHEMERAL)[:1].isdigit()
        and not owner_alive(name)
    ]


def reap_orphans() -> list[str]:
    """Remove namespaces (and their processes) whose maker is gone; returns their names."""
    names = orphans()
    for name in names:
        Namespace(name).delete(grace=0.5)
    return names


@contextlib.contextmanager
def namespaces(*labels: str) -> Iterator[list[Namespace]]:
    """Fresh namespaces with unique names, one per label, removed at the end whatever happens."""
    prefix = unique_prefix()
    made = [Namespace(f"{prefix}-{label}") for label in labels]
    try:
        for namespace in made:
            namespace.create()
        yield made
    finally:
        for namespace in made:
            namespace.delete(grace=0.5)
