"""What the agent shows of itself: interfaces, networks, VRFs, routes, next hops, labels, sessions.

Tables are shown from what the agent wrote into the datapath (``Writer.held``), names from
operational state: the same objects that forwarding is made from. Every table answer is a series
of messages of up to 100 rows and a ``Pagination``; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tungsten.agent.agent import Agent
from tungsten.agent.channel import Controls, ControlSession
from tungsten.agent.introspect_hops import FABRIC_VRF, Shown
from tungsten.agent.introspect_interfaces import interface_rows, network_rows, show_network
from tungsten.agent.introspect_routes import route_tables
from tungsten.agent.introspect_structs import (
    AgentXmppConnectionStatus,
    AgentXmppConnectionStatusReq,
    AgentXmppData,
    ItfReq,
    ItfResp,
    MplsReq,
    MplsResp,
    MplsSandeshData,
    NhListReq,
    NhListResp,
    VnListReq,
    VnListResp,
    VrfListReq,
    VrfListResp,
    VrfSandeshData,
    VxLanReq,
    VxLanResp,
    VxLanSandeshData,
)
from tungsten.agent.oper import Vrf
from tungsten.datapath.abi import NhFlag
from tungsten.introspect import (
    AnyRequest,
    ConnectionInfo,
    NodeStatus,
    NodeStatusUVE,
    PagedTable,
    Request,
    Traces,
    UveCache,
    common_requests,
    page_request,
    process_status,
)
from tungsten.introspect.paging import form_of
from tungsten.introspect.status import DOWN, UP

MODULE = "contrail-vrouter-agent"
CONTROL_NAME = "network-control@contrailsystems.com"


@dataclass
class AgentView:
    """The live state that is shown."""

    name: str
    agent: Agent
    controls: Controls
    traces: Traces = field(default_factory=Traces)
    uves: UveCache = field(default_factory=UveCache)

    def shown(self) -> Shown:
        """The state of this moment."""
        return Shown(self.agent.oper, self.agent.writer.held, self.agent.ids)


def agent_requests(view: AgentView) -> list[AnyRequest]:
    """Every request that an agent answers."""
    tables: list[PagedTable[Any, Any]] = [
        _interfaces(view),
        _networks(view),
        _vrfs(view),
        _next_hops(view),
        _labels(view),
        _vnis(view),
        *route_tables(view.agent, view.controls),
    ]
    return [
        *common_requests(lambda: node_status(view), view.uves, view.traces),
        *(table.request() for table in tables),
        page_request(tables),
        Request(AgentXmppConnectionStatusReq, lambda _: _sessions(view), "controller"),
    ]


# --- status and sessions


def node_status(view: AgentView) -> NodeStatusUVE:
    """Does the agent have what it needs: a control, its configuration, a working datapath?"""
    connections = [
        ConnectionInfo(
            type="XMPP",
            name=f"control-node:{session.endpoint.host}",
            server_addrs=[f"{session.endpoint.host}:{session.endpoint.port}"],
            status=UP if session.established else DOWN,
            description="Established" if session.established else "Connect",
        )
        for session in view.controls.sessions
    ]
    problems = [] if connections else ["No control-nodes configured"]
    if not view.agent.config_complete:
        problems.append("No Configuration for self")
    failures = view.agent.last_result.failures
    if failures:
        problems.append(f"{len(failures)} datapath writes failed: {failures[0]}")
    status = process_status(MODULE, connections, problems)
    return NodeStatusUVE(data=NodeStatus(name=view.name, process_status=[status]))


def _sessions(view: AgentView) -> AgentXmppConnectionStatus:
    return AgentXmppConnectionStatus(peer=[_session(each) for each in view.controls.sessions])


def _session(session: ControlSession) -> AgentXmppData:
    role = "Yes" if session.has_config else "No"
    return AgentXmppData(
        controller_ip=session.endpoint.host,
        state="Established" if session.established else "Connect",
        peer_name=CONTROL_NAME,
        peer_address=session.endpoint.host,
        cfg_controller=role,
        mcast_controller=role,
    )


# --- tables by name


def _named(form: type[Any], name: str) -> Callable[[str, Mapping[str, str]], Any]:
    """Accepts the keys of one table."""
    return lambda table, filters: form_of(form, filters) if table == name else None


def _interfaces(view: AgentView) -> PagedTable[ItfReq, Any]:
    return PagedTable(
        form=ItfReq,
        group="agent",
        table=lambda form: "db.interface.0",
        accepts=_named(ItfReq, "db.interface.0"),
        rows=lambda form: interface_rows(view.shown(), form),
        message=lambda rows: ItfResp(itf_list=rows),
    )


def _networks(view: AgentView) -> PagedTable[VnListReq, Vrf]:
    return PagedTable(
        form=VnListReq,
        group="agent",
        table=lambda form: "db.vn.0",
        accepts=_named(VnListReq, "db.vn.0"),
        rows=lambda form: network_rows(view.agent.oper, form),
        message=lambda rows: VnListResp(vn_list=[show_network(row) for row in rows]),
    )


def _vrfs(view: AgentView) -> PagedTable[VrfListReq, str]:
    def rows(form: VrfListReq) -> list[str]:
        names = [FABRIC_VRF, *sorted(view.agent.oper.vrfs)]
        return [name for name in names if form.name in name]

    def message(names: Sequence[str]) -> VrfListResp:
        shown = view.shown()
        return VrfListResp(vrf_list=[_vrf(view, shown, name) for name in names])

    return PagedTable(
        form=VrfListReq,
        group="agent",
        table=lambda form: "db.vrf.0",
        accepts=_named(VrfListReq, "db.vrf.0"),
        rows=rows,
        message=message,
    )


def _vrf(view: AgentView, shown: Shown, name: str) -> VrfSandeshData:
    number = shown.vrf_number(name)
    index = number if number is not None else -1
    vrf = shown.oper.vrfs.get(name)
    return VrfSandeshData(
        name=name,
        ucindex=index,
        mcindex=index,
        l2index=index,
        uc6index=index,
        vn=vrf.network if vrf is not None else "N/A",
        vxlan_id=vrf.vni if vrf is not None else 0,
        evpnindex=index,
        brindex=index,
        RD=f"{view.agent.settings.address}:{index}",
    )


def _next_hops(view: AgentView) -> PagedTable[NhListReq, tuple[Shown, int]]:
    def rows(form: NhListReq) -> list[tuple[Shown, int]]:
        shown = view.shown()
        return [
            (shown, number)
            for number, hop in sorted(shown.tables.nexthops.items())
            if form.nh_index in (-1, number)
            and form.type in shown.type_of(hop)
            and form.policy_enabled in ("", _enabled(bool(hop.flags & NhFlag.POLICY)))
        ]

    return PagedTable(
        form=NhListReq,
        group="agent",
        table=lambda form: "db.nexthop.0",
        accepts=_named(NhListReq, "db.nexthop.0"),
        rows=rows,
        message=lambda found: NhListResp(
            nh_list=[shown.next_hop(number) for shown, number in found]
        ),
    )


def _enabled(value: bool) -> str:
    return "enabled" if value else "disabled"


Pointer = tuple[Shown, int, int]
"""The moment, a label or network identifier, and the next hop it points at."""


def _labels(view: AgentView) -> PagedTable[MplsReq, Pointer]:
    def rows(form: MplsReq) -> list[Pointer]:
        shown = view.shown()
        return [
            (shown, label, number)
            for label, number in sorted(shown.tables.labels.items())
            if form.label in (-1, label) and form.type in shown.type_at(number)
        ]

    def row(shown: Shown, label: int, number: int) -> MplsSandeshData:
        hop = shown.next_hop(number)
        return MplsSandeshData(label=label, type=hop.type, nh=hop)

    return PagedTable(
        form=MplsReq,
        group="agent",
        table=lambda form: "db.mpls.0",
        accepts=_named(MplsReq, "db.mpls.0"),
        rows=rows,
        message=lambda found: MplsResp(mpls_list=[row(*each) for each in found]),
    )


def _vnis(view: AgentView) -> PagedTable[VxLanReq, Pointer]:
    def rows(form: VxLanReq) -> list[Pointer]:
        shown = view.shown()
        return [
            (shown, vni, number)
            for vni, number in sorted(shown.tables.vnis.items())
            if form.vxlan_id in (-1, vni)
        ]

    def row(shown: Shown, vni: int, number: int) -> VxLanSandeshData:
        hop = shown.next_hop(number)
        return VxLanSandeshData(vxlan_id=vni, nh=hop, vrf_name=hop.vrf)

    return PagedTable(
        form=VxLanReq,
        group="agent",
        table=lambda form: "db.vxlan.0",
        accepts=_named(VxLanReq, "db.vxlan.0"),
        rows=rows,
        message=lambda found: VxLanResp(vxlan_list=[row(*each) for each in found]),
    )
