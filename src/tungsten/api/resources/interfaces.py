"""Rules of virtual-machine-interface: MAC addresses, bindings, sub-interfaces, address pairs."""

from __future__ import annotations

import re
from typing import Any

from tungsten.api.errors import BadRequest, Conflict, echo, name_list
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.port_groups import join_group, leave_groups, rejoin_group
from tungsten.api.resources.subnet_sources import own_subnets
from tungsten.api.transactions import Write
from tungsten.model import (
    InstanceIp,
    LogicalRouter,
    Ref,
    VirtualMachine,
    VirtualMachineInterface,
    VirtualNetwork,
    VirtualRouter,
)
from tungsten.model.addressing import MacAddressesType
from tungsten.model.common import KeyValuePair
from tungsten.model.health import ServiceHealthCheck
from tungsten.store.records import from_record

HIGHEST_VLAN = 4094
MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
SYSTEM_CONFIG = "default-global-system-config"


# -- MAC addresses --------------------------------------------------------------------------


def mac_of_uuid(uuid: str) -> str:
    """The MAC address of a port that asks for none: ``02:`` and the first five octets of its uuid.

    Locally administered, unicast; two ports have the same only if their uuids begin alike.
    """
    digits = uuid.replace("-", "")
    return ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])


def settle_mac(write: Write, port: VirtualMachineInterface) -> None:
    """A new port has the MAC addresses it asks for, or one made of its uuid."""
    asked = port.virtual_machine_interface_mac_addresses
    macs = [check_mac(mac) for mac in (asked.mac_address if asked else None) or []]
    port.virtual_machine_interface_mac_addresses = MacAddressesType(
        mac_address=macs or [mac_of_uuid(port.uuid)]
    )


def check_mac(text: str) -> str:
    """A MAC address as it is stored, with colons. Raises BadRequest for what is none."""
    mac = text.replace("-", ":")
    if not MAC.fullmatch(mac):
        raise BadRequest(f"'{echo(text)}' is no MAC address, expected xx:xx:xx:xx:xx:xx")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise BadRequest(f"MAC address '{mac}' cannot be that of one port")
    return mac


def keep_mac_form(write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface) -> None:
    """Changed MAC addresses are checked; a port is never left without one."""
    if new.virtual_machine_interface_mac_addresses != old.virtual_machine_interface_mac_addresses:
        settle_mac(write, new)


# -- the network ----------------------------------------------------------------------------


def need_network(write: Write, port: VirtualMachineInterface) -> None:
    """A port is in a network."""
    if not port.virtual_network_refs:
        raise BadRequest(
            f"virtual-machine-interface {name_list(port.fq_name)} needs virtual_network_refs: "
            "the virtual-network that it is in"
        )


def still_need_network(
    write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface
) -> None:
    """A port stays in a network."""
    need_network(write, new)


# -- bindings -------------------------------------------------------------------------------


def bindings(port: VirtualMachineInterface) -> dict[str, str | None]:
    """The bindings of a port as a mapping."""
    pairs = port.virtual_machine_interface_bindings
    return {
        pair.key: pair.value for pair in (pairs.key_value_pair if pairs else None) or [] if pair.key
    }


def settle_bindings(write: Write, port: VirtualMachineInterface) -> None:
    """Complete the bindings of a new port that has some: what kind of port it is.

    A ``direct`` port of a provider network is a virtual function with its VLAN; a port of a
    host whose datapath runs in user space is a vhost-user socket; any other is a normal port,
    whose ``vif_type`` is not kept.
    """
    pairs = port.virtual_machine_interface_bindings
    if pairs is None:
        return
    given = bindings(port)
    given.setdefault("vnic_type", "normal")
    network = write.load(VirtualNetwork, port.virtual_network_refs[0].uuid)
    provider = network.provider_properties if network else None
    if given["vnic_type"] == "direct" and provider is not None:
        given["vif_type"] = "hw_veb"
        given["vif_details"] = f'{{"port_filter": true, "vlan": "{provider.segmentation_id}"}}'
    elif _on_dpdk_host(write, given.get("host_id")):
        given["vif_type"] = "vhostuser"
        given["vif_details"] = (
            '{"vhostuser_mode": "server", "vhostuser_socket": '
            f'"/var/run/vrouter/uvh_vif_tap{port.uuid[:11]}", "vhostuser_vrouter_plug": true}}'
        )
    else:
        given.pop("vif_type", None)
    pairs.key_value_pair = [KeyValuePair(key=key, value=value) for key, value in given.items()]


def _router_of_host(write: Write, host: str | None) -> VirtualRouter | None:
    if not host:
        return None
    record = write.tx.find("virtual-router", (SYSTEM_CONFIG, host))
    return write.load(VirtualRouter, record.uuid) if record is not None else None


def _on_dpdk_host(write: Write, host: str | None) -> bool:
    router = _router_of_host(write, host)
    return router is not None and bool(router.virtual_router_dpdk_enabled)


def keep_vnic_type(
    write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface
) -> None:
    """The kind of a port stays while it is bound to a host or a workload."""
    before, after = bindings(old), bindings(new)
    if before.get("vnic_type", "normal") == after.get("vnic_type", "normal"):
        return
    if old.virtual_machine_refs or before.get("host_id"):
        raise Conflict("Vnic_type can not be modified when port is linked to Vrouter or VM.")


def link_direct_workload(
    write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface
) -> None:
    """The router of a host refers to the workloads of its ``direct`` ports."""
    before, after = _direct(old), _direct(new)
    if before == after:
        return
    if before is not None:
        _unlink(write, before)
    if after is not None:
        router = _router_of_host(write, after[0])
        workload = write.load(VirtualMachine, after[1])
        if router is not None and workload is not None:
            _set_workload(write, router, workload, linked=True)


def _direct(port: VirtualMachineInterface) -> tuple[str, str] | None:
    """The host and workload of a direct port that is bound."""
    given = bindings(port)
    host = given.get("host_id")
    if given.get("vnic_type") != "direct" or not host or not port.virtual_machine_refs:
        return None
    return host, port.virtual_machine_refs[0].uuid


def _unlink(write: Write, bound: tuple[str, str]) -> None:
    router = _router_of_host(write, bound[0])
    workload = write.load(VirtualMachine, bound[1])
    if router is not None and workload is not None:
        _set_workload(write, router, workload, linked=False)


def _set_workload(
    write: Write, router: VirtualRouter, workload: VirtualMachine, *, linked: bool
) -> None:
    record = write.tx.get(router.uuid)
    assert record is not None
    refs = [ref for ref in router.virtual_machine_refs if ref.uuid != workload.uuid]
    if linked:
        refs.append(Ref(list(workload.fq_name), workload.uuid))
    router.virtual_machine_refs = refs
    write.touch(router)
    write.save(router, record)


def unlink_direct_workload(write: Write, port: VirtualMachineInterface) -> None:
    """With a direct port goes what its host's router says of its workload."""
    bound = _direct(port)
    if bound is not None:
        _unlink(write, bound)


# -- sub-interfaces -------------------------------------------------------------------------


def vlan_tag(port: VirtualMachineInterface) -> int:
    """The VLAN of a sub-interface; 0 for what is none."""
    properties = port.virtual_machine_interface_properties
    return (properties.sub_interface_vlan_tag if properties else None) or 0


def check_sub_interface(write: Write, port: VirtualMachineInterface) -> None:
    """A sub-interface has a VLAN of its own on a port that is no sub-interface itself."""
    tag = vlan_tag(port)
    if not 0 <= tag <= HIGHEST_VLAN:
        raise BadRequest(f"Invalid sub-interface VLAN tag ID: {tag}")
    if not tag:
        return
    for ref in port.virtual_machine_interface_refs:
        primary = write.load(VirtualMachineInterface, ref.uuid)
        if primary is None:
            continue
        if vlan_tag(primary):
            raise BadRequest("sub interface can't have another sub interface as it's primary port")
        for other in _sub_interfaces(write, primary):
            if other.uuid != port.uuid and vlan_tag(other) == tag:
                raise BadRequest(
                    "Two sub interfaces under same primary port can't have same Vlan tag"
                )


def _sub_interfaces(
    write: Write, primary: VirtualMachineInterface
) -> list[VirtualMachineInterface]:
    holders = write.referrers(VirtualMachineInterface, primary.uuid, "virtual-machine-interface")
    held = (
        write.load(VirtualMachineInterface, r.uuid) for r in primary.virtual_machine_interface_refs
    )
    found = {one.uuid: one for one in (*holders, *held) if one is not None and vlan_tag(one)}
    return list(found.values())


def keep_vlan_tag(write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface) -> None:
    """The VLAN of a sub-interface stays once it is linked to its port."""
    if vlan_tag(old) != vlan_tag(new) and old.virtual_machine_interface_refs:
        raise BadRequest("Cannot change sub-interface VLAN tag ID")
    if new.virtual_machine_interface_refs != old.virtual_machine_interface_refs:
        check_sub_interface(write, new)


def refuse_primary_with_sub_interfaces(write: Write, port: VirtualMachineInterface) -> None:
    """A port goes after its sub-interfaces."""
    if not vlan_tag(port) and _sub_interfaces(write, port):
        raise Conflict("Cannot delete vmi with existing ref to sub interface")


# -- address pairs and use ------------------------------------------------------------------


def check_address_pairs(write: Write, port: VirtualMachineInterface) -> None:
    """Address pairs loosen port security, so they need it."""
    pairs = port.virtual_machine_interface_allowed_address_pairs
    if port.port_security_enabled is False and pairs is not None and pairs.allowed_address_pair:
        raise BadRequest("Allowed address pairs are not allowed when port security is disabled")


def refuse_workload_on_router_port(
    write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface
) -> None:
    """A port of a logical router, or one with a gateway's address, takes no workload."""
    if old.virtual_machine_refs or not new.virtual_machine_refs:
        return
    if any(True for _ in write.referrers(LogicalRouter, new.uuid, "logical-router")):
        raise BadRequest("Logical router interface cannot be used by VM")
    for record in write.tx.referrers(new.uuid, "instance-ip"):
        ip = from_record(record)
        if isinstance(ip, InstanceIp) and _is_gateway(write, ip):
            raise BadRequest("Gateway IP cannot be used by VM port")


def _is_gateway(write: Write, ip: InstanceIp) -> bool:
    for ref in ip.virtual_network_refs:
        network = write.load(VirtualNetwork, ref.uuid)
        for held in own_subnets(network) if network is not None else []:
            if str(held.subnet.gateway) == ip.instance_ip_address:
                return True
    return False


def check_health_checks(write: Write, port: VirtualMachineInterface) -> None:
    """The host checks the port itself; other checks are for the ports of services."""
    if port.port_tuple_refs:
        return
    for ref in port.service_health_check_refs:
        check = write.load(ServiceHealthCheck, ref.uuid)
        properties = check.service_health_check_properties if check is not None else None
        kind = (properties.health_check_type if properties else None) or "link-local"
        if kind != "link-local":
            raise BadRequest(
                f"Virtual machine interface {name_list(port.fq_name)} refers to service health "
                f"check {name_list(ref.to)} of type {kind}, which is for service instances; "
                "link-local is accepted"
            )


def check_bridge_domains(write: Write, port: VirtualMachineInterface) -> None:
    """The bridge domains of a port are of its network, one for each VLAN."""
    networks = {tuple(ref.to) for ref in port.virtual_network_refs}
    vlans = set()
    for ref in port.bridge_domain_refs:
        if tuple(ref.to[:-1]) not in networks:
            raise BadRequest(
                f"Bridge domain {name_list(ref.to)} is not of a virtual network of interface "
                f"{name_list(port.fq_name)}"
            )
        vlan = (ref.attr.vlan_tag if ref.attr is not None else None) or 0
        if vlan in vlans:
            raise BadRequest(
                f"Interface {name_list(port.fq_name)} has several bridge domains with VLAN {vlan}"
            )
        vlans.add(vlan)


def _checks_after(write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface) -> None:
    for check in (check_address_pairs, check_health_checks, check_bridge_domains):
        check(write, new)


HOOKS: dict[str, Hooks[Any]] = {
    "virtual-machine-interface": Hooks[VirtualMachineInterface](
        create=(
            need_network,
            settle_mac,
            settle_bindings,
            check_sub_interface,
            check_address_pairs,
            check_health_checks,
            check_bridge_domains,
            join_group,
        ),
        update=(
            still_need_network,
            keep_mac_form,
            keep_vnic_type,
            keep_vlan_tag,
            _checks_after,
            refuse_workload_on_router_port,
            link_direct_workload,
            rejoin_group,
        ),
        delete=(refuse_primary_with_sub_interfaces, unlink_direct_workload, leave_groups),
    ),
}
