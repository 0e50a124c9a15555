"""Virtual networks: their routing instance, its route targets, and who is in it.

A virtual network ``d:p:vn`` has a *primary* routing instance ``d:p:vn:vn``, the VRF that holds
its routes. Networks exchange routes by route targets: a routing instance exports its routes
under some and imports the routes that others exported under some. Each network has one of its
own, ``target:<AS>:<number>`` with a number from the compiler's pool, imported and exported,
and those that people listed. An interface is in the routing instance of its network.

The global AS number decides both the name and the pool: with more than sixteen bits it leaves
sixteen for the number. A number already held is kept when the AS changes within its kind.
"""

from __future__ import annotations

from functools import lru_cache

from tungsten.compiler.derived import Claim, Derived, Object, Output, References
from tungsten.compiler.engine import query
from tungsten.compiler.graph import Graph
from tungsten.compiler.pools import ROUTE_TARGETS, ROUTE_TARGETS_OF_LONG_AS, Pool
from tungsten.model import (
    GlobalSystemConfig,
    Ref,
    RouteTarget,
    RoutingInstance,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.model.routes import RouteTargetList
from tungsten.model.routing import InstanceTargetType

GLOBAL = ("default-global-system-config",)
DEFAULT_AS = 64512
LARGEST_SHORT_AS = 65535

#: The network of the hosts' own services: it is never exported, so it has no route target.
LINK_LOCAL = ("default-domain", "default-project", "__link_local__")

#: (route target, "import", "export" or None for both), sorted.
Targets = tuple[tuple[str, str | None], ...]

Memberships = tuple[Ref[PolicyBasedForwardingRuleType], ...]


@query
def global_as(graph: Graph) -> int:
    """The AS number of this system."""
    uuid = graph.named(GlobalSystemConfig, GLOBAL)
    config = None if uuid is None else graph.get(GlobalSystemConfig, uuid)
    if config is None or config.autonomous_system is None:
        return DEFAULT_AS
    return config.autonomous_system


@query
def route_target_pool(graph: Graph) -> Pool:
    """Where the numbers of networks' own route targets come from."""
    return ROUTE_TARGETS_OF_LONG_AS if global_as(graph) > LARGEST_SHORT_AS else ROUTE_TARGETS


@query
def own_target_prefix(graph: Graph) -> str:
    """What the number of a network's own route target follows in its name."""
    return f"target:{global_as(graph)}:"


@query
def primary_instance(graph: Graph, network: str) -> tuple[str, ...] | None:
    """The fq_name of a network's primary routing instance; None without the network."""
    vn = graph.get(VirtualNetwork, network)
    return None if vn is None else (*vn.fq_name, vn.name)


@query
def has_own_target(graph: Graph, network: str) -> bool:
    """Whether a network has a route target of its own."""
    vn = graph.get(VirtualNetwork, network)
    return vn is not None and tuple(vn.fq_name) != LINK_LOCAL


@query
def own_target(graph: Graph, network: str) -> str | None:
    """The route target made for a network; None while it has no number."""
    if not has_own_target(graph, network):
        return None
    number = graph.allocated(route_target_pool(graph), network)
    return None if number is None else f"{own_target_prefix(graph)}{number}"


@query
def configured_targets(graph: Graph, network: str) -> Targets:
    """The route targets that people listed; one that is imported and exported is both."""
    vn = graph.get(VirtualNetwork, network)
    if vn is None:
        return ()
    imported, exported = _listed(vn.import_route_target_list), _listed(vn.export_route_target_list)
    both = _listed(vn.route_target_list) | (imported & exported)
    ways: dict[str, str | None] = {
        **dict.fromkeys(imported, "import"),
        **dict.fromkeys(exported, "export"),
        **dict.fromkeys(both, None),
    }
    return tuple(sorted(ways.items(), key=lambda item: item[0]))


def _listed(targets: RouteTargetList | None) -> set[str]:
    return set() if targets is None else set(targets.route_target or ())


@query
def route_targets(graph: Graph, network: str) -> Targets:
    """All route targets of a network's primary routing instance."""
    ways = dict(configured_targets(graph, network))
    own = own_target(graph, network)
    if own is not None:
        ways[own] = None
    return tuple(sorted(ways.items(), key=lambda item: item[0]))


@query
def network(graph: Graph, uuid: str) -> Output:
    """Root: a virtual network's routing instance and route targets.

    While the network waits for the number of its own route target there is nothing but the
    wish for it: an instance without it would come up only to be changed at once.
    """
    vn = graph.get(VirtualNetwork, uuid)
    name = primary_instance(graph, uuid)
    if vn is None or name is None:
        return ()
    derived: list[Derived] = []
    if has_own_target(graph, uuid):
        pool, prefix = route_target_pool(graph), own_target_prefix(graph)
        derived.append(Claim(pool, uuid, "route-target", prefix))
        if own_target(graph, uuid) is None:
            return tuple(derived)
    targets = route_targets(graph, uuid)
    derived += [Object(RouteTarget(fq_name=[target]), shared=True) for target, _ in targets]
    instance = RoutingInstance(
        fq_name=list(name),
        parent_type="virtual-network",
        parent_uuid=uuid,
        routing_instance_is_default=True,
        routing_instance_fabric_snat=bool(vn.fabric_snat),
        route_target_refs=[
            Ref(to=[target], attr=InstanceTargetType(import_export=way)) for target, way in targets
        ],
    )
    return (*derived, Object(instance))


@query
def interface(graph: Graph, uuid: str) -> Output:
    """Root: the routing instances that an interface is in, one for each network it is on."""
    vmi = graph.get(VirtualMachineInterface, uuid)
    if vmi is None:
        return ()
    names = (primary_instance(graph, on.uuid) for on in vmi.virtual_network_refs)
    refs = _memberships(tuple(name for name in names if name is not None))
    return (References(uuid, "routing_instance_refs", refs),)


@lru_cache(4096)
def _memberships(instances: tuple[tuple[str, ...], ...]) -> Memberships:
    """References to routing instances; one value for all interfaces that are in the same."""
    attr = PolicyBasedForwardingRuleType(direction="both")
    return tuple(Ref(to=list(name), attr=attr) for name in instances)
