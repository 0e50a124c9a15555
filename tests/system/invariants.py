"""What holds after every system test, whatever the test was about.

=====  ==========================================================================================
I1     no process ended or was replaced that the test did not end itself
I2     no exception reached an event loop and no log carries a traceback
I3     a bystander (the XMPP sessions of hosts that were left alone) kept its connection
I5     the store holds no dangling reference, duplicate or orphaned claim
I7     workloads of one network reach each other; those of different networks never do
I8     descriptors, threads and memory of each process stay within bounds
=====  ==========================================================================================

The remaining ones (what was acknowledged is durable, same intent gives the same result, refusals
are counted, recovery needs nobody) are asserted by the tests that cause the fault.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tungsten.lab import demo, state
from tungsten.lab.demo import Reach
from tungsten.lab.lab import Lab
from tungsten.lab.spec import Role
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.invariants import assert_whole
from tungsten.testing.processes import complaints

#: Growth that a process may show over one test.
MAX_NEW_DESCRIPTORS = 24
MAX_NEW_THREADS = 12
MAX_GROWTH_BYTES = 96 << 20
#: Errors that a log may tell after a test: none, whatever the test sent.
EXPECTED_COMPLAINTS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: open descriptors, threads, resident bytes (proc(5))."""

    descriptors: int
    threads: int
    resident: int


def usage(pid: int) -> Usage:
    """The usage of a process."""
    base = Path(f"/proc/{pid}")
    fields = dict(
        line.split(":", 1) for line in (base / "status").read_text().splitlines() if ":" in line
    )
    return Usage(
        descriptors=sum(1 for _ in (base / "fd").iterdir()),
        threads=int(fields["Threads"]),
        resident=int(fields["VmRSS"].split()[0]) * 1024,
    )


class Invariants:
    """Compares a lab before and after a test."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before: dict[str, str] = {}
        self._usage: dict[str, Usage] = {}
        self._logs: dict[str, int] = {}
        self._sessions: dict[str, set[str]] = {}

    def begin(self) -> None:
        """Remember how things are."""
        for host, process in self._lab.state.processes.items():
            assert state.alive(process), f"{process.name} on {host} was dead before the test"
            self._before[host] = process.started
            self._usage[host] = usage(process.pid)
            self._logs[host] = Path(process.log).stat().st_size
            self._sessions[host] = self._connections(host)

    def check(self) -> None:
        """Assert that they still are."""
        self._check_processes()
        self._check_logs()
        self._check_sessions()
        self._check_reach()
        self._check_store()

    def _untouched(self) -> list[str]:
        """Hosts whose daemon the test did not replace."""
        return [
            host
            for host, process in self._lab.state.processes.items()
            if self._before.get(host) == process.started
        ]

    def _check_processes(self) -> None:
        for host, process in self._lab.state.processes.items():
            assert state.alive(process), f"I1: {process.name} on {host} has ended: {process.log}"
        for host in self._untouched():
            pid = self._lab.state.processes[host].pid
            before, after = self._usage[host], usage(pid)
            grown = f"I8: {host}: {before} -> {after}"
            assert after.descriptors <= before.descriptors + MAX_NEW_DESCRIPTORS, grown
            assert after.threads <= before.threads + MAX_NEW_THREADS, grown
            assert after.resident <= before.resident + MAX_GROWTH_BYTES, grown

    def _check_logs(self) -> None:
        for host, process in self._lab.state.processes.items():
            with Path(process.log).open(errors="replace") as log:
                log.seek(self._logs.get(host, 0))
                text = log.read()
            found = complaints(text, expected=EXPECTED_COMPLAINTS)
            assert found == [], f"I2: {process.log}: {found}"

    def _connections(self, host: str) -> set[str]:
        """Established XMPP connections of a host: local and remote address and port."""
        if self._lab.spec.hosts.get(host) is None:
            return set()
        if self._lab.spec.hosts[host].role is not Role.COMPUTE:
            return set()
        listing = self._lab.namespace(host).run(
            "ss", "-Htn", "state", "established", "dport", "=", ":5269"
        )
        return {" ".join(line.split()[-2:]) for line in listing.splitlines()}

    def _check_sessions(self) -> None:
        touched = set(self._lab.state.processes) - set(self._untouched())
        controllers = set(self._lab.spec.controllers)
        if touched & controllers:
            return
        for host in set(self._untouched()) - controllers:
            before, after = self._sessions.get(host, set()), self._connections(host)
            assert before <= after, f"I3: {host} lost its session: {before - after}"

    def _check_reach(self) -> None:
        pairs = demo.reaches(self._lab)
        with ThreadPoolExecutor(len(pairs) or 1) as pool:
            answers = list(pool.map(lambda pair: demo.ping(self._lab, pair, 2), pairs))
        for pair, (answered, summary) in zip(pairs, answers, strict=True):
            assert answered == pair.passes, f"I7: {_text(pair)}: {summary}"

    def _check_store(self) -> None:
        asyncio.run(store_is_whole(self._lab))


async def store_is_whole(lab: Lab) -> None:
    """Raise NotWhole unless the controller's store has no dangling or doubled fact."""
    controller = lab.spec.with_role(Role.CONTROLLER)[0]
    store = SqliteStore.open(lab.directory(controller) / "config.db", readonly=True)
    try:
        await assert_whole(store)
    finally:
        await store.close()


def _text(pair: Reach) -> str:
    should = "should" if pair.passes else "must not"
    return f"{pair.source} -> {pair.target} ({pair.why}) {should} be answered"
