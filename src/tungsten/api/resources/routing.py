"""Rules of what routes: targets, instances, aggregates, BGP speakers and routers."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Literal
from uuid import uuid4

from tungsten.api.errors import BadRequest, Conflict, echo, name_list
from tungsten.api.ids import VIRTUAL_NETWORK_IDS, sub_cluster_ids
from tungsten.api.resources import networks, route_targets
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.making import make
from tungsten.api.resources.networks import refuse_vpns_twice
from tungsten.api.resources.route_target_lists import normalise_list, system_asn
from tungsten.api.transactions import Write, display
from tungsten.model import (
    BgpRouter,
    LogicalRouter,
    Project,
    Ref,
    RouteTarget,
    RoutingInstance,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.model.bgpaas import BgpAsAService
from tungsten.model.networks import LogicalRouterVirtualNetworkType, VirtualNetworkType
from tungsten.model.nodes import SubCluster
from tungsten.model.routing_policies import RouteAggregate
from tungsten.store.records import from_record

SHORTEST_HOLD_TIME = 3
VXLAN_ROUTING = "vxlan-routing"
INTERNAL: Literal["InternalVirtualNetwork"] = "InternalVirtualNetwork"
UNSET_VXLAN = frozenset({None, "", "None"})


# -- route-target ---------------------------------------------------------------------------


def check_route_target_name(write: Write, target: RouteTarget) -> None:
    """A route-target is called after what it is, in one spelling."""
    if len(target.fq_name) != 1:
        raise BadRequest(
            f"Invalid fq-name of an object with no parent: {name_list(target.fq_name)}"
        )
    target.fq_name = [str(route_targets.parse(target.fq_name[0]))]


# -- routing-instance -----------------------------------------------------------------------


def refuse_default_instance(write: Write, instance: RoutingInstance) -> None:
    """The default routing-instance of a network is made and deleted by the system."""
    if instance.routing_instance_is_default:
        raise Conflict(f"Cannot modify system resource {display(instance)}.")


def keep_default_instance(write: Write, old: RoutingInstance, new: RoutingInstance) -> None:
    """Whether a routing-instance is the default one is decided by the system."""
    if bool(old.routing_instance_is_default) != bool(new.routing_instance_is_default):
        raise Conflict(f"Cannot modify system resource {display(new)}.")


# -- bgp-router -----------------------------------------------------------------------------


def check_bgp_router(write: Write, router: BgpRouter) -> None:
    """Hold time and autonomous systems of a BGP speaker."""
    parameters = router.bgp_router_parameters
    if parameters is None:
        return
    hold_time = parameters.hold_time
    if hold_time and hold_time < SHORTEST_HOLD_TIME:
        raise BadRequest("BGPaaS: Hold Time MUST be either zero or at least three seconds")
    _, four_byte = system_asn(write)
    for asn in (parameters.autonomous_system, parameters.local_autonomous_system):
        if asn is not None:
            route_targets.check_asn(asn, four_byte)
    if parameters.router_type is None:
        ours = parameters.vendor in ("contrail", "tungsten")
        parameters.router_type = "control-node" if ours else "router"
    if len(router.control_node_zone_refs) > 1:
        raise BadRequest("BGP router can have only one control node zone")
    if router.control_node_zone_refs and parameters.router_type != "control-node":
        raise BadRequest(
            f"Only a BGP router of type control-node is in a control node zone, not a "
            f"{parameters.router_type}"
        )
    for ref in router.sub_cluster_refs:
        cluster = write.load(SubCluster, ref.uuid)
        if cluster is not None and cluster.sub_cluster_asn != parameters.autonomous_system:
            raise BadRequest("Subcluster asn and bgp asn should be same")


# -- bgp-as-a-service -----------------------------------------------------------------------


def check_bgp_service(write: Write, service: BgpAsAService) -> None:
    """Hold time, autonomous systems, address and zones of BGP as a service."""
    attributes = service.bgpaas_session_attributes
    hold_time = attributes.hold_time if attributes else None
    if hold_time and hold_time < SHORTEST_HOLD_TIME:
        raise BadRequest("BGPaaS: Hold Time MUST be either zero or at least three seconds")
    _, four_byte = system_asn(write)
    local = attributes.local_autonomous_system if attributes else None
    for asn in (service.autonomous_system, local):
        if asn:
            route_targets.check_asn(asn, four_byte)
    if service.bgpaas_shared and not service.bgpaas_ip_address:
        raise BadRequest("BGPaaS IP Address needs to be configured if BGPaaS is shared")
    roles = [
        ref.attr.bgpaas_control_node_zone_type if ref.attr else None
        for ref in service.control_node_zone_refs
    ]
    if len(set(roles)) != len(roles):
        raise BadRequest("BGPaaS has one control node zone of each type: primary, secondary")


def keep_sharing(write: Write, old: BgpAsAService, new: BgpAsAService) -> None:
    """Whether the interfaces share a session stays as it was."""
    if bool(old.bgpaas_shared) != bool(new.bgpaas_shared):
        raise BadRequest("BGPaaS sharing cannot be modified")


# -- sub-cluster ----------------------------------------------------------------------------


def give_cluster_id(write: Write, cluster: SubCluster) -> None:
    """A sub-cluster has the id that its maker chose, or the next one."""
    asn = cluster.sub_cluster_asn or 0
    ids = sub_cluster_ids(asn)
    if cluster.sub_cluster_id is None:
        cluster.sub_cluster_id = ids.allocate(write.tx, cluster.uuid)
    elif not ids.first <= cluster.sub_cluster_id <= ids.last:
        raise BadRequest(
            f"sub_cluster_id {cluster.sub_cluster_id} is not between {ids.first} and {ids.last}, "
            f"those that can be told with AS {asn}"
        )
    elif not ids.take(write.tx, cluster.sub_cluster_id, cluster.uuid):
        raise BadRequest(f"Sub cluster ID {cluster.sub_cluster_id} is already in use")


def keep_cluster(write: Write, old: SubCluster, new: SubCluster) -> None:
    """The AS and the id of a sub-cluster stay: they are in route distinguishers."""
    if old.sub_cluster_asn != new.sub_cluster_asn:
        raise BadRequest("Sub cluster ASN can not be modified")
    if old.sub_cluster_id != new.sub_cluster_id:
        raise BadRequest("Sub cluster ID can not be modified")


# -- route-aggregate ------------------------------------------------------------------------


def check_aggregate(write: Write, aggregate: RouteAggregate) -> None:
    """A route aggregate is of one service, and its prefixes are of one family."""
    if len(aggregate.service_instance_refs) > 1:
        raise BadRequest("A route aggregate refers to one service instance")
    entries = aggregate.aggregate_route_entries
    versions = set()
    for prefix in (entries.route if entries else None) or []:
        try:
            versions.add(ip_network(prefix, strict=False).version)
        except ValueError as error:
            raise BadRequest(f"aggregate_route_entries: {echo(prefix)} is no prefix") from error
    if len(versions) > 1:
        raise BadRequest("aggregate_route_entries: all prefixes must be of one IP version")


# -- logical-router -------------------------------------------------------------------------


def vxlan_id(router: LogicalRouter) -> int | None:
    """The VXLAN id that the user chose for a router. Raises BadRequest for what is none."""
    text = router.vxlan_network_identifier
    if text in UNSET_VXLAN:
        return None
    if text is None or not (text.isascii() and text.isdecimal() and 1 <= int(text) < 2**24):
        raise BadRequest(
            f"Bad property: vxlan_network_identifier of {name_list(router.fq_name)} must be a "
            f"number between 1 and 16777215, not '{text}'"
        )
    return int(text)


def own_vxlan_id(router: LogicalRouter) -> int | None:
    """The VXLAN id that a router holds itself; one that routes VXLANs has a network hold it."""
    wanted = vxlan_id(router)
    return None if router.logical_router_type == VXLAN_ROUTING else wanted


def take_vxlan_id(write: Write, router: LogicalRouter) -> None:
    """A VXLAN id chosen by the user comes from the same numbers as the network ids."""
    wanted = own_vxlan_id(router)
    if wanted is not None and not VIRTUAL_NETWORK_IDS.take(write.tx, wanted, router.uuid):
        raise BadRequest(f"Cannot set VXLAN_ID: {wanted}, it has already been set")


def change_vxlan_id(write: Write, old: LogicalRouter, new: LogicalRouter) -> None:
    """A changed VXLAN id is taken, and the former one is free again."""
    before = own_vxlan_id(old)
    if before == own_vxlan_id(new):
        return
    take_vxlan_id(write, new)
    if before is not None:
        VIRTUAL_NETWORK_IDS.release(write.tx, before, new.uuid)


def default_router_type(write: Write, router: LogicalRouter) -> None:
    """A router that does not say what kind it is hides what is behind it."""
    if router.logical_router_type is None:
        router.logical_router_type = "snat-routing"


def keep_router_type(write: Write, old: LogicalRouter, new: LogicalRouter) -> None:
    """The kind of a router stays."""
    if new.logical_router_type != old.logical_router_type:
        raise BadRequest("Cannot update logical_router_type for a Logical Router")


def check_router_ports(write: Write, router: LogicalRouter) -> None:
    """The ports of a router are no workload's, and not in its gateway network."""
    gateways = {ref.uuid for ref in router.virtual_network_refs}
    for ref in router.virtual_machine_interface_refs:
        port = write.load(VirtualMachineInterface, ref.uuid)
        if port is None:
            continue
        if port.virtual_machine_refs:
            raise Conflict(
                f"Port({port.uuid}) already in use by "
                f"virtual-machine({port.virtual_machine_refs[0].uuid})"
            )
        for network in port.virtual_network_refs:
            if network.uuid in gateways:
                raise BadRequest(
                    f"Logical router interface and gateway cannot be inVN({network.uuid})"
                )


def check_router_targets(write: Write, router: LogicalRouter) -> None:
    """The configured route targets of a router."""
    normalise_list(write, router.configured_route_target_list)


def check_router_vpns(write: Write, router: LogicalRouter) -> None:
    """A router and the networks behind it do not both have VPNs."""
    for ref in router.virtual_machine_interface_refs if router.bgpvpn_refs else []:
        port = write.load(VirtualMachineInterface, ref.uuid)
        for held in port.virtual_network_refs if port is not None else []:
            network = write.load(VirtualNetwork, held.uuid)
            if network is not None:
                refuse_vpns_twice(network, router)


# -- the internal network of a logical-router -----------------------------------------------


def internal_name(router: LogicalRouter) -> list[str]:
    """The name of the network that a router which routes VXLANs has for itself."""
    return [*router.fq_name[:-1], f"__contrail_lr_internal_vn_{router.uuid}__"]


def give_internal_network(write: Write, router: LogicalRouter) -> None:
    """A router that routes VXLANs has a network of its own, with its VXLAN id and targets.

    Nobody but administrators sees it.
    """
    project = write.load(Project, router.parent_uuid or "")
    if router.logical_router_type != VXLAN_ROUTING or project is None:
        return
    network = VirtualNetwork(
        uuid=str(uuid4()),
        fq_name=internal_name(router),
        display_name=f"LR::{router.fq_name[-1]}",
        is_shared=False,
        virtual_network_properties=VirtualNetworkType(
            forwarding_mode="l3", vxlan_network_identifier=vxlan_id(router)
        ),
        route_target_list=router.configured_route_target_list,
    )
    networks.give_network_id(write, network)
    networks.take_vxlan_id(write, network)
    made = make(write, network, project, visible=False)
    attr = LogicalRouterVirtualNetworkType(logical_router_virtual_network_type=INTERNAL)
    router.virtual_network_refs = [
        *router.virtual_network_refs,
        Ref(made.to, made.uuid, attr),
    ]


def keep_internal_network(write: Write, old: LogicalRouter, new: LogicalRouter) -> None:
    """The internal network of a router stays with it, and says what the router says."""
    record = write.tx.find("virtual-network", tuple(internal_name(new)))
    if record is None:
        return
    if all(ref.uuid != record.uuid for ref in new.virtual_network_refs):
        kept = [ref for ref in old.virtual_network_refs if ref.uuid == record.uuid]
        new.virtual_network_refs = [*new.virtual_network_refs, *kept]
    before, network = from_record(record), from_record(record)
    assert isinstance(before, VirtualNetwork)
    assert isinstance(network, VirtualNetwork)
    assert network.virtual_network_properties is not None
    network.virtual_network_properties.vxlan_network_identifier = vxlan_id(new)
    network.route_target_list = new.configured_route_target_list
    if network != before:
        networks.change_vxlan_id(write, before, network)
        write.touch(network)
        write.save(network, record)


def internal_networks(write: Write, router: LogicalRouter) -> list[str]:
    """The internal network of a router goes with it."""
    record = write.tx.find("virtual-network", tuple(internal_name(router)))
    return [] if record is None else [record.uuid]


def _router_after(write: Write, old: LogicalRouter, new: LogicalRouter) -> None:
    check_router_ports(write, new)
    check_router_targets(write, new)
    check_router_vpns(write, new)


HOOKS: dict[str, Hooks[Any]] = {
    "route-target": Hooks[RouteTarget](name=(check_route_target_name,)),
    "routing-instance": Hooks[RoutingInstance](
        create=(refuse_default_instance,),
        update=(keep_default_instance,),
        delete=(refuse_default_instance,),
    ),
    "bgp-as-a-service": Hooks[BgpAsAService](
        create=(check_bgp_service,),
        update=(keep_sharing, lambda write, old, new: check_bgp_service(write, new)),
    ),
    "route-aggregate": Hooks[RouteAggregate](
        create=(check_aggregate,), update=(lambda write, old, new: check_aggregate(write, new),)
    ),
    "sub-cluster": Hooks[SubCluster](create=(give_cluster_id,), update=(keep_cluster,)),
    "bgp-router": Hooks[BgpRouter](
        create=(check_bgp_router,),
        update=(lambda write, old, new: check_bgp_router(write, new),),
    ),
    "logical-router": Hooks[LogicalRouter](
        create=(
            default_router_type,
            take_vxlan_id,
            check_router_ports,
            check_router_targets,
            check_router_vpns,
            give_internal_network,
        ),
        update=(keep_router_type, change_vxlan_id, _router_after, keep_internal_network),
        goes_with=(internal_networks,),
    ),
}
