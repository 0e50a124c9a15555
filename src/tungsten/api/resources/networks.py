"""Rules of virtual-network and network-ipam: ids, sharing, subnets, configured route targets."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tungsten.api import addresses
from tungsten.api.addresses import HeldSubnet
from tungsten.api.errors import ApiFault, BadRequest, Conflict, Forbidden, name_list
from tungsten.api.ids import VIRTUAL_NETWORK_IDS
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.route_target_lists import normalise_list
from tungsten.api.resources.routed_networks import check_routed
from tungsten.api.resources.subnet_sources import (
    FLAT,
    ipam_subnets,
    is_bare,
    network_label,
    own_specs,
    own_subnets,
    resolved,
)
from tungsten.api.resources.virtual_routers import refuse_used_pools
from tungsten.api.subnets import SubnetError, refuse_change, refuse_overlap
from tungsten.api.transactions import Write
from tungsten.model import LogicalRouter, NetworkIpam, Ref, VirtualNetwork
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.vpns import Bgpvpn

USER_DEFINED = "user-defined-subnet"
"""How an IPAM has subnets that does not say: the networks say them."""

SHARED = 7
EXTERNAL = 5


# -- ids ------------------------------------------------------------------------------------


def give_network_id(write: Write, network: VirtualNetwork) -> None:
    """Every network has an id of its own, given by the system."""
    if network.virtual_network_network_id is not None:
        raise Forbidden("Cannot set the virtual network ID")
    network.virtual_network_network_id = VIRTUAL_NETWORK_IDS.allocate(write.tx, network.uuid)


def keep_network_id(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """The id of a network never changes."""
    if new.virtual_network_network_id != old.virtual_network_network_id:
        raise Forbidden("Cannot update the virtual network ID")


def vxlan_id(network: VirtualNetwork) -> int | None:
    """The VXLAN id that the user chose for a network."""
    properties = network.virtual_network_properties
    return properties.vxlan_network_identifier if properties else None


def take_vxlan_id(write: Write, network: VirtualNetwork) -> None:
    """A VXLAN id chosen by the user comes from the same numbers as the network ids."""
    wanted = vxlan_id(network)
    if wanted and not VIRTUAL_NETWORK_IDS.take(write.tx, wanted, network.uuid):
        raise BadRequest(f"Cannot set VXLAN_ID: {wanted}, it has already been set")


def change_vxlan_id(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """A changed VXLAN id is taken, and the former one is free again."""
    before = vxlan_id(old)
    if before == vxlan_id(new):
        return
    take_vxlan_id(write, new)
    if before:
        VIRTUAL_NETWORK_IDS.release(write.tx, before, new.uuid)


# -- sharing --------------------------------------------------------------------------------


def settle_sharing(write: Write, network: VirtualNetwork) -> None:
    """``is_shared`` of a new network and access for everybody say the same."""
    assert network.perms2 is not None
    if network.perms2.global_access == SHARED:
        network.is_shared = True
    elif network.is_shared:
        network.perms2.global_access = SHARED
    else:
        network.is_shared = False


def settle_changed_sharing(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """``is_shared``, ``router_external`` and access for everybody say the same after a change.

    When one side changes the other follows; when both change they must agree.
    """
    if old.perms2 is None or new.perms2 is None:
        return
    access = new.perms2.global_access or 0
    if access != (old.perms2.global_access or 0):
        for name, level in (("is_shared", SHARED), ("router_external", EXTERNAL)):
            value = getattr(new, name)
            if value != getattr(old, name) and bool(value) != (access == level):
                raise BadRequest(
                    f"Inconsistent {name} ({bool(value)}) and global_access ({access})"
                )
        new.is_shared = access == SHARED
        if access == EXTERNAL or new.router_external:
            new.router_external = access == EXTERNAL
    elif bool(new.is_shared) != bool(old.is_shared):
        new.perms2.global_access = SHARED if new.is_shared else 0
    elif bool(new.router_external) != bool(old.router_external):
        new.perms2.global_access = EXTERNAL if new.router_external else 0


# -- what a network may say -----------------------------------------------------------------


def check_route_targets(write: Write, network: VirtualNetwork) -> None:
    """Configured route targets are well formed and outside the automatic range."""
    for name in ("route_target_list", "import_route_target_list", "export_route_target_list"):
        normalise_list(write, getattr(network, name))
    both = network.route_target_list
    if network.multi_policy_service_chains_enabled and both is not None and both.route_target:
        raise Conflict(
            "Multi policy service chains are not supported, with both import export external "
            "route targets"
        )


def check_provider(write: Write, network: VirtualNetwork) -> None:
    """A provider network says which VLAN of which physical network it is."""
    details = network.provider_properties
    if details is None:
        return
    if details.segmentation_id is None:
        raise BadRequest("Segmenation ID must be configured to create")
    if not details.physical_network:
        raise BadRequest("Physical Network must be configured to create")


def check_provider_links(write: Write, network: VirtualNetwork) -> None:
    """A network may be joined to one provider network, and those not to each other."""
    linked = [write.load(VirtualNetwork, ref.uuid) for ref in network.virtual_network_refs]
    providers = [one for one in linked if one is not None and one.is_provider_network]
    others = [one for one in linked if one is not None and not one.is_provider_network]
    if network.is_provider_network:
        if providers:
            raise BadRequest(
                f"Provider VN ({network.uuid}) can not connect to another provider VN "
                f"({[one.uuid for one in providers]!r})"
            )
    elif others or len(providers) > 1:
        raise BadRequest(
            f"Non Provider VN ({network.uuid}) can connect to one provider VN but trying to "
            f"connect to VN ({[one.uuid for one in linked if one is not None]!r})"
        )


def keep_provider_properties(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """The VLAN of a provider network stays; that of any other may change, and is whole."""
    if old.provider_properties == new.provider_properties:
        return
    if old.is_provider_network and old.provider_properties is not None:
        raise Conflict(f"provider_properties of provider VN ({new.uuid}) can not be updated")
    details = new.provider_properties
    if details is not None and details.segmentation_id is None:
        raise Conflict("Segmenation ID must be configured to update")
    if details is not None and not details.physical_network:
        raise Conflict("Physical Network must be configured to update")


def check_vpns(write: Write, network: VirtualNetwork) -> None:
    """The VPNs of a network carry what it forwards; those of its router are not beside them."""
    properties = network.virtual_network_properties
    mode = (properties.forwarding_mode if properties else None) or "l2_l3"
    for ref in network.bgpvpn_refs:
        vpn = write.load(Bgpvpn, ref.uuid)
        kind = (vpn.bgpvpn_type if vpn else None) or "l3"
        if kind not in mode:
            raise BadRequest(
                f"Cannot associate bgpvpn type '{kind}' with a virtual network in forwarding "
                f"mode '{mode}': {name_list(network.fq_name)}"
            )
    if network.bgpvpn_refs:
        for port in write.tx.referrers(network.uuid, "virtual-machine-interface"):
            for router in write.referrers(LogicalRouter, port.uuid, "logical-router"):
                refuse_vpns_twice(network, router)


def refuse_vpns_twice(network: VirtualNetwork, router: LogicalRouter) -> None:
    """A network and the router that it is behind do not both have VPNs."""
    if network.bgpvpn_refs and router.bgpvpn_refs:
        raise BadRequest(
            f"bgpvpn cannot be set on virtual network {name_list(network.fq_name)} and on "
            f"logical router {name_list(router.fq_name)}, which it is linked to"
        )


def keep_provider(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """A provider network stays one."""
    if old.is_provider_network and not new.is_provider_network:
        raise BadRequest(
            f"Update is_provider_network propertyfrom True to False of VN ({new.uuid}) is not "
            "allowed"
        )


def refuse_system_network(write: Write, network: VirtualNetwork) -> None:
    """The networks of the underlay cannot be deleted."""
    if network.fq_name[-1] in ("ip-fabric", "__link_local__"):
        raise Conflict(f"Can not delete system created default virtual-network {network.uuid}")


# -- subnets --------------------------------------------------------------------------------


def fill_spec(spec: IpamSubnetType, held: HeldSubnet, *, bare: bool) -> None:
    """Write the defaults that were chosen back into a subnet, as clients read them."""
    subnet = held.subnet
    spec.subnet_uuid = subnet.uuid
    if bare:
        spec.default_gateway = spec.dns_server_address = "None"
        return
    unset = "::" if subnet.network.version == 6 else "0.0.0.0"  # noqa: S104 - "no gateway"
    spec.default_gateway = str(subnet.gateway) if subnet.gateway else unset
    spec.dns_server_address = str(subnet.service) if subnet.service else unset


def settle_subnets(write: Write, network: VirtualNetwork) -> None:
    """Complete and check the subnets of a new network."""
    _settle_subnets(write, network, None)


def settle_changed_subnets(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    """Complete and check changed subnets; addresses that are in use keep theirs."""
    if new.network_ipam_refs != old.network_ipam_refs:
        _settle_subnets(write, new, old)


def _settle_subnets(write: Write, network: VirtualNetwork, old: VirtualNetwork | None) -> None:
    before = {one.subnet.cidr: one for one in own_subnets(old)} if old is not None else {}
    for ref in network.network_ipam_refs:
        _settle_ref(write, network, ref)
    label, bare = network_label(network), is_bare(network)
    after = {}
    for spec in own_specs(network):
        known = before.get(resolved(spec, label, bare=bare).cidr)
        if known is not None and not spec.subnet_uuid:
            spec.subnet_uuid = known.subnet.uuid
        held = HeldSubnet(network.uuid, resolved(spec, label, bare=bare))
        if known is not None:
            _keep_subnet(write, known, held, label)
        fill_spec(spec, held, bare=bare)
        if held.subnet.cidr in after:
            _overlap([held, held])
        after[held.subnet.cidr] = held
    flat = [one for ref in network.network_ipam_refs for one in _flat(write, ref)]
    _overlap([*after.values(), *flat])
    for cidr, held in before.items():
        if cidr not in after:
            addresses.refuse_if_used(write.tx, held)


def _keep_subnet(write: Write, known: HeldSubnet, held: HeldSubnet, label: str) -> None:
    try:
        refuse_change(known.subnet, held.subnet, label)
    except SubnetError as error:
        raise ApiFault(error.text, status=error.status) from error
    if held.subnet.service != known.subnet.service:
        addresses.refuse_taken_service(write.tx, held)


def _overlap(held: list[HeldSubnet]) -> None:
    try:
        refuse_overlap([one.subnet.network for one in held])
    except SubnetError as error:
        raise ApiFault(error.text, status=error.status) from error


def _settle_ref(write: Write, network: VirtualNetwork, ref: Ref[VnSubnetsType]) -> None:
    """A reference to a flat-subnet IPAM only carries a label; the subnets are the IPAM's."""
    ipam = write.load(NetworkIpam, ref.uuid)
    if ipam is None or ipam.ipam_subnet_method != FLAT:
        return
    properties = network.virtual_network_properties
    if properties is None or properties.forwarding_mode != "l3":
        raise BadRequest("flat-subnet is allowed only with l3 network")
    label = next((s.subnet_uuid for s in (ref.attr and ref.attr.ipam_subnets) or []), None)
    ref.attr = VnSubnetsType(
        ipam_subnets=[IpamSubnetType(subnet_uuid=label or str(uuid4()))],
        host_routes=ref.attr.host_routes if ref.attr else None,
    )


def _flat(write: Write, ref: Ref[VnSubnetsType]) -> list[HeldSubnet]:
    ipam = write.load(NetworkIpam, ref.uuid)
    return ipam_subnets(ipam) if ipam is not None else []


# -- network-ipam ---------------------------------------------------------------------------


def name_method(write: Write, ipam: NetworkIpam) -> None:
    """A new IPAM says how it has subnets, so that whoever reads it may say so, too."""
    ipam.ipam_subnet_method = ipam.ipam_subnet_method or USER_DEFINED


def settle_ipam(write: Write, ipam: NetworkIpam) -> None:
    """Subnets on an IPAM are for the flat-subnet method; complete and check them."""
    if ipam.ipam_subnet_method != FLAT:
        if ipam.ipam_subnets is not None and ipam.ipam_subnets.subnets:
            raise BadRequest("ipam-subnets are allowed only with flat-subnet")
        if ipam.ipam_subnetting:
            raise BadRequest("subnetting is allowed only with flat-subnet")
        return
    held = ipam_subnets(ipam)
    for spec, one in zip(
        ipam.ipam_subnets.subnets or [] if ipam.ipam_subnets else [], held, strict=True
    ):
        fill_spec(spec, one, bare=bool(ipam.ipam_subnetting))
    _overlap(held)


def settle_changed_ipam(write: Write, old: NetworkIpam, new: NetworkIpam) -> None:
    """The method stays; a subnet goes only when no address of it is in use."""
    if (new.ipam_subnet_method or USER_DEFINED) != (old.ipam_subnet_method or USER_DEFINED):
        raise BadRequest("ipam_subnet_method can not be changed")
    if bool(new.ipam_subnetting) != bool(old.ipam_subnetting):
        raise BadRequest("ipam_subnetting can not be changed")
    refuse_dns_change(write, old, new)
    if new.ipam_subnets == old.ipam_subnets:
        return
    before = {one.subnet.cidr: one for one in ipam_subnets(old)}
    for spec in (new.ipam_subnets.subnets if new.ipam_subnets else None) or []:
        known = before.get(resolved(spec, "", bare=True).cidr)
        if known is not None and not spec.subnet_uuid:
            spec.subnet_uuid = known.subnet.uuid
    settle_ipam(write, new)
    after = {one.subnet.cidr: one for one in ipam_subnets(new)}
    for cidr, held in before.items():
        if cidr in after:
            _keep_subnet(write, held, after[cidr], f"Network-Ipam({':'.join(new.fq_name)})")
        else:
            addresses.refuse_if_used(write.tx, held)
    refuse_used_pools(write, old, new)
    _refuse_overlap_in_networks(write, new)


def _refuse_overlap_in_networks(write: Write, ipam: NetworkIpam) -> None:
    """Subnets of an IPAM share no address with what the networks that use it have besides."""
    for network in write.referrers(VirtualNetwork, ipam.uuid, "virtual-network"):
        held = own_subnets(network)
        for ref in network.network_ipam_refs:
            held += ipam_subnets(ipam) if ref.uuid == ipam.uuid else _flat(write, ref)
        _overlap(held)


def dns_method(ipam: NetworkIpam) -> str:
    """How the workloads of an IPAM's networks resolve names."""
    management = ipam.network_ipam_mgmt
    return (management.ipam_dns_method if management else None) or "default-dns-server"


def refuse_dns_change(write: Write, old: NetworkIpam, new: NetworkIpam) -> None:
    """Workloads keep the way of resolving names that they were started with."""
    served = {"default-dns-server", "virtual-dns-server"}
    before, after = dns_method(old), dns_method(new)
    if before == after or {before, after} <= served:
        return
    for network in write.tx.referrers(new.uuid, "virtual-network"):
        if write.tx.referrers(network.uuid, "virtual-machine-interface"):
            raise BadRequest("Cannot change DNS Method  with active VMs referring to the IPAM")


def _checks(write: Write, old: VirtualNetwork, new: VirtualNetwork) -> None:
    check_route_targets(write, new)
    check_provider_links(write, new)
    check_vpns(write, new)


HOOKS: dict[str, Hooks[Any]] = {
    "virtual-network": Hooks[VirtualNetwork](
        create=(
            give_network_id,
            take_vxlan_id,
            settle_sharing,
            check_route_targets,
            check_provider,
            check_provider_links,
            check_vpns,
            settle_subnets,
            check_routed,
        ),
        update=(
            keep_network_id,
            change_vxlan_id,
            settle_changed_sharing,
            keep_provider,
            keep_provider_properties,
            _checks,
            settle_changed_subnets,
            lambda write, old, new: check_routed(write, new),
        ),
        delete=(refuse_system_network,),
    ),
    "network-ipam": Hooks[NetworkIpam](
        create=(name_method, settle_ipam), update=(settle_changed_ipam,)
    ),
}
