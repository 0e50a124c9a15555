"""Attaches workloads to a compute host, as a CNI or nova driver does.

A veth pair joins the workload's namespace to the host's; the port is announced to the agent's
port API (9091, loopback of the compute host), and a real DHCP client in the workload asks for
the address.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from tungsten.lab.netns import Namespace, veth
from tungsten.lab.spec import LabError

PORT_API = 9091
#: Most characters of an interface name (linux/if.h IFNAMSIZ less the final NUL).
IFNAME = 15
#: Kinds of tunnels whose super-packets leave a veth whole, as ethtool names them.
OWN_TUNNELS = ("udp_tnl", "udp_tnl-csum", "gre", "gre-csum", "ipxip4")


def tap_name(vmi: str) -> str:
    """The host-side name of an interface, by upstream's custom: tap and 11 of the uuid."""
    return f"tap{vmi}"[:14]


def plug(compute: Namespace, workload: Namespace, tap: str, mac: str, mtu: int) -> None:
    """Join a workload's eth0 to a compute host.

    What an overlay of the workload's own sends is cut to frames at its eth0. Once our tunnel is
    around it, the kernel could cut only one of the two tunnels rightly.
    """
    veth(compute, tap, workload, "eth0", mtu=mtu, right_mac=mac)
    features = (f"tx-{kind}-segmentation" for kind in OWN_TUNNELS)
    workload.run("ethtool", "-K", "eth0", *(word for name in features for word in (name, "off")))


class _NamespaceConnection(http.client.HTTPConnection):
    """HTTP to a server on the loopback of a namespace."""

    def __init__(self, namespace: Namespace, port: int, timeout: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout)
        self._namespace = namespace

    def connect(self) -> None:
        self.sock = self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


def port_request(
    compute: Namespace, method: str, path: str, body: Any = None, timeout: float = 10.0
) -> Any:
    """One request to a host's port API; returns the decoded answer. Raises LabError."""
    connection = _NamespaceConnection(compute, PORT_API, timeout)
    try:
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if payload else {}
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        raise LabError(f"port API of {compute.name}: {method} {path}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise LabError(f"port API of {compute.name}: {method} {path}: {answer.status} {text}")
    return json.loads(text) if text else None


def add_port(
    compute: Namespace,
    *,
    name: str,
    vmi: str,
    vm: str,
    network: str,
    tap: str,
    mac: str,
    address: str,
) -> None:
    """Announce a plugged interface to the agent, in the form of nova's driver."""
    port_request(
        compute,
        "POST",
        "/port",
        {
            "id": vmi,
            "instance-id": vm,
            "vn-id": network,
            "vm-project-id": "",
            "display-name": name,
            "ip-address": address,
            "ip6-address": "",
            "system-name": tap,
            "mac-address": mac,
            "type": 0,
            "rx-vlan-id": -1,
            "tx-vlan-id": -1,
        },
    )


def delete_port(compute: Namespace, vmi: str) -> None:
    """Tell the agent that an interface is gone."""
    port_request(compute, "DELETE", f"/port/{vmi}")


def lease(workload: Namespace, timeout: float = 30.0) -> str:
    """Get eth0's address by DHCP; returns the client's words. Raises LabError."""
    script = Path(__file__).with_name("udhcpc.sh")
    done = workload.call(
        *("udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", str(script)),
        *("-t", str(int(timeout)), "-T", "1", "-A", "1", "-O", "staticroutes", "-O", "mtu"),
        timeout=timeout + 10,
    )
    if done.returncode != 0:
        raise LabError(f"{workload.name}: no DHCP lease: {(done.stderr or done.stdout).strip()}")
    return done.stdout + done.stderr


def address(workload: Namespace) -> str:
    """The IPv4 address on eth0, or an empty string."""
    words = workload.ip("-4", "-o", "addr", "show", "dev", "eth0").split()
    return words[words.index("inet") + 1].partition("/")[0] if "inet" in words else ""
