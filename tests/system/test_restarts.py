"""A restart is no event: daemons are killed and started again under traffic."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tungsten.lab import demo
from tungsten.lab.lab import Lab


class Stream:
    """A ping every 10 ms between two workloads."""

    def __init__(self, lab: Lab, source: str, target: str) -> None:
        address = lab.state.workloads[target].address
        self._process = lab.namespace(source).popen("ping", "-n", "-q", "-i", "0.01", address)
        self.lost = -1
        self.sent = 0

    def stop(self) -> None:
        """End it and count."""
        self._process.send_signal(signal.SIGINT)
        out, _ = self._process.communicate(timeout=10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
        assert found, out
        self.sent = int(found[1])
        # The last request may be on its way when the stream ends.
        self.lost = max(0, self.sent - int(found[2]) - 1)


@contextmanager
def streams(lab: Lab) -> Iterator[list[Stream]]:
    """Traffic within a host and across hosts while the body runs."""
    running = [Stream(lab, "vm1", "vm2"), Stream(lab, "vm1", "vm3"), Stream(lab, "vm3", "vm2")]
    time.sleep(0.3)
    try:
        yield running
    finally:
        for stream in running:
            stream.stop()


def assert_lossless(running: list[Stream], at_least: int) -> None:
    for stream in running:
        assert stream.sent >= at_least
        assert stream.lost == 0, f"{stream.lost} of {stream.sent} lost"


def test_killing_and_restarting_an_agent_loses_no_packet(lab: Lab) -> None:
    with streams(lab) as running:
        lab.stop_process("compute2", signal.SIGKILL)
        time.sleep(1)
        lab.start_process("compute2").wait()
        time.sleep(3)
    assert_lossless(running, 100)


def test_stopping_an_agent_in_order_loses_no_packet_either(lab: Lab) -> None:
    with streams(lab) as running:
        lab.restart("compute1")
        time.sleep(2)
    assert_lossless(running, 100)


def test_a_controller_that_is_killed_takes_nothing_down(lab: Lab) -> None:
    with streams(lab) as running:
        lab.stop_process("controller", signal.SIGKILL)
        time.sleep(3)
        lab.start_process("controller").wait()
        time.sleep(5)
    assert_lossless(running, 400)


def test_ids_labels_and_routes_are_the_same_after_a_restart(lab: Lab) -> None:
    def tables() -> str:
        texts = (
            demo.tool(lab, "compute1", "nh", "--list"),
            demo.tool(lab, "compute1", "mpls", "--dump"),
            demo.tool(lab, "compute1", "rt", "--dump", "1", "--family", "inet"),
        )
        return re.sub(r"(Ref_cnt|RefCnt|Ref):\s*\d+", "", "\n".join(texts))

    before = tables()
    lab.restart("compute1", signal.SIGKILL)
    time.sleep(3)
    assert tables() == before
