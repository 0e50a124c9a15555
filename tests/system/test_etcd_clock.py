"""Clocks that are wrong: nothing in the store, in leases or in elections goes by the time of day.

The candidates and writers here run with a clock that is hours off or jumps to and fro
(libfaketime), beside others whose clock is right. etcd's own members run in time namespaces whose
monotonic clocks stand days apart; the time of day is the host's and cannot be set for them alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import etcd_elected
from tests.system.etcd_books import claims_of
from tests.system.test_etcd_faults import ROOT, Candidate, Writers, audit, last, progresses
from tests.unit.store.store_samples import OLD_ETCD, take
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_check import check
from tungsten.testing.etcd import EtcdCluster, Member

DAY = 86_400

LEASE = "9"
"""Seconds of an election: a machine that stalls for less does not change who is elected."""


def wrong_clock(tmp_path: Path, said: str) -> dict[str, str]:
    """An environment in which the time of day is what a file says, and may be changed there."""
    file = tmp_path / "clock"
    file.write_text(said)
    return {
        **os.environ,
        "LD_PRELOAD": next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def wrote(candidate: Candidate, number: int) -> int:
    """Wait until so much was written, 20 ms apart; how much it was."""
    while (found := int((await candidate.says(r"wrote \d+")).split()[1])) < number:
        pass
    return found


async def test_who_is_elected_stays_so_while_its_clock_jumps(tmp_path: Path) -> None:
    """F-41, F-29: an hour ahead, an hour behind, 1970, ten years ahead; then it is suspended."""
    with EtcdCluster(tmp_path / "etcd", size=1) as cluster:
        place = f"{cluster.endpoints}/clock"
        environment = wrong_clock(tmp_path, "+0")
        made = []
        for name, its in (("a", environment), ("b", dict(os.environ))):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                etcd_elected.__file__,
                place,
                name,
                LEASE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env=its,
            )
            made.append(Candidate(process))
            if name == "a":
                await made[0].says("wrote 3")
        one, two = made
        written = 3
        for jump in ("+3600", "-3600", "@1970-01-02 00:00:00", "+3650d", "+0"):
            (tmp_path / "clock").write_text(jump)
            written = await wrote(one, written + 25)
        one.process.send_signal(signal.SIGSTOP)
        await two.says("wrote 3")
        (tmp_path / "clock").write_text("-3600")
        one.process.send_signal(signal.SIGCONT)
        await one.says("refused")
        two.process.kill()
        await asyncio.gather(*(each.process.wait() for each in made))
        store = EtcdStore.open(place, options=OLD_ETCD)
        commits = await take(store.watch(0), await last(store))
        assert re.fullmatch("a+b+", "".join(c.changes[0].record.fq_name[0] for c in commits))
        await store.close()


class Displaced(EtcdCluster):
    """Members whose monotonic clocks are days apart, each in a time namespace of its own."""

    def start_member(self, member: Member, *options: str) -> None:
        days = 1 + 10 * self.members.index(member)
        prefix = ("unshare", "--time", "--monotonic", str(days * DAY), "--fork", "--kill-child")
        member.start(self._names, [*self._options, *options], prefix=prefix)


@pytest.fixture
def displaced(tmp_path: Path) -> Iterator[EtcdCluster]:
    with Displaced(tmp_path / "etcd", size=3, heartbeat=50, election=500) as cluster:
        yield cluster


async def test_members_whose_clocks_differ_serve_as_one(
    displaced: EtcdCluster, tmp_path: Path
) -> None:
    """F-29, F-42: leases are kept over a change of leader, and the books are right."""
    place = f"{displaced.endpoints}/displaced"
    process = await asyncio.create_subprocess_exec(
        sys.executable, etcd_elected.__file__, place, "a", LEASE, stdout=subprocess.PIPE, cwd=ROOT
    )
    elected = Candidate(process)
    writers = Writers(place + "/books", tmp_path)
    try:
        writers.start()
        await elected.says("wrote 3")
        written = 3
        for member in displaced.members:
            member.kill()
            await progresses(writers, 30)
            displaced.start_member(member)
            await asyncio.to_thread(member.wait)
            written = await wrote(elected, written + 40)
    finally:
        writers.kill()
        process.kill()
        await process.wait()
    store = EtcdStore.open(writers.place, options=OLD_ETCD)
    audit(writers, (await store.load())[1], await store.read(claims_of))
    await store.close()
    assert check(writers.place, OLD_ETCD) == []


def test_the_clock_of_the_tests_is_really_wrong(tmp_path: Path) -> None:
    """The time of day is, the monotonic clock is not."""
    program = "import time; print(time.time(), time.monotonic())"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=wrong_clock(tmp_path, "-3600"),
        capture_output=True,
        text=True,
        check=True,
    )
    wall, monotonic = map(float, told.stdout.split())
    assert -3700 < wall - time.time() < -3500
    assert abs(monotonic - time.monotonic()) < 60
