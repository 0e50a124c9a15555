"""``tungsten ctr``: what a control node knows, printed as ist.py prints it.

Asks the control node's introspect (port 8083). The answers are those of the structures that
routes are sent from; nothing is cached on the way.
"""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated
from xml.etree.ElementTree import Element, SubElement

import typer

from tungsten.cli.answers import DEFAULT_WIDTH, dump, dumps
from tungsten.cli.asking import (
    ColumnsOption,
    Form,
    FormOption,
    Look,
    Search,
    WidthOption,
    add_common_commands,
    ask,
    choose,
    show,
)
from tungsten.introspect.client import rows

PORT = 8083

app = typer.Typer(no_args_is_help=True, help="Ask a control node (introspect, port 8083).")
route = typer.Typer(no_args_is_help=True, help="Route tables and routes.")
app.add_typer(route, name="route")
add_common_commands(app)

NEIGHBOUR = (
    "peer",
    "peer_address",
    "peer_asn",
    "encoding",
    "peer_type",
    "state",
    "send_state",
    "flap_count",
    "flap_time",
)
INSTANCE = (
    "name",
    "vn_index",
    "vxlan_id",
    "import_target",
    "export_target",
    "routing_policies",
)
CHAIN = (
    "src_virtual_network",
    "dest_virtual_network",
    "service_instance",
    "src_rt_instance",
    "dest_rt_instance",
    "state",
    "pending_reason",
)
CHAIN_OFFERS = (
    "src_rt_instance",
    "service_instance",
    "state",
    "connected_route",
    "more_specifics",
    "ext_connecting_rt",
)
SUMMARY = (
    "name",
    "prefixes",
    "paths",
    "primary_paths",
    "secondary_paths",
    "infeasible_paths",
)


@app.callback()
def process(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(envvar="INTROSPECT_HOST", help="Host of the control node.")
    ] = None,
    port: Annotated[int, typer.Option(envvar="INTROSPECT_PORT", help="Its introspect port.")] = (
        PORT
    ),
) -> None:
    """Ask a control node (introspect, port 8083)."""
    choose(context, host or "127.0.0.1", port, host is not None)


@app.command("nei")
def neighbours(
    context: typer.Context,
    search: Search = "",
    encoding: Annotated[str, typer.Option("-t", "--type", help="BGP or XMPP.")] = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Sessions with agents and BGP speakers."""
    found = rows(ask(context, "BgpNeighborReq", {"search_string": search}), "BgpNeighborResp")
    wanted = [row for row in found if encoding in ("", row.findtext("encoding"))]
    show(wanted, Look.of(form, columns, width), NEIGHBOUR)


@app.command("ri")
def instances(
    context: typer.Context,
    search: Search = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Routing instances."""
    answer = ask(context, "ShowRoutingInstanceReq", {"search_string": search})
    look = Look.of(form, columns, width)
    show(list(rows(answer, "ShowRoutingInstance")), look, INSTANCE)


@app.command("sc")
def service_chains(
    context: typer.Context,
    search: Search = "",
    with_routes: Annotated[
        bool, typer.Option("-r", "--route", help="What each offers in front of its service.")
    ] = False,
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Service chains, with why some do not run."""
    answer = ask(context, "ShowServiceChainReq", {"search_string": search})
    found = list(rows(answer, "ShowServicechainInfo"))
    if with_routes:
        found = [_with_offers(each) for each in found]
    look = Look.of(form, columns, width)
    show(found, look, CHAIN_OFFERS if with_routes else CHAIN)


def _with_offers(chain: Element) -> Element:
    """A row of a chain's routes: what stands deep in the answer, as lists of prefixes."""
    row = Element("row")
    for name in ("src_rt_instance", "service_instance", "state"):
        SubElement(row, name).text = chain.findtext(name)
    address = chain.findtext("connected_route/ConnectedRouteInfo/service_chain_addr")
    SubElement(row, "connected_route").text = address
    prefixes = chain.iterfind("more_specifics/list/PrefixToRouteListInfo")
    SubElement(row, "more_specifics").text = ", ".join(
        f"{each.findtext('prefix')} (aggregate: {each.findtext('aggregate')})" for each in prefixes
    )
    outside = chain.iterfind("ext_connecting_rt_info_list//ext_rt_prefix")
    SubElement(row, "ext_connecting_rt").text = ", ".join(each.text or "" for each in outside)
    return row


Family = Annotated[
    str, typer.Option("-f", "--family", help="inet, inet6, evpn, l3vpn, ermvpn or all.")
]


def _summaries(context: typer.Context, search: str, family: str) -> list[Element]:
    answer = ask(context, "ShowRouteSummaryReq", {"search_string": search})
    return [
        row
        for row in rows(answer, "ShowRouteTableSummary")
        if family == "all" or f"{family}.0" in (row.findtext("name") or "")
    ]


@route.command("summary")
def summary(
    context: typer.Context,
    search: Search = "",
    family: Annotated[str, typer.Option(help="inet, inet6, evpn, ermvpn or all.")] = "inet",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = 50,
) -> None:
    """Route tables with their numbers of routes."""
    show(_summaries(context, search, family), Look.of(form, columns, width), SUMMARY)


@route.command("tables")
def tables(context: typer.Context, search: Search = "", family: Family = "inet") -> None:
    """Names of the route tables."""
    names = (row.find("name") for row in _summaries(context, search, family))
    typer.echo(dumps(name for name in names if name is not None), nl=False)


@route.command("show")
def show_routes(
    context: typer.Context,
    prefix: Annotated[
        str, typer.Argument(help="An address: the routes that cover it. Else a pattern.")
    ] = "",
    family: Annotated[str, typer.Option("-f", "--family", help="inet, evpn, l3vpn...")] = "",
    protocol: Annotated[str, typer.Option("-p", "--protocol", help="XMPP, BGP, Local...")] = "",
    vrf: Annotated[str, typer.Option("-v", "--vrf", help="Routing instance.")] = "",
    source: Annotated[str, typer.Option("-s", "--source", help="Peer the path is from.")] = "",
    name: Annotated[str, typer.Option("-t", "--table", help="Route table.")] = "",
    last: Annotated[str, typer.Option("-l", "--last", help="Changed since: 30s, 5m, 1h...")] = "",
    detail: Annotated[bool, typer.Option("-d", "--detail", help="More of each path.")] = False,
    raw: Annotated[bool, typer.Option("-r", "--raw", help="All of each path.")] = False,
    longer: Annotated[
        bool, typer.Option("--longer_match", "--longer-match", help="Within the prefix.")
    ] = False,
    shorter: Annotated[
        bool, typer.Option("--shorter_match", "--shorter-match", help="Covering the prefix.")
    ] = False,
) -> None:
    """Routes with their paths."""
    covering = _host_prefix(prefix)
    answer = ask(
        context,
        "ShowRouteReq",
        {
            "routing_table": name,
            "routing_instance": vrf,
            "prefix": covering or prefix,
            "longer_match": "1" if longer else "0",
            "shorter_match": "1" if shorter or covering else "0",
            "count": "",
            "start_routing_table": "",
            "start_routing_instance": "",
            "start_prefix": "",
            "source": source,
            "protocol": protocol,
            "family": family,
        },
    )
    since = _since(last)
    mode = "raw" if raw else "detail" if detail else ""
    typer.echo(routes_text(list(rows(answer, "ShowRouteTable")), since, mode), nl=False)


def _host_prefix(text: str) -> str:
    """``10.0.0.1`` as ``10.0.0.1/32``; empty for what is not an address."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return f"{address}/{address.max_prefixlen}"


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _since(text: str) -> timedelta | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a number followed by s, m, h, d or w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def routes_text(
    found: Sequence[Element],
    since: timedelta | None = None,
    mode: str = "",
    now: datetime | None = None,
) -> str:
    """Tables of routes as text. ``since``: only what changed in that time; ``mode``: detail, raw.

    ``now`` is naive UTC, as the time stamps of answers are.
    """
    now = now or datetime.now(UTC).replace(tzinfo=None)
    out = ""
    titled = set()
    for each in found:
        title = each.findtext("routing_table_name") or ""
        if title not in titled:
            titled.add(title)
            out += (
                f"\n{title}: {each.findtext('prefixes')} destinations, "
                f"{each.findtext('paths')} routes ({each.findtext('primary_paths')} primary, "
                f"{each.findtext('secondary_paths')} secondary, "
                f"{each.findtext('infeasible_paths')} infeasible)\n"
            )
        out += "".join(_route_text(one, since, mode, now) for one in each.iter("ShowRoute"))
    return out


def _route_text(one: Element, since: timedelta | None, mode: str, now: datetime) -> str:
    changed = one.findtext("last_modified") or ""
    paths = list(one.iter("ShowRoutePath"))
    if since is not None and _age(changed, now) > since:
        paths = [path for path in paths if _age(path.findtext("last_modified"), now) <= since]
    if not paths:
        return ""
    text = f"\n{one.findtext('prefix')}, age: {_age_text(changed, now)}, last_modified: {changed}\n"
    return text + "".join(_path_text(path, mode, now) for path in paths)


def _path_text(path: Element, mode: str, now: datetime) -> str:
    if mode == "raw":
        return "".join(dump(child, "    ") for child in path)

    def field(tag: str) -> str | None:
        return path.findtext(tag) or None

    def items(tag: str) -> list[str]:
        return [element.text or "" for element in path.iterfind(f"{tag}/list/element")]

    changed = field("last_modified") or ""
    text = (
        f"    [{field('protocol')}|{field('source')}] age: {_age_text(changed, now)}, "
        f"localpref: {field('local_preference')}, nh: {field('next_hop')}, "
        f"encap: {items('tunnel_encap')}, label: {field('label')}, AS path: {field('as_path')}\n"
    )
    if mode == "detail":
        text += (
            f"        primary table: {field('primary_table')}, "
            f"origin vn: {field('origin_vn')}, origin_vn_path: {items('origin_vn_path')}\n"
            f"        communities: {items('communities')}\n"
            f"        last modified: {changed}\n"
        )
    return text


_STAMP = "%Y-%b-%d %H:%M:%S.%f"


def _age(stamp: str | None, now: datetime) -> timedelta:
    try:
        return now - datetime.strptime(stamp or "", _STAMP)
    except ValueError:
        return timedelta(0)


def _age_text(stamp: str, now: datetime) -> str:
    return str(_age(stamp, now)).replace(",", "")
