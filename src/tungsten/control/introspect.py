"""What the control node shows of itself: sessions, instances, tables, routes.

The requests here read the very structures that routes are sent from (:class:`ControlView`), so
what is shown is what peers get. Answers are single messages with ``next_batch``, which existing
clients follow; none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec import structs

from tungsten.bgp import communities
from tungsten.introspect import (
    AnyRequest,
    ConnectionInfo,
    NodeStatus,
    NodeStatusUVE,
    Request,
    RequestError,
    Traces,
    UveCache,
    common_requests,
    decode_cursor,
    encode_cursor,
    process_status,
)

from .instances import Instance, Instances
from .introspect_chains import chain_requests
from .introspect_policies import policy_requests
from .introspect_routes import (
    PAGE,
    START,
    Found,
    Position,
    Walks,
    chosen_tables,
    count_paths,
    find_routes,
    place,
    position_from_text,
    show_route,
    table_listeners,
)
from .introspect_structs import (
    BgpNeighborListResp,
    BgpNeighborReq,
    BgpNeighborReqIterate,
    BgpNeighborResp,
    ShowAgent,
    ShowAgentReq,
    ShowAgentReqIterate,
    ShowAgentResp,
    ShowInstanceRoutingPolicyInfo,
    ShowRouteReq,
    ShowRouteReqIterate,
    ShowRouteResp,
    ShowRouteSummaryReq,
    ShowRouteSummaryReqIterate,
    ShowRouteSummaryResp,
    ShowRouteTable,
    ShowRouteTableSummary,
    ShowRoutingInstance,
    ShowRoutingInstanceReq,
    ShowRoutingInstanceReqIterate,
    ShowRoutingInstanceResp,
    ShowXmppConnection,
    ShowXmppConnectionReq,
    ShowXmppConnectionResp,
)
from .routing_policy import RoutingPolicy
from .service_chains import ServiceChains
from .tables import Rib, Table

MODULE = "contrail-control"
ROWS = 64

T = TypeVar("T")


def _nothing() -> Iterable[T]:
    return ()


@dataclass
class ControlView:
    """The live state that is shown. Functions are called when a request comes."""

    name: str
    rib: Rib
    instances: Instances
    neighbours: Callable[[], Iterable[BgpNeighborResp]] = _nothing
    xmpp_connections: Callable[[], Iterable[ShowXmppConnection]] = _nothing
    agents: Callable[[], Iterable[ShowAgent]] = _nothing
    connections: Callable[[], Sequence[ConnectionInfo]] = tuple
    problems: Callable[[], Sequence[str]] = tuple
    policies: Callable[[], Iterable[RoutingPolicy]] = _nothing
    chains: ServiceChains | None = None
    traces: Traces = field(default_factory=Traces)
    uves: UveCache = field(default_factory=UveCache)
    walks: Walks = field(default_factory=Walks)


def control_requests(view: ControlView) -> list[AnyRequest]:
    """Every request that a control node answers."""
    return [
        *common_requests(lambda: node_status(view), view.uves, view.traces),
        *_neighbour_requests(view),
        *_agent_requests(view),
        *_instance_requests(view),
        *policy_requests(view.instances, view.policies),
        *(chain_requests(view.chains, view.instances) if view.chains is not None else ()),
        *_summary_requests(view),
        *_route_requests(view),
    ]


def node_status(view: ControlView) -> NodeStatusUVE:
    """Is the node working, and with whom is it connected?"""
    status = process_status(MODULE, view.connections(), view.problems())
    return NodeStatusUVE(data=NodeStatus(name=view.name, process_status=[status]))


# --- pages of rows by name


def _page(rows: Sequence[T], name: Callable[[T], str], after: str) -> tuple[list[T], str]:
    """The rows after a name, at most :data:`ROWS`; and the name to go on after, or empty."""
    left = sorted((row for row in rows if name(row) > after), key=name)
    shown = left[:ROWS]
    return shown, name(shown[-1]) if len(left) > ROWS else ""


def _cursor(search: str, after: str) -> str:
    return encode_cursor(search, after) if after else ""


def _agent_requests(view: ControlView) -> list[AnyRequest]:
    def answer(search: str, after: str) -> ShowAgentResp:
        wanted = [each for each in view.agents() if search in each.name]
        shown, next_after = _page(wanted, lambda each: each.name, after)
        return ShowAgentResp(agents=shown, next_batch=_cursor(search, next_after))

    def iterate(form: ShowAgentReqIterate) -> ShowAgentResp:
        search, after = decode_cursor(form.iterate_info, 2)
        return answer(search, after)

    return [
        Request(ShowAgentReq, lambda form: answer(form.search_string, ""), "xmpp_server"),
        Request(ShowAgentReqIterate, iterate, "xmpp_server"),
    ]


def _neighbour_requests(view: ControlView) -> list[AnyRequest]:
    def answer(search: str, after: str) -> BgpNeighborListResp:
        wanted = [each for each in view.neighbours() if _neighbour_matches(each, search)]
        shown, next_after = _page(wanted, _neighbour_key, after)
        return BgpNeighborListResp(neighbors=shown, next_batch=_cursor(search, next_after))

    def iterate(form: BgpNeighborReqIterate) -> BgpNeighborListResp:
        search, after = decode_cursor(form.iterate_info, 2)
        return answer(search, after)

    def connections(_: ShowXmppConnectionReq) -> ShowXmppConnectionResp:
        return ShowXmppConnectionResp(connections=list(view.xmpp_connections()))

    return [
        Request(BgpNeighborReq, lambda form: answer(form.search_string, ""), "bgp_peer"),
        Request(BgpNeighborReqIterate, iterate, "bgp_peer"),
        Request(ShowXmppConnectionReq, connections, "xmpp_server"),
    ]


def _neighbour_key(each: BgpNeighborResp) -> str:
    return f"{each.encoding}:{each.peer}:{each.peer_address}"


def _neighbour_matches(each: BgpNeighborResp, search: str) -> bool:
    return search in each.peer or search == each.peer_address or search in each.instance_name


def _instance_requests(view: ControlView) -> list[AnyRequest]:
    def answer(search: str, after: str) -> ShowRoutingInstanceResp:
        wanted = [each for each in view.instances if search in each.name]
        shown, next_after = _page(wanted, lambda each: each.name, after)
        return ShowRoutingInstanceResp(
            instances=[show_instance(each) for each in shown],
            next_batch=_cursor(search, next_after),
        )

    def iterate(form: ShowRoutingInstanceReqIterate) -> ShowRoutingInstanceResp:
        search, after = decode_cursor(form.iterate_info, 2)
        return answer(search, after)

    return [
        Request(ShowRoutingInstanceReq, lambda form: answer(form.search_string, ""), "bgp_peer"),
        Request(ShowRoutingInstanceReqIterate, iterate, "bgp_peer"),
    ]


def show_instance(instance: Instance) -> ShowRoutingInstance:
    """A routing instance."""
    config = instance.config
    return ShowRoutingInstance(
        name=instance.name,
        virtual_network=config.network,
        vn_index=config.network_index,
        vxlan_id=config.network_index,
        import_target=sorted(communities.extended_text(each) for each in config.imports),
        export_target=sorted(communities.extended_text(each) for each in config.exports),
        routing_policies=[
            ShowInstanceRoutingPolicyInfo(policy_name=each.name) for each in config.policies
        ],
    )


def _summary_requests(view: ControlView) -> list[AnyRequest]:
    async def answer(search: str, after: str) -> ShowRouteSummaryResp:
        wanted = [table for name, table in view.rib.tables.items() if search in name]
        shown, next_after = _page(wanted, lambda table: table.name, after)
        return ShowRouteSummaryResp(
            tables=[await count_paths(table) for table in shown],
            next_batch=_cursor(search, next_after),
        )

    async def first(form: ShowRouteSummaryReq) -> ShowRouteSummaryResp:
        return await answer(form.search_string, "")

    async def iterate(form: ShowRouteSummaryReqIterate) -> ShowRouteSummaryResp:
        search, after = decode_cursor(form.iterate_info, 2)
        return await answer(search, after)

    return [
        Request(ShowRouteSummaryReq, first, "bgp_peer"),
        Request(ShowRouteSummaryReqIterate, iterate, "bgp_peer"),
    ]


# --- routes


def _route_requests(view: ControlView) -> list[AnyRequest]:
    async def first(form: ShowRouteReq) -> ShowRouteResp:
        return await show_routes(view, form, START, form.count)

    async def iterate(form: ShowRouteReqIterate) -> ShowRouteResp:
        return await show_routes(view, *_resume(form.route_info))

    return [
        Request(ShowRouteReq, first, "bgp_peer"),
        Request(ShowRouteReqIterate, iterate, "bgp_peer"),
    ]


async def show_routes(
    view: ControlView, form: ShowRouteReq, after: Position, count: int
) -> ShowRouteResp:
    """A page of routes. ``count``: at most so many in all; 0 for all."""
    form = structs.replace(form, count=0)
    tables = chosen_tables(view.rib, form)
    limit = min(count, PAGE) if count > 0 else PAGE
    found, walks = await find_routes(view.walks, tables, form, after, limit + 1)
    shown = found[:limit]
    left = count - limit if count > 0 else 0
    more = len(found) > limit and (count <= 0 or left > 0)
    if more:
        table = shown[-1].route.table
        view.walks.keep(table, form, walks[table])
    by_table: dict[Table, list[Found]] = {}
    for each in shown:
        by_table.setdefault(each.route.table, []).append(each)
    return ShowRouteResp(
        tables=[
            _show_table(view, table, walks[table].counts, part) for table, part in by_table.items()
        ],
        next_batch=_route_cursor(form, shown[-1], left) if more else "",
    )


def _show_table(
    view: ControlView, table: Table, counts: ShowRouteTableSummary, found: Sequence[Found]
) -> ShowRouteTable:
    asn = view.instances.replication.asn
    return ShowRouteTable(
        routing_instance=table.instance,
        routing_table_name=table.name,
        prefixes=counts.prefixes,
        paths=counts.paths,
        primary_paths=counts.primary_paths,
        secondary_paths=counts.secondary_paths,
        infeasible_paths=counts.infeasible_paths,
        stale_paths=counts.stale_paths,
        llgr_stale_paths=counts.llgr_stale_paths,
        routes=[show_route(each, view.instances, asn) for each in found],
        listeners=table_listeners(table),
    )


_FILTERS = ("routing_table", "routing_instance", "prefix", "source", "protocol", "family")


def _route_cursor(form: ShowRouteReq, last: Found, left: int) -> str:
    return encode_cursor(
        *(getattr(form, name) for name in _FILTERS),
        f"{int(form.longer_match)}{int(form.shorter_match)}",
        str(left),
        last.route.table.name,
        place(last.route).hex(),
    )


def _resume(cursor: str) -> tuple[ShowRouteReq, Position, int]:
    parts = decode_cursor(cursor, len(_FILTERS) + 4)
    filters: dict[str, Any] = dict(zip(_FILTERS, parts, strict=False))
    matching, left, table, place_hex = parts[len(_FILTERS) :]
    if not (left.isascii() and left.isdigit() and len(left) < 20):
        raise RequestError(f"the cursor's count {left!r} is not a number")
    form = ShowRouteReq(
        **filters, longer_match=matching[:1] == "1", shorter_match=matching[1:] == "1"
    )
    return form, position_from_text(table, place_hex), int(left)
