"""From configuration objects to what control works with: instances, global settings, identity.

Pure functions over the configuration graph. A ``routing-instance`` becomes an
:class:`~tungsten.control.instances.InstanceConfig`: its ``route_target_refs`` say what it
imports and exports (both, unless the link says one), a ``connection`` to another instance makes
each import what the other exports, its parent is the virtual network whose routes it holds, and
the routing policies that refer to it act in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import structlog

from tungsten.bgp import communities
from tungsten.model import (
    BgpRouter,
    GlobalSystemConfig,
    RoutingInstance,
    VirtualNetwork,
    VirtualRouter,
    parent_link,
    resource_type,
)
from tungsten.model.nodes import SubCluster
from tungsten.model.routing_policies import RoutingPolicy as PolicyObject

from .config_graph import ConfigGraph, GraphDelta
from .config_nodes import Node, Vertex
from .instances import InstanceConfig
from .routing_policy import RoutingPolicy, problems
from .routing_policy_config import place, routing_policy
from .settings import ControlSettings
from .tables import MASTER

DEFAULT_ASN = 64512
_INSTANCE = "routing-instance"
_CONNECTION = "connection"
_OF_NETWORK = parent_link(resource_type(_INSTANCE), "virtual-network")
#: The links that an instance's configuration depends on; its targets are in what it says itself.
_POLICY = "routing-policy"
_OF_POLICY = resource_type(_POLICY).references["routing_instance_refs"].link
_CONCERNING = frozenset({_CONNECTION, _OF_NETWORK, _OF_POLICY})
_log = structlog.get_logger("tungsten.control")


@dataclass(frozen=True, slots=True)
class GlobalConfig:
    """What ``global-system-config`` says to control. Times in seconds."""

    asn: int
    xmpp_hold_time: float
    graceful_restart: bool
    restart_time: float
    end_of_rib_time: float
    long_lived_time: float
    nh_reachability_check: bool = False


def global_config(graph: ConfigGraph, settings: ControlSettings) -> GlobalConfig:
    """The global configuration; where it says nothing, the settings."""
    found: GlobalSystemConfig | None = None
    for resource in graph.resources("global-system-config"):
        assert isinstance(resource, GlobalSystemConfig)
        found = resource
    asn = (found.autonomous_system if found else None) or DEFAULT_ASN
    hold_time = settings.xmpp_hold_time
    restart_time, end_of_rib_time = settings.restart_time, settings.end_of_rib_time
    long_lived_time = settings.long_lived_time
    check = False
    if found is not None:
        fast = found.fast_convergence_parameters
        if fast is not None and fast.enable and fast.xmpp_hold_time:
            hold_time = float(fast.xmpp_hold_time)
        check = bool(fast is not None and fast.enable and fast.nh_reachability_check)
        restart = found.graceful_restart_parameters
        if restart is not None and restart.enable:
            if restart.restart_time is not None:
                restart_time = float(restart.restart_time)
            if restart.end_of_rib_timeout is not None:
                end_of_rib_time = float(restart.end_of_rib_timeout)
            if restart.long_lived_restart_time is not None:
                long_lived_time = float(restart.long_lived_restart_time)
    return GlobalConfig(
        asn,
        hold_time,
        settings.graceful_restart,
        restart_time,
        end_of_rib_time,
        long_lived_time,
        check,
    )


def own_router(graph: ConfigGraph, name: str) -> BgpRouter | None:
    """This node's ``bgp-router`` object."""
    wanted = [*MASTER.split(":"), name]
    node = graph.node(("bgp-router", ":".join(wanted)))
    resource = node.resource if node is not None else None
    return resource if isinstance(resource, BgpRouter) and resource.fq_name == wanted else None


def own_sub_cluster(graph: ConfigGraph, name: str) -> bytes:
    """The community of the sub-cluster that this node is in; empty when it is in none."""
    own = own_router(graph, name)
    for ref in own.sub_cluster_refs if own is not None else ():
        node = graph.node_of(ref.uuid)
        resource = node.resource if node is not None else None
        if isinstance(resource, SubCluster) and resource.sub_cluster_id is not None:
            text = f"subcluster:{resource.sub_cluster_asn}:{resource.sub_cluster_id}"
            try:
                return communities.parse_extended(text)
            except ValueError as error:
                _log.error("sub_cluster_unusable", name=":".join(resource.fq_name), text=str(error))
    return b""


def routing_policies(graph: ConfigGraph) -> list[RoutingPolicy]:
    """All policies that are for control nodes."""
    found = (
        routing_policy(resource)
        for resource in graph.resources(_POLICY)
        if isinstance(resource, PolicyObject)
    )
    return [policy for policy in found if policy is not None]


def router_address(graph: ConfigGraph, name: str) -> str:
    """The address of the virtual-router of a host; empty when there is none."""
    node = graph.node(("virtual-router", f"default-global-system-config:{name}"))
    resource = node.resource if node is not None else None
    if not isinstance(resource, VirtualRouter):
        return ""
    return resource.virtual_router_ip_address or ""


def changed_instances(graph: ConfigGraph, delta: GraphDelta) -> dict[str, InstanceConfig | None]:
    """The instances that a change of the graph concerns, by name; None: it is gone.

    Those are the changed ones, those of changed networks, those connected to either, and those in
    which changed policies act.
    """
    concerned = {vertex for vertex in delta.nodes if vertex[0] == _INSTANCE}
    for left, right, metadata in chain(delta.links_added, delta.links_removed):
        if metadata in _CONCERNING:
            concerned |= {end for end in (left, right) if end[0] == _INSTANCE}
    for vertex in delta.nodes:
        network = graph.node(vertex) if vertex[0] == "virtual-network" else None
        if network is not None:
            concerned |= {instance.vertex for instance in _joined(graph, network, _OF_NETWORK)}
    for vertex in delta.nodes:
        policy = graph.node(vertex) if vertex[0] == _POLICY else None
        if policy is not None:
            concerned |= {instance.vertex for instance in _joined(graph, policy, _OF_POLICY)}
    for node in filter(None, map(graph.node, list(concerned))):
        concerned |= {other.vertex for other in _joined(graph, node, _CONNECTION)}
    return {vertex[1]: _config(graph, vertex) for vertex in concerned}


def _config(graph: ConfigGraph, vertex: Vertex) -> InstanceConfig | None:
    node = graph.node(vertex)
    resource = node.resource if node is not None else None
    if not isinstance(resource, RoutingInstance):
        return None
    imports, exports = _targets(resource)
    assert node is not None
    for other in _joined(graph, node, _CONNECTION):
        neighbor = other.resource
        assert isinstance(neighbor, RoutingInstance)
        imports |= _targets(neighbor)[1]
    network, index, transit = _network(graph, resource)
    policies = _policies(graph, node)
    return InstanceConfig(
        vertex[1], frozenset(imports), frozenset(exports), network, index, policies, transit
    )


def _policies(graph: ConfigGraph, instance: Node) -> tuple[RoutingPolicy, ...]:
    """The routing policies of an instance, in their order."""
    found: list[tuple[tuple[bool, tuple[int, ...], str], str, RoutingPolicy]] = []
    for join in graph.joins(instance, (_OF_POLICY,)):
        resource = join.other.resource
        if not isinstance(resource, PolicyObject):
            continue
        policy = routing_policy(resource)
        if policy is not None:
            places = [
                place(ref.attr.sequence if ref.attr is not None else None)
                for ref in resource.routing_instance_refs
                if ref.uuid == instance.uuid
            ]
            found.append((min(places, default=place(None)), policy.name, policy))
    found.sort(key=lambda each: each[:2])
    for each in problems(policy for _, _, policy in found):
        _log.error("routing_policy_unusable", instance=instance.vertex[1], text=each)
    return tuple(policy for _, _, policy in found)


def _joined(graph: ConfigGraph, node: Node, metadata: str) -> set[Node]:
    """The other instances that links of a name join to a node."""
    found = {join.other for join in graph.joins(node, (metadata,))}
    return {other for other in found if other.vertex[0] == _INSTANCE and other is not node}


def _targets(resource: RoutingInstance) -> tuple[set[bytes], set[bytes]]:
    imports: set[bytes] = set()
    exports: set[bytes] = set()
    for ref in resource.route_target_refs:
        text = ":".join(ref.to)
        try:
            target = communities.parse_extended(text)
        except ValueError as error:
            _log.error(
                "route_target_unusable", instance=":".join(resource.fq_name), text=str(error)
            )
            continue
        which = ref.attr.import_export if ref.attr is not None else None
        if which != "export":
            imports.add(target)
        if which != "import":
            exports.add(target)
    return imports, exports


def _network(graph: ConfigGraph, resource: RoutingInstance) -> tuple[str, int, bool]:
    """The network of an instance: its name, its number, and whether it lets others pass."""
    if resource.parent_uuid is None:
        return "", 0, False
    node = graph.node_of(resource.parent_uuid)
    parent = node.resource if node is not None else None
    if not isinstance(parent, VirtualNetwork):
        return "", 0, False
    index, properties = parent.virtual_network_network_id, parent.virtual_network_properties
    if index is None and properties is not None:
        index = properties.network_id
    transit = bool(properties is not None and properties.allow_transit)
    return ":".join(parent.fq_name), index or 0, transit
