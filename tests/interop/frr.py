"""FRR's bgpd as a neighbour: started on a loopback address of its own, asked through vtysh.

It runs without zebra (``-Z``), so it touches no route of the machine. ``Frr.alive`` is checked
at the end: a neighbour that died must not be taken for a success of ours.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

BGPD = Path("/usr/lib/frr/bgpd")


def loopback_address() -> str:
    """An address of 127/8 that no other test is likely to use."""
    draw = random.SystemRandom()
    return f"127.{draw.randint(10, 250)}.{draw.randint(0, 255)}.{draw.randint(2, 250)}"


def free_port(address: str) -> int:
    """A TCP port that is free at an address."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


class Frr:
    """One bgpd. ``asn`` 64512; ``neighbor`` our address; ``families`` its address-family blocks."""

    def __init__(self, neighbor: str, neighbor_port: int, *, asn: int = 64512) -> None:
        self.address = loopback_address()
        self.port = free_port(self.address)
        self.neighbor = neighbor
        self.neighbor_port = neighbor_port
        self.asn = asn
        self.remote_as = 64512
        self.families: dict[str, list[str]] = {}
        self.options: list[str] = []
        self.global_lines: list[str] = []
        self._dir = Path(tempfile.mkdtemp(prefix="frr-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None

    def config(self) -> str:
        """Its configuration file."""
        lines = [
            "frr defaults datacenter",
            *self.global_lines,
            f"router bgp {self.asn}",
            f" bgp router-id {self.address}",
            " no bgp default ipv4-unicast",
            " no bgp ebgp-requires-policy",
            f" neighbor {self.neighbor} remote-as {self.remote_as}",
            f" neighbor {self.neighbor} port {self.neighbor_port}",
            f" neighbor {self.neighbor} update-source {self.address}",
            f" neighbor {self.neighbor} advertisement-interval 0",
            f" neighbor {self.neighbor} timers 3 9",
            f" neighbor {self.neighbor} timers connect 1",
            *(f" {line}" for line in self.options),
        ]
        for family, extra in self.families.items():
            lines.append(f" address-family {family}")
            lines.append(f"  neighbor {self.neighbor} activate")
            lines += [f"  {line}" for line in extra]
            lines.append(" exit-address-family")
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Run it."""
        file = self._dir / "bgpd.conf"
        file.write_text(self.config())
        self._dir.chmod(0o755)
        shutil.chown(self._dir, "frr", "frr")
        log = (self._dir / "log").open("wb")
        argv = [str(BGPD), "-f", str(file), "-p", str(self.port), "-l", self.address, "-Z", "-S"]
        argv += ["--vty_socket", str(self._dir), "-i", str(self._dir / "bgpd.pid")]
        argv += ["--log", "stdout", "--log-level", "warnings"]
        self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        log.close()

    def stop(self) -> None:
        """End it; a bgpd that had ended by itself is an error of the test."""
        if self._process is not None:
            died = self._process.poll()
            self._process.terminate()
            self._process.wait(10)
            self._process = None
            text = (self._dir / "log").read_text(errors="replace")
            shutil.rmtree(self._dir, ignore_errors=True)
            assert died is None, f"bgpd ended by itself with {died}: {text[-2000:]}"
            return
        shutil.rmtree(self._dir, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def vtysh(self, *commands: str) -> str:
        """Output of commands."""
        argv = ["vtysh", "--vty_socket", str(self._dir)]
        for command in commands:
            argv += ["-c", command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout

    async def json(self, command: str) -> Any:
        """Output of a command as JSON, empty while bgpd is not there."""
        text = await asyncio.to_thread(self.vtysh, command)
        start = text.find("{")
        if start < 0:
            return {}
        try:
            return json.loads(text[start:])
        except json.JSONDecodeError:
            return {}

    async def configure(self, *lines: str) -> None:
        """Change its configuration."""
        await asyncio.to_thread(self.vtysh, "configure terminal", *lines)

    async def session(self) -> dict[str, Any]:
        """What it says of its session with us."""
        answer: dict[str, Any] = await self.json(f"show bgp neighbors {self.neighbor} json")
        said: dict[str, Any] = answer.get(self.neighbor, {})
        return said

    async def vpn_route(self, rd: str, prefix: str) -> dict[str, Any]:
        """One VPNv4 route in detail, empty when it has none."""
        answer = await self.json(f"show bgp ipv4 vpn rd {rd} {prefix} json")
        found: dict[str, Any] = answer.get(rd, {})
        return found if found.get("paths") and found.get("prefix") == prefix else {}


async def until(
    condition: Callable[[], Any], seconds: float = 20.0, what: str = "condition"
) -> Any:
    """Wait for something to be so; asynchronous conditions are awaited."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert loop.time() < end, f"{what} not reached in {seconds} s"
        await asyncio.sleep(0.05)
