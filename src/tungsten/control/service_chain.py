"""What a service chain makes of the routes behind it: pure functions.

A routing instance in front of a service names, in ``service-chain-information``, the instance
behind it, the prefixes of the network there, and the address of the service. While an agent has
that address, the routes from behind are offered in front with the service as their way: each
prefix of the network once it has a more specific route there, and what lies outside of those
prefixes (routes from elsewhere that reached the network) one for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from msgspec import structs

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET, INET6, Family
from tungsten.bgp.nlri import pack_prefix
from tungsten.model.routing import ServiceChainInfo

from .instances import InstanceConfig
from .paths import ATTRIBUTES, Path, PathFlag, Protocol, Source, equal_cost, in_order
from .static_routes import distinguisher
from .tables import Route

#: Extended communities that tell of a route rather than of the way to it.
_OF_THE_ROUTE = {
    (0x80, 0x04),  # security group
    (0x80, 0x84),  # tag
    (0x00, 0x03),  # site of origin, by the kind of its administrator
    (0x01, 0x03),
    (0x02, 0x03),
    (0x03, 0xAA),  # load balance
}


@dataclass(frozen=True, slots=True)
class ServiceChain:
    """A chain of one instance and family; route keys of its prefixes and of the service."""

    instance: str
    family: Family
    destination: str
    #: The instance in which agents tell of the service's address.
    connected: str
    host: bytes
    prefixes: tuple[bytes, ...]
    service_instance: str = ""
    chain_id: str = ""
    is_head: bool = False
    retains_as_path: bool = False


def service_chain(instance: str, family: Family, info: ServiceChainInfo) -> ServiceChain:
    """The chain of the configuration. ``ValueError``, naming the field, if it is unusable."""
    version = {INET: 4, INET6: 6}[family]
    destination = info.routing_instance or ""
    if not destination or destination == instance:
        raise ValueError(f"routing_instance: {destination!r}; expected another instance")
    try:
        host = ip_address(info.service_chain_address or "")
    except ValueError as error:
        raise ValueError(f"service_chain_address: {error}") from None
    if host.version != version:
        raise ValueError(f"service_chain_address: {host} is not of IP version {version}")
    prefixes = []
    for text in info.prefix or ():
        try:
            network = ip_network(text, strict=False)
        except ValueError as error:
            raise ValueError(f"prefix: {error}") from None
        if network.version != version:
            raise ValueError(f"prefix: {network} is not of IP version {version}")
        prefixes.append(pack_prefix(network.network_address.packed, network.prefixlen))
    return ServiceChain(
        instance,
        family,
        destination,
        info.source_routing_instance or instance,
        pack_prefix(host.packed, host.max_prefixlen),
        tuple(dict.fromkeys(prefixes)),
        info.service_instance or "",
        info.service_chain_id or "",
        bool(info.sc_head),
        bool(info.retain_as_path),
    )


def ways(host: Route | None) -> list[Path]:
    """The paths by which agents have the service's address, those in use together."""
    if host is None:
        return []
    usable = (path for path in host.paths if path.source.protocol is Protocol.XMPP)
    return equal_cost(in_order(usable))


def is_offered(path: Path, front: InstanceConfig, behind: InstanceConfig) -> bool:
    """Whether a route outside of the prefixes, with this best path, is offered in front.

    It is when it is of the network behind, or of any other but the one in front where the network
    behind lets others pass through it (``allow_transit``); and when it has not passed through the
    network in front before.
    """
    held = path.attributes
    if {communities.NO_ADVERTISE, communities.NO_REORIGINATE} & set(held.communities):
        return False
    origin = communities.origin_vn_of(held.extended_communities)
    index = origin[1] if origin is not None else 0
    if not index and path.is_primary and path.source.protocol is not Protocol.BGP:
        index = behind.network_index
    if front.network_index and index == front.network_index:
        return False
    if (not index or index != behind.network_index) and not behind.allow_transit:
        return False
    passed = (communities.origin_vn_of((each,)) for each in held.origin_vn_path)
    return not front.network_index or all(
        each is None or each[1] != front.network_index for each in passed
    )


def chain_paths(
    chain: ServiceChain,
    over: Iterable[Path],
    original: Path | None,
    source: Source,
    *,
    origin_vn: bytes,
    number_of: Callable[[Source], int | None],
) -> dict[int, Path]:
    """The paths of a route in front of the service, by path id.

    ``over`` are the ways to the service, ``original`` is the best path behind of a route outside
    of the prefixes. ``origin_vn`` is the community of the network behind, empty if it has no
    number; ``number_of`` tells which number an agent has of the instance in front.
    """
    found: dict[int, Path] = {}
    for path in over:
        number = int.from_bytes(path.attributes.next_hop[:4], "big")
        if number not in found:
            found[number] = replace(
                path,
                source=source,
                attributes=_attributes(chain, path.attributes, original, origin_vn),
                rd=distinguisher(path, number_of),
                path_id=number,
                flags=path.flags & PathFlag.LLGR_STALE,
                origin=None,
                original=None,
            )
    return found


def _attributes(
    chain: ServiceChain, held: PathAttributes, original: Path | None, origin_vn: bytes
) -> PathAttributes:
    extended = [
        c
        for c in held.extended_communities
        if not communities.is_route_target(c) and communities.origin_vn_of((c,)) is None
    ]
    theirs = original.attributes if original is not None else None
    if theirs is not None:
        extended = [c for c in extended if (c[0], c[1]) not in _OF_THE_ROUTE]
        extended += [c for c in theirs.extended_communities if (c[0], c[1]) in _OF_THE_ROUTE]
    if origin_vn:
        extended.append(origin_vn)
    plain = dict.fromkeys(theirs.communities if theirs is not None else ())
    plain[communities.ACCEPT_OWN_NEXT_HOP] = None
    passed = theirs.origin_vn_path if theirs is not None else ()
    return ATTRIBUTES.intern(
        structs.replace(
            held,
            as_path=theirs.as_path if theirs is not None and chain.retains_as_path else (),
            extended_communities=tuple(extended),
            communities=tuple(plain),
            origin_vn_path=(origin_vn, *passed) if origin_vn else passed,
        )
    )
