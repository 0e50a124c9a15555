"""Making the host's end of a workload's interface deaf: the host itself takes nothing from it.

A port belongs to the datapath alone. Left as the kernel makes it, its host end would accept
router advertisements, answer ARP for the host's own addresses, and have a link-local address a
workload can talk to. Sources: Linux ``Documentation/networking/ip-sysctl.rst``; advisories
CVE-2020-10749 and CVE-2020-13597.
"""

from __future__ import annotations

from pathlib import Path

_SYSCTLS = (
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "addr_gen_mode", "1"),
    ("ipv6", "disable_ipv6", "1"),
    ("ipv4", "arp_ignore", "8"),
    ("ipv4", "rp_filter", "1"),
    ("ipv4", "accept_redirects", "0"),
    ("ipv4", "forwarding", "0"),
)


def harden_port(device: str, root: Path = Path("/proc/sys/net")) -> tuple[str, ...]:
    """Set the sysctls of a port's device; answers what could not be set.

    A kernel without IPv6 has none of its sysctls, and nothing to protect there.
    """
    problems = []
    for family, name, value in _SYSCTLS:
        path = root / family / "conf" / device / name
        try:
            path.write_text(value)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    return tuple(problems)
