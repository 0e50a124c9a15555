"""The demo: a lab brought up step by step, then looked at and tried out, in plain words.

Four pings (same network and host, same network across hosts, both directions of isolation), the
route table of a compute host as ``rt`` prints it, and a capture on the fabric that shows the
packet inside MPLS over UDP.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tungsten.lab import lab as labs
from tungsten.lab.lab import Lab
from tungsten.lab.netns import Namespace
from tungsten.lab.spec import LabError, LabSpec

#: UDP port of MPLS-in-UDP, RFC 7510.
MPLS_UDP_PORT = 6635


@dataclass(frozen=True, slots=True)
class Reach:
    """A ping that must pass, or must not."""

    source: str
    target: str
    passes: bool
    why: str


class Narrator:
    """Prints numbered steps with the time since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begin = time.monotonic()

    def title(self, text: str) -> None:
        """A new chapter."""
        self._console.print(f"\n[bold]{text}[/bold]", highlight=False)

    def say(self, text: str) -> None:
        """One thing done."""
        elapsed = time.monotonic() - self._begin
        self._console.print(
            f"  [dim]{elapsed:5.1f} s[/dim]  {text}", highlight=False, soft_wrap=True
        )

    def block(self, text: str) -> None:
        """Output of a tool, as it came."""
        for line in text.rstrip().splitlines():
            self._console.print(f"           {line}", highlight=False, markup=False, soft_wrap=True)


def reaches(lab: Lab) -> list[Reach]:
    """Up to four telling pairs: same host, across hosts, and two that must fail."""
    names = list(lab.state.workloads)
    found: dict[str, Reach] = {}
    for source in names:
        for target in names:
            if source == target:
                continue
            one, two = lab.state.workloads[source], lab.state.workloads[target]
            same_network = one.network == two.network
            same_host = one.host == two.host
            if same_network:
                key = "host" if same_host else "across"
                why = "same network, " + ("same host" if same_host else "across hosts")
            else:
                key = "isolated" if same_host else "isolated across"
                why = f"different networks, {'same host' if same_host else 'across hosts'}"
            found.setdefault(key, Reach(source, target, same_network, why))
    order = ("host", "across", "isolated", "isolated across")
    return [found[key] for key in order if key in found]


def ping(lab: Lab, reach: Reach, count: int = 3) -> tuple[bool, str]:
    """Whether a ping was answered, and its summary."""
    target = lab.state.workloads[reach.target].address
    done = lab.namespace(reach.source).call(
        "ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", target, timeout=20
    )
    lines = [line for line in done.stdout.splitlines() if "packets transmitted" in line]
    return done.returncode == 0, lines[0] if lines else done.stderr.strip()


def capture(lab: Lab, source: str, target: str, port: int = MPLS_UDP_PORT) -> str:
    """One line of tcpdump that shows a ping from ``source`` on its host's fabric link."""
    host: Namespace = lab.namespace(lab.state.workloads[source].host)
    address = str(lab.spec.hosts[lab.state.workloads[source].host].interface.ip)
    watcher = host.popen(
        *("tcpdump", "-n", "-l", "-t", "-i", "eth0", "-c", "1"),
        f"udp dst port {port} and src host {address}",
        stderr=subprocess.PIPE,
    )
    assert watcher.stderr is not None
    assert watcher.stdout is not None
    for line in watcher.stderr:
        if "listening on" in line:
            break
    ping(lab, Reach(source, target, True, ""), count=2)
    try:
        out, _ = watcher.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        watcher.kill()
        raise LabError(f"no packet to UDP port {port} was seen on the fabric") from None
    return out.strip().splitlines()[0]


def route_table(lab: Lab, workload: str) -> str:
    """The inet routes of the workload's VRF on its host, as the ``rt`` tool prints them."""
    found = lab.state.workloads[workload]
    vrf = _vrf_of(tool(lab, found.host, "vif", "--list"), found.interface)
    return tool(lab, found.host, "rt", "--dump", vrf, "--family", "inet")


def tool(lab: Lab, host: str, name: str, *words: str) -> str:
    """What one of the vRouter tools (vif, nh, rt, mpls, dropstats) prints on a compute host."""
    program = str(Path(sys.executable).with_name(name))
    return lab.namespace(host).run(program, "--pin-dir", str(lab.bpf_dir(host)), *words)


def _vrf_of(listing: str, interface: str) -> str:
    """The VRF number that ``vif --list`` shows for an OS interface."""
    at = listing.index(interface)
    rest = listing[at:].split("Vrf:", 1)[1]
    return rest.split()[0]


async def run(name: str, spec: LabSpec, console: Console) -> bool:
    """Make the lab and show it; returns whether everything went as it should."""
    narrator = Narrator(console)
    narrator.title(f"Bringing up lab {name}: real processes in network namespaces")
    lab = labs.create(name, spec)
    await labs.up(lab, narrator.say)
    return await asyncio.to_thread(show, lab, narrator)


def show(lab: Lab, narrator: Narrator) -> bool:
    """Look at a lab that is up and try it out."""
    pairs = reaches(lab)
    narrator.title("Routes of one virtual network on one compute host (rt --dump)")
    narrator.block(route_table(lab, pairs[0].source))

    narrator.title("Who reaches whom")
    right = True
    for reach in pairs:
        answered, summary = ping(lab, reach)
        target = lab.state.workloads[reach.target].address
        as_wanted = answered == reach.passes
        right &= as_wanted
        verdict = "[green]as it should[/green]" if as_wanted else "[red]WRONG[/red]"
        word = "answered" if answered else "no answer"
        narrator.say(f"{reach.source} -> {reach.target} {target} ({reach.why}): {word}, {verdict}")
        narrator.block(summary)

    across = next((one for one in pairs if one.why.endswith("across hosts") and one.passes), None)
    if across is not None:
        narrator.title(f"The same ping on the fabric: MPLS over UDP, port {MPLS_UDP_PORT}")
        narrator.block(capture(lab, across.source, across.target))
    return right


def what_next(lab: Lab) -> str:
    """Commands to try on a lab that is up."""
    first, second = list(lab.state.workloads)[:2]
    address = lab.state.workloads[second].address
    option = "" if lab.name == "demo" else f" --name {lab.name}"
    vm_host = lab.state.workloads[first].host
    url = "" if lab.api_url.endswith(f":{labs.DEMO_PORT}") else f" --url {lab.api_url}"
    lines = [] if shutil.which("tungsten") else ["source .venv/bin/activate"]
    lines += [
        f"tungsten lab exec{option} {first} -- ping -c3 {address}",
        f"tungsten lab exec{option} {vm_host} -- vif --list",
        f"tungsten lab status{option}",
        f"tungsten get vn{url}",
        f"curl {lab.api_url}/virtual-networks",
        f"tungsten lab down{option}",
    ]
    return "\n".join(lines)
