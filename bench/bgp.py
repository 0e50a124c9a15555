"""``python -m bench.bgp``: the control node as a route reflector, beside BIRD, FRR and GoBGP.

One client announces, the others receive, over real sessions on loopback addresses; every received
route is looked at (:mod:`bench.bgp_load`). What counts is the CPU of the speaker: other work on
the machine disturbs it less than the time on the wall. Peers run in the same rounds. ``--quick``
leaves out the million, ``--rounds`` says how often the others are measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.api import Results
from bench.bgp_duts import PEERS
from bench.bgp_load import Load, measure
from bench.bgp_streams import Shape
from bench.report import publish
from tungsten.bgp.families import EVPN, INET_VPN, Family

ROUNDS = 3
OURS, TWIN = "tungsten", "python"


@dataclass(frozen=True)
class Case:
    """One load: its shape, receivers, instances that import, and which peers can do it."""

    family: Family
    routes: int
    shared: int = 4
    receivers: int = 1
    instances: int = 0
    peers: tuple[str, ...] = ()
    rounds: int = ROUNDS

    @property
    def name(self) -> str:
        """How results call it."""
        kind = "VPNv4" if self.family == INET_VPN else "EVPN type 2"
        parts = [f"{self.routes:,} {kind}", f"{self.shared} an attribute set"]
        if self.receivers > 1:
            parts.append(f"{self.receivers} receivers")
        if self.instances:
            parts.append(f"{self.instances:,} importing instances")
        return ", ".join(parts)


def cases(quick: bool) -> Iterator[Case]:
    """The loads of a run. GoBGP's cost of EVPN and of many receivers would take hours."""
    every = ("bird", "frr", "gobgp", TWIN)
    yield Case(INET_VPN, 10_000, peers=every)
    yield Case(INET_VPN, 100_000, peers=every)
    yield Case(INET_VPN, 100_000, shared=1, peers=("bird", "frr", TWIN))
    yield Case(INET_VPN, 100_000, shared=50, peers=("bird", "frr", TWIN))
    yield Case(INET_VPN, 100_000, receivers=10, peers=("bird", "frr"))
    yield Case(EVPN, 100_000, peers=("frr", TWIN))
    if quick:
        return
    yield Case(INET_VPN, 1_000_000, peers=("bird",), rounds=1)
    yield Case(INET_VPN, 1_000_000, instances=1000, rounds=1)
    yield Case(EVPN, 1_000_000, peers=("frr",), rounds=1)


def note(results: Results, case: Case, load: Load, peer: str = "") -> None:
    """What a load cost, ours or a peer's."""
    values = {
        "CPU": ("us a route", 1e6 * load.cpu / case.routes),
        "memory at most": ("MB", load.peak),
        "withdrawal, CPU": ("us a route", 1e6 * load.withdraw_cpu / case.routes),
    }
    for what, (unit, value) in values.items():
        metric = f"{case.name}: {what}"
        if peer:
            results.beside(metric, peer, max(value, 1e-3))
        else:
            results.add(metric, unit, value)


def run(case: Case, dut: str) -> Load:
    """One load; ends the program if anything that was received is wrong."""
    shape = Shape(case.family, case.routes, case.shared)
    load = measure(dut, shape, case.receivers, instances=case.instances)
    if load.errors:
        sys.exit(f"{dut}, {case.name}: {load.errors[0]}")
    return load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="leave out the million")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    missing = [name for name, peer in PEERS.items() if shutil.which(peer.program) is None]
    if missing:
        print("not installed, so not measured:", ", ".join(missing))
    for case in cases(args.quick):
        results = Results()
        for _ in range(min(case.rounds, args.rounds)):
            note(results, case, run(case, OURS))
            for peer in case.peers:
                if peer not in missing:
                    name = PEERS[peer].name if peer in PEERS else "the Python core"
                    note(results, case, run(case, peer), name)
        publish(f"bgp-{case.name.replace(', ', '-').replace(' ', '-')}", results.measures())


if __name__ == "__main__":
    main()
