"""Interfaces and networks of the agent's introspect.

An interface that is not active says why, in the words operators know. One whose configuration
is incomplete has no vif yet; it is listed too, with what it waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from tungsten.agent.introspect_hops import FABRIC_VRF, NO_LABEL, Shown
from tungsten.agent.introspect_structs import (
    AllowedAddressPairSandesh,
    ItfReq,
    ItfSandeshData,
    VnIpamData,
    VnListReq,
    VnSandeshData,
)
from tungsten.agent.oper import Interface, Oper, Vrf
from tungsten.datapath.abi import VifFlag, VifType
from tungsten.datapath.records import Vif

_HOST_TYPES = {VifType.PHYSICAL: "eth", VifType.AGENT: "packet", VifType.HOST: "inet"}
NO_ID = -1
NO_ADDRESS = str(IPv4Address(0))


def interface_rows(shown: Shown, form: ItfReq) -> list[ItfSandeshData]:
    """The interfaces a request asks for, by vif id; those that wait come last."""
    found = [_host_interface(vif) for vif in _host_vifs(shown)]
    numbers = shown.ids["vif"].by_key
    vmis = sorted(shown.oper.interfaces, key=lambda vmi: numbers.get(vmi, NO_ID))
    found += [_interface(shown, shown.oper.interfaces[vmi]) for vmi in vmis]
    found += [_waiting(vmi, reason) for vmi, reason in sorted(shown.oper.waiting.items())]
    return [each for each in found if _is_wanted(each, form)]


def _is_wanted(each: ItfSandeshData, form: ItfReq) -> bool:
    return (
        form.name in each.name
        and form.type in each.type
        and form.uuid in ("", each.uuid)
        and form.vn in each.vn_name
        and form.mac.lower() in ("", each.mac_addr)
        and form.ipv4_address in ("", each.ip_addr)
    )


def _host_vifs(shown: Shown) -> Sequence[Vif]:
    return [vif for _, vif in sorted(shown.tables.vifs.items()) if vif.type is not VifType.VIRTUAL]


def _host_interface(vif: Vif) -> ItfSandeshData:
    return ItfSandeshData(
        index=vif.id,
        name=vif.name,
        vrf_name=FABRIC_VRF,
        active="Active",
        ipv4_active="Active",
        l2_active="L2 Active",
        ip6_active="Ipv6 Inactive < l3-disabled  >",
        dhcp_service="Disable",
        dns_service="Disable",
        type=_HOST_TYPES.get(vif.type, ""),
        policy="Disable",
        os_ifindex=vif.ifindex,
        admin_state="Enabled",
    )


def _interface(shown: Shown, interface: Interface) -> ItfSandeshData:
    vif_id = shown.ids["vif"].by_key.get(interface.vmi, NO_ID)
    vif = shown.tables.vifs.get(vif_id)
    vrf = shown.oper.vrfs[interface.vrf]
    flags = vif.flags if vif is not None else VifFlag(0)
    return ItfSandeshData(
        index=vif_id,
        name=interface.device_name,
        uuid=interface.vmi,
        vrf_name=interface.vrf,
        active=_state("", _reasons(interface, layer2=None)),
        ipv4_active=_state("", _v4_reasons(interface)),
        l2_active=_state("L2 ", _reasons(interface, layer2=True)),
        ip6_active=_state("Ipv6 ", _v6_reasons(interface)),
        dhcp_service="Enable" if flags & VifFlag.DHCP else "Disable",
        dns_service="Disable",
        type="vport",
        label=shown.label(interface, layer2=False),
        l2_label=shown.label(interface, layer2=True),
        vxlan_id=vrf.vni,
        vn_name=vrf.network,
        vm_uuid=interface.vm,
        vm_name=interface.vm_name,
        ip_addr=str(interface.ip or NO_ADDRESS),
        mac_addr=interface.mac,
        policy="Enable" if interface.policy else "Disable",
        os_ifindex=interface.device.ifindex if interface.device is not None else 0,
        config_name=interface.name,
        admin_state="Enabled" if interface.up else "Disabled",
        flow_key_idx=vif.nh_id if vif is not None else 0,
        allowed_address_pair_list=[
            AllowedAddressPairSandesh(
                ip_addr=str(network.network_address), prefix_len=network.prefixlen, mac=mac
            )
            for network, mac in interface.allowed_pairs
        ],
        ip6_addr=str(interface.ip6 or "::"),
        local_preference=interface.local_preference,
        flood_unknown_unicast=vrf.flood_unknown,
    )


def _waiting(vmi: str, reason: str) -> ItfSandeshData:
    """An interface without its configuration."""
    return ItfSandeshData(
        index=NO_ID,
        name="",
        uuid=vmi,
        active=_state("", [reason]),
        ipv4_active=_state("", [reason]),
        l2_active=_state("L2 ", [reason]),
        ip6_active=_state("Ipv6 ", [reason]),
        dhcp_service="Disable",
        dns_service="Disable",
        type="vport",
        label=NO_LABEL,
        l2_label=NO_LABEL,
    )


def _state(prefix: str, reasons: Sequence[str]) -> str:
    """``Active``, or ``Inactive < reason reason  >``; two blanks before the end."""
    if not reasons:
        return f"{prefix}Active"
    return f"{prefix}Inactive < {' '.join(reasons)}  >"


def _down_reasons(interface: Interface) -> list[str]:
    if interface.device is None:
        return ["no-dev"]
    if not interface.device.up:
        return ["os-state-down"]
    return [] if interface.up else ["admin-down"]


def _reasons(interface: Interface, *, layer2: bool | None) -> list[str]:
    """Why it is not active: for frames (True), or at all (None)."""
    reasons = _down_reasons(interface)
    if layer2 is None:
        if not reasons and not interface.l2_active and not interface.l3_active:
            reasons = ["ipv4_inactive", "l2_inactive"]
    elif not interface.layer2:
        reasons.append("l2-disabled")
    return reasons


def _v4_reasons(interface: Interface) -> list[str]:
    reasons = _down_reasons(interface)
    if not interface.layer3:
        reasons.append("l3-disabled")
    elif interface.ip is None:
        reasons.append("no-ipv4-addr")
    return reasons


def _v6_reasons(interface: Interface) -> list[str]:
    """IPv6 is bridged, not routed: an interface is never active for it."""
    return [*_down_reasons(interface), "no-ipv6-addr" if interface.ip6 is None else "l3-disabled"]


def network_rows(oper: Oper, form: VnListReq) -> list[Vrf]:
    """The networks a request asks for, by name."""
    found = sorted(oper.vrfs.values(), key=lambda vrf: (vrf.network, vrf.name))
    return [
        vrf for vrf in found if form.name in vrf.network and form.uuid in ("", vrf.network_uuid)
    ]


def show_network(vrf: Vrf) -> VnSandeshData:
    """A virtual network, with its subnets."""
    ipam = vrf.ipams[0].name if vrf.ipams else ""
    return VnSandeshData(
        name=vrf.network,
        uuid=vrf.network_uuid,
        vrf_name=vrf.name,
        ipam_data=[
            VnIpamData(
                ip_prefix=str(subnet.prefix.network_address),
                prefix_len=subnet.prefix.prefixlen,
                gateway=str(subnet.gateway or ""),
                ipam_name=ipam,
                dhcp_enable="true" if subnet.dhcp else "false",
                dns_server=str(subnet.service or ""),
            )
            for subnet in vrf.subnets
        ],
        layer2_forwarding=vrf.layer2,
        ipv4_forwarding=vrf.layer3,
        vxlan_id=vrf.vni,
        bridging=vrf.layer2,
        flood_unknown_unicast=vrf.flood_unknown,
    )
