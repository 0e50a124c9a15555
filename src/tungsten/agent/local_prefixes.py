"""Prefixes that interfaces of this host originate in their VRF, each with who has it.

An address of an interface (instance-ip), a prefix behind it (interface route table), or a further
address it shares with others (allowed address pair in active-active mode). One prefix may have
several interfaces: then this host spreads over them, and tells others one label for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tungsten.agent.oper import Interface

LOCAL_ECMP = "local-ecmp"


@dataclass(frozen=True, slots=True)
class LocalPrefix:
    """A prefix and the active interfaces that have it, in order of their uuids.

    ``shared``: interfaces of other hosts may have it as well. ``static``: it is behind the
    interface rather than the interface's own.
    """

    prefix: IPv4Network
    interfaces: tuple[Interface, ...]
    shared: bool = False
    static: bool = False


def local_prefixes(interfaces: Iterable[Interface]) -> list[LocalPrefix]:
    """What active interfaces of one VRF originate, by prefix. An interface's own address comes
    before a static route for the same prefix."""
    own: dict[IPv4Network, list[tuple[Interface, bool]]] = {}
    static: dict[IPv4Network, list[tuple[Interface, bool]]] = {}
    for interface in sorted(interfaces, key=lambda interface: interface.vmi):
        if not interface.l3_active:
            continue
        for address in interface.addresses:
            if isinstance(address.ip, IPv4Address):
                own.setdefault(IPv4Network(address.ip), []).append((interface, address.ecmp))
        for prefix in interface.shared_prefixes:
            own.setdefault(prefix, []).append((interface, True))
        for prefix in interface.static_prefixes:
            static.setdefault(prefix, []).append((interface, True))
    found = [
        LocalPrefix(
            prefix,
            tuple(dict.fromkeys(interface for interface, _ in holders)),
            any(shared for _, shared in holders),
            prefix not in own,
        )
        for prefix, holders in {**static, **own}.items()
    ]
    return sorted(found, key=lambda local: local.prefix)


def label_key(vrf: str, local: LocalPrefix) -> str:
    """The name of the label that leads to a prefix: the interface's, or one for all of them."""
    if len(local.interfaces) == 1:
        return f"l3:{local.interfaces[0].vmi}"
    return f"{LOCAL_ECMP}:{local.prefix}:{vrf}"
