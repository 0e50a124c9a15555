"""How long a new workload waits for its network.

Time from the POST of a virtual-machine-interface to the first answered ping of its address from
another workload of the network on another host: objects through REST, the port announced to the
agent, the route through control to the other host. The workload's address is set by hand, so the
DHCP client's own waits are not in it; the pinging workload repeats an unanswered ARP request every
10 ms instead of every second, so that its own waits are not either. There is no peer: upstream
cannot be installed here.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.report import Measure, publish
from tungsten.client import Client
from tungsten.lab import lab as labs
from tungsten.lab import spec as specs
from tungsten.lab import workloads
from tungsten.lab.intent import Intent
from tungsten.lab.lab import Lab
from tungsten.lab.netns import Namespace

NAME = "benchping"
ROUNDS = 9


async def one(lab: Lab, number: int) -> float:
    """Milliseconds of one new workload on compute2, pinged from vm1 on compute1."""
    namespace = Namespace(f"{lab.name}-x{number}").create()
    compute = lab.namespace("compute2")
    watcher = lab.namespace("vm1")
    watcher.sysctl("net/ipv4/neigh/eth0/retrans_time_ms", 10)
    try:
        async with Client(lab.api_url) as client:
            intent = Intent(client, lab.spec)
            begin = time.monotonic()
            made = await intent.workload(f"x{number}", "blue")
        tap = workloads.tap_name(made.vmi)
        workloads.plug(compute, namespace, tap, made.mac, 1450)
        namespace.ip("addr", "add", f"{made.address}/24", "dev", "eth0")
        workloads.add_port(
            compute,
            name=f"x{number}",
            vmi=made.vmi,
            vm=made.vm,
            network=made.network_uuid,
            tap=tap,
            mac=made.mac,
            address=made.address,
        )
        argv = ("ping", "-n", "-c", "1", "-W", "0.02", made.address)
        while watcher.call(*argv).returncode != 0:
            if time.monotonic() - begin > 30:
                raise TimeoutError(f"{made.address} did not answer within 30 s")
        took = (time.monotonic() - begin) * 1000
        workloads.delete_port(compute, made.vmi)
        return took
    finally:
        namespace.delete(grace=0.2)


async def measure() -> list[float]:
    """One lab, several new workloads one after the other."""
    spec = specs.load(Path(specs.__file__).with_name("demo.yaml"))
    lab = labs.create(NAME, spec, owned=True)
    try:
        await labs.up(lab)
        return [await one(lab, number) for number in range(ROUNDS)]
    finally:
        lab.down()


def main() -> None:
    """Run and publish."""
    rounds = asyncio.run(measure())
    publish("first_ping", [Measure("POST of interface to first answered ping", "ms", rounds, {})])


if __name__ == "__main__":
    main()
