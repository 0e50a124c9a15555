"""``tungsten vr``: what the agent of a host knows, printed as ist.py prints it.

Asks the agent's introspect (port 8085), which answers from what it writes into the kernel.
"""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Annotated
from xml.etree.ElementTree import Element

import typer

from tungsten.cli.answers import DEFAULT_WIDTH, dump
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

PORT = 8085

app = typer.Typer(no_args_is_help=True, help="Ask the agent of a host (introspect, port 8085).")
add_common_commands(app)

INTERFACE = (
    "index",
    "name",
    "active",
    "mac_addr",
    "ip_addr",
    "mdata_ip_addr",
    "vm_name",
    "vn_name",
)
NETWORK = ("name", "uuid", "layer2_forwarding", "ipv4_forwarding", "enable_rpf", "bridging")
VRF = ("name", "ucindex", "mcindex", "brindex", "evpnindex", "vxlan_id", "vn")
NEXT_HOP = ("type", "nh_index", "policy", "itf", "mac", "vrf", "valid", "ref_count", "mc_list")
SESSION = (
    "controller_ip",
    "state",
    "peer_name",
    "peer_address",
    "cfg_controller",
    "flap_count",
    "flap_time",
)

REQUESTS = {
    "inet": ("Inet4UcRouteReq", "RouteUcSandeshData"),
    "inet6": ("Inet6UcRouteReq", "RouteUcSandeshData"),
    "bridge": ("BridgeRouteReq", "RouteL2SandeshData"),
    "layer2": ("Layer2RouteReq", "RouteL2SandeshData"),
    "evpn": ("EvpnRouteReq", "RouteEvpnSandeshData"),
}


@app.callback()
def process(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(envvar="INTROSPECT_HOST", help="Host of the agent.")
    ] = None,
    port: Annotated[int, typer.Option(envvar="INTROSPECT_PORT", help="Its introspect port.")] = (
        PORT
    ),
) -> None:
    """Ask the agent of a host (introspect, port 8085)."""
    choose(context, host or "127.0.0.1", port, host is not None)


@app.command("intf")
def interfaces(
    context: typer.Context,
    search: Search = "",
    name: Annotated[str, typer.Option("-n", "--name", help="Interface name.")] = "",
    uuid: Annotated[str, typer.Option("-u", "--uuid", help="Interface uuid.")] = "",
    network: Annotated[str, typer.Option("-v", "--vn", help="Virtual network.")] = "",
    mac: Annotated[str, typer.Option("-m", "--mac", help="MAC.")] = "",
    address: Annotated[str, typer.Option("-i", "--ipv4", help="IPv4 address.")] = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Interfaces of the host."""
    answer = ask(
        context,
        "ItfReq",
        {
            "name": name,
            "type": "",
            "uuid": uuid,
            "vn": network,
            "mac": mac,
            "ipv4_address": address,
        },
    )
    found = [row for row in rows(answer, "ItfSandeshData") if search in "".join(row.itertext())]
    show(found, Look.of(form, columns, width), INTERFACE)


@app.command("vn")
def networks(
    context: typer.Context,
    name: Search = "",
    uuid: Annotated[str, typer.Option("-u", "--uuid", help="Network uuid.")] = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Virtual networks that have something on this host."""
    found = list(rows(ask(context, "VnListReq", {"name": name, "uuid": uuid}), "VnSandeshData"))
    show(found, Look.of(form, columns, width), NETWORK)


@app.command("vrf")
def vrfs(
    context: typer.Context,
    name: Search = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """VRFs and the indices of their tables."""
    found = list(rows(ask(context, "VrfListReq", {"name": name}), "VrfSandeshData"))
    show(found, Look.of(form, columns, width), VRF)


@app.command("nh")
def next_hops(
    context: typer.Context,
    index: Annotated[str, typer.Argument(help="Next hop id.")] = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Next hops."""
    wanted = {"nh_index": index} if index else {}
    found = list(rows(ask(context, "NhListReq", {"type": "", **wanted}), "NhSandeshData"))
    show(found, Look.of(form, columns, width), NEXT_HOP)


@app.command("mpls")
def labels(
    context: typer.Context,
    label: Annotated[str, typer.Argument(help="A label.")] = "",
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Labels that this host gave out."""
    wanted = {"label": label} if label else {}
    found = list(rows(ask(context, "MplsReq", {"type": "", **wanted}), "MplsSandeshData"))
    show(found, Look.of(form, columns, width), ("label", "type", "nh"))


@app.command("xmpp")
def sessions(
    context: typer.Context,
    form: FormOption = Form.table,
    columns: ColumnsOption = None,
    width: WidthOption = DEFAULT_WIDTH,
) -> None:
    """Sessions with control nodes."""
    found = list(rows(ask(context, "AgentXmppConnectionStatusReq"), "AgentXmppData"))
    show(found, Look.of(form, columns, width), SESSION)


@app.command("route")
def routes(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(help="An address: the routes that contain it. Else a part of a MAC.")
    ] = "",
    vrf: Annotated[int, typer.Option("-v", "--vrf", min=0, help="VRF index, from `vr vrf`.")] = 0,
    family: Annotated[
        str, typer.Option("-f", "--family", help="inet, inet6, bridge, layer2 or evpn.")
    ] = "",
    prefix: Annotated[str, typer.Option("-p", "--prefix", help="Exactly this prefix.")] = "",
    detail: Annotated[bool, typer.Option("-d", "--detail", help="More of each path.")] = False,
    raw: Annotated[bool, typer.Option("-r", "--raw", help="All of each route.")] = False,
) -> None:
    """Routes of a VRF, with their next hops."""
    family = family or _family_of(address)
    if family not in REQUESTS:
        raise typer.BadParameter(f"family {family!r} is not one of {', '.join(REQUESTS)}")
    request, row = REQUESTS[family]
    wanted = {"vrf_index": str(vrf)}
    if family.startswith("inet"):
        host, _, length = prefix.partition("/")
        wanted |= {"src_ip": host, "prefix_len": length, "stale": ""}
    answer = ask(context, request, wanted)
    mode = "raw" if raw else "detail" if detail else ""
    typer.echo(routes_text(list(rows(answer, row)), address, mode), nl=False)


def _family_of(address: str) -> str:
    try:
        return "inet6" if ip_address(address).version == 6 else "inet"
    except ValueError:
        return "inet"


def routes_text(found: Sequence[Element], address: str = "", mode: str = "") -> str:
    """Routes as text: those that contain ``address``, or whose MAC or prefix has it as a part."""
    out = ""
    for one in found:
        name = _name(one)
        if address and not _matches(name, address):
            continue
        if mode == "raw":
            out += dump(one).rstrip() + "\n"
            continue
        out += name + "\n"
        out += "".join(_path_text(path, mode) for path in one.iter("PathSandeshData"))
    return out


def _name(one: Element) -> str:
    if one.find("src_ip") is not None:
        return f"{one.findtext('src_ip')}/{one.findtext('src_plen')}"
    return one.findtext("mac") or ""


def _matches(name: str, address: str) -> bool:
    try:
        return ip_address(address) in ip_network(name, strict=False)
    except ValueError:
        return address in name


def _path_text(path: Element, mode: str) -> str:
    hop = path.find("nh/NhSandeshData")
    if hop is None:
        hop = Element("NhSandeshData")
    preference = path.findtext("path_preference_data/PathPreferenceSandeshData/preference")
    text = f"    [{path.findtext('peer')}] pref:{preference}\n     {_hop_text(path, hop)}"
    text += (
        f"nh_index:{hop.findtext('nh_index')} , nh_type:{hop.findtext('type') or None}, "
        f"nh_policy:{hop.findtext('policy', '')}, "
        f"active_label:{path.findtext('active_label')}, vxlan_id:{path.findtext('vxlan_id')}\n"
    )
    if mode == "detail":
        text += (
            f"     dest_vn:{_items(path, 'dest_vn_list')}, sg:{_items(path, 'sg_list')}, "
            f"communities:{_items(path, 'communities')}\n"
        )
    return text


def _items(path: Element, tag: str) -> list[str]:
    return [element.text or "" for element in path.iterfind(f"{tag}/list/element")]


def _hop_text(path: Element, hop: Element) -> str:
    """How a packet goes, by the kind of the next hop; empty for kinds that lead nowhere."""
    kind = hop.findtext("type") or ""
    mac, device = hop.findtext("mac") or None, hop.findtext("itf") or None
    label = path.findtext("label")
    if kind == "interface":
        return f"to {mac} via {device}, assigned_label:{label}, "
    if kind == "tunnel":
        to = f"to {mac} " if hop.find("mac") is not None else ""
        return (
            f"{to}via {hop.findtext('tunnel_type')} dip:{hop.findtext('dip')} "
            f"sip:{hop.findtext('sip')} label:{label}, "
        )
    if kind == "receive":
        return f"via {device}, "
    if kind == "arp":
        return f"via {mac}, "
    if "Composite" in kind:
        return f"via {[each.text for each in hop.iter('itf') if each.text]}, "
    if "vlan" in kind:
        return f"to {mac} via {device}, "
    return ""
