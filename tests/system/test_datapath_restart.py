"""The owner of the datapath dies, starts again, and upgrades: no packet is lost."""

from __future__ import annotations

import re
import signal
import sys
import time

from tests.system.datapath_bed import Bed, Workload, bed
from tungsten.datapath import Datapath, DatapathError, NhFlag

#: An owner: opens the pinned datapath, says so, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from tungsten.datapath import Datapath
dp = Datapath.open(Path(sys.argv[1]))
print("open", dp.fresh, flush=True)
time.sleep(60)
"""


class Stream:
    """A ping every 2 ms that runs while something is done."""

    def __init__(self, sender: Workload, receiver: Workload) -> None:
        self._process = sender.namespace.popen(
            "ping", "-n", "-i", "0.002", "-q", str(receiver.address)
        )
        time.sleep(0.3)

    def stop(self) -> tuple[int, int]:
        """Packets sent, packets lost."""
        time.sleep(0.3)
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate(timeout=10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        assert found, output
        return int(found[1]), int(found[1]) - int(found[2])


def test_killing_and_restarting_the_owner_loses_nothing() -> None:
    with bed() as hosts:
        hosts.forward(NhFlag.MPLS_UDP, "routed")
        stream = Stream(hosts.workloads[3], hosts.workloads[4])
        for host in hosts.hosts:
            host.datapath.close()
            for _ in range(3):
                owner = host.namespace.popen(sys.executable, "-c", OWNER, str(host.pin_dir))
                assert owner.stdout is not None
                assert owner.stdout.readline() == "open False\n"
                owner.kill()
                owner.wait()
                owner.stdout.close()
        sent, lost = stream.stop()
        assert sent > 200
        assert lost == 0


def test_moving_to_tables_of_another_shape_loses_nothing() -> None:
    with bed() as hosts:
        hosts.forward(NhFlag.MPLS_UDP, "routed")
        stream = Stream(hosts.workloads[3], hosts.workloads[4])
        host = hosts.hosts[0]
        old = host.datapath
        new = host.namespace.call_in(
            lambda: Datapath.open(host.pin_dir, sizes={"labels": 65536, "bridge": 1024})
        )
        assert new.fresh
        new.config = old.config
        _copy(old, new)
        for vif in old.vifs.dump().values():
            host.namespace.call_in(lambda vif=vif: new.attach(vif))  # type: ignore[misc]
        new.switch()
        host.datapath = new
        old.close()
        sent, lost = stream.stop()
        assert sent > 100
        assert lost == 0
        assert new.vif_stats(3).rx_packets > 0
        new.close()


def _copy(old: Datapath, new: Datapath) -> None:
    new.vifs.put(old.vifs.dump())
    new.nexthops.put(old.nexthops.dump())
    new.labels.put(old.labels.dump())
    new.vnis.put(old.vnis.dump())
    new.routes.put(old.routes.dump())
    new.bridge.put(old.bridge.dump())


def test_removing_the_datapath_stops_the_overlay_and_leaves_nothing() -> None:
    with bed() as hosts:
        here, there = hosts.workloads[3], hosts.workloads[4]
        assert _answered(hosts, here, there)
        for host in hosts.hosts:
            host.datapath.close()
            Datapath.remove(host.pin_dir)
            assert list(host.pin_dir.iterdir()) == []
        assert not _answered(hosts, here, there)
        try:
            Datapath.view(hosts.hosts[0].pin_dir)
        except DatapathError as error:
            assert "no datapath is pinned here" in str(error)  # noqa: PT017


def _answered(hosts: Bed, here: Workload, there: Workload) -> bool:
    assert here in hosts.hosts[0].workloads
    return ", 0% packet loss" in here.ping(there.address)
