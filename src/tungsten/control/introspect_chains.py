"""What the control node shows of service chains: those that run, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable

from tungsten.bgp.families import INET, Family
from tungsten.bgp.nlri import prefix_text
from tungsten.introspect import AnyRequest, Request, decode_cursor, encode_cursor

from .instances import Instances
from .introspect_routes import Found, show_route
from .introspect_structs import (
    ConnectedRouteInfo,
    ExtConnectRouteInfo,
    PrefixToRouteListInfo,
    ShowRoute,
    ShowServicechainInfo,
    ShowServiceChainReq,
    ShowServiceChainReqIterate,
    ShowServiceChainResp,
)
from .service_chain import ServiceChain
from .service_chains import RunningChain, ServiceChains
from .tables import Route

#: Chains on a page, and rows of one kind in a chain.
ROWS = 64
MOST = 1024


def chain_requests(chains: ServiceChains, instances: Instances) -> list[AnyRequest]:
    """The pages about service chains. The search string is part of an instance's name."""

    def answer(search: str, after: str = "") -> ShowServiceChainResp:
        wanted = sorted(
            (place for place in chains.configured if search in place[0] and _key(place) > after),
            key=_key,
        )
        shown = wanted[:ROWS]
        more = len(wanted) > ROWS
        return ShowServiceChainResp(
            service_chain_list=[show_chain(chains, place, instances) for place in shown],
            next_batch=encode_cursor(search, _key(shown[-1])) if more else "",
        )

    def iterate(form: ShowServiceChainReqIterate) -> ShowServiceChainResp:
        return answer(*decode_cursor(form.iterate_info, 2))

    return [
        Request(ShowServiceChainReq, lambda form: answer(form.search_string), "bgp_service_chain"),
        Request(ShowServiceChainReqIterate, iterate, "bgp_service_chain"),
    ]


def _key(place: tuple[str, Family]) -> str:
    return f"{place[0]} {_family(place[1])}"


def _family(family: Family) -> str:
    return "inet" if family == INET else "inet6"


def show_chain(
    chains: ServiceChains, place: tuple[str, Family], instances: Instances
) -> ShowServicechainInfo:
    """One chain, with what it has said if it runs."""
    config, running = chains.configured[place], chains.running.get(place)
    front, behind = instances.get(config.instance), instances.get(config.destination)
    up = running is not None and running.host is not None and bool(running.host.paths)
    state = "pending" if running is None else "active" if up else "down"
    return ShowServicechainInfo(
        src_virtual_network=front.config.network if front is not None else "",
        dest_virtual_network=behind.config.network if behind is not None else "",
        service_instance=config.service_instance,
        family=_family(config.family),
        src_rt_instance=config.instance,
        connected_rt_instance=config.connected,
        dest_rt_instance=config.destination,
        service_chain_addr=_address(config),
        state=state,
        pending_reason=chains.why_pending(config),
        service_chain_id=config.chain_id,
        connected_route=_connected(config, running, instances),
        more_specifics=list(_prefixes(running, instances)),
        ext_connecting_rt_info_list=list(_outside(running, instances)),
        aggregate_enable=bool(config.prefixes),
    )


def _text(key: bytes, family: Family) -> str:
    return prefix_text(key, family.afi)


def _address(config: ServiceChain) -> str:
    return _text(config.host, config.family).partition("/")[0]


def _shown(route: Route | None, instances: Instances) -> ShowRoute | None:
    if route is None:
        return None
    return show_route(Found(route, route.paths), instances, instances.replication.asn)


def _connected(
    config: ServiceChain, running: RunningChain | None, instances: Instances
) -> ConnectedRouteInfo | None:
    shown = _shown(running.host if running is not None else None, instances)
    if shown is None:
        return None
    return ConnectedRouteInfo(service_chain_addr=_address(config), connected_rt=shown)


def _in_front(chain: RunningChain, key: bytes, instances: Instances) -> ShowRoute | None:
    if key not in chain.said:
        return None
    return _shown(chain.front.tables[chain.family].get(key), instances)


def _prefixes(chain: RunningChain | None, instances: Instances) -> Iterable[PrefixToRouteListInfo]:
    for key in chain.config.prefixes[:MOST] if chain is not None else ():
        assert chain is not None
        inside = sorted(chain.inside[key])[:MOST]
        yield PrefixToRouteListInfo(
            prefix=_text(key, chain.family),
            aggregate=key in chain.said,
            aggregate_rt=_in_front(chain, key, instances),
            more_specific_list=[_text(each, chain.family) for each in inside],
        )


def _outside(chain: RunningChain | None, instances: Instances) -> Iterable[ExtConnectRouteInfo]:
    for key in sorted(chain.outside)[:MOST] if chain is not None else ():
        assert chain is not None
        yield ExtConnectRouteInfo(
            ext_rt_prefix=_text(key, chain.family),
            ext_rt_svc_rt=_in_front(chain, key, instances),
        )
