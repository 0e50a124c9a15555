"""Namespaces of killed makers are found by name; those of the living are left alone."""

from __future__ import annotations

import os
import subprocess
import sys

from tungsten.lab import netns


def test_a_name_of_this_process_is_alive() -> None:
    assert netns.owner_alive(netns.unique_prefix() + "-a")


def test_a_name_of_an_ended_process_is_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tungsten.lab import netns; print(netns.unique_prefix())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not netns.owner_alive(done.stdout.strip() + "-a")


def test_a_reused_pid_is_not_the_maker() -> None:
    assert not netns.owner_alive(f"{netns.EPHEMERAL}{os.getpid()}x1xabcd-a")


def test_what_a_killed_maker_left_is_reaped() -> None:
    script = (
        "from tungsten.lab import netns; import os, signal\n"
        "n = netns.Namespace(netns.unique_prefix() + '-a').create()\n"
        "n.popen('sleep', '60'); print(n.name, flush=True)\n"
        "while not n.pids(): pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    name = done.stdout.strip()
    left = netns.Namespace(name)
    assert left.exists
    assert left.pids()
    assert name in netns.reap_orphans()
    assert not left.exists
