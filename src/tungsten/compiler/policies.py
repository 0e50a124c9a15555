"""Routing policies: the routing instances that they act in.

A virtual network names routing policies and where each stands among them; they act in its primary
routing instance, in that order. The policy holds the reference, with the same sequence.
"""

from __future__ import annotations

from tungsten.compiler.derived import Output, References
from tungsten.compiler.engine import query
from tungsten.compiler.graph import Graph
from tungsten.compiler.networks import primary_instance
from tungsten.model import Ref, VirtualNetwork
from tungsten.model.networks import RoutingPolicyType
from tungsten.model.routing_policies import RoutingPolicy


@query
def attachments(graph: Graph, network: str) -> tuple[tuple[str, str | None], ...]:
    """The routing policies that a network names: uuid and sequence of each."""
    vn = graph.get(VirtualNetwork, network)
    if vn is None:
        return ()
    return tuple(
        (ref.uuid, None if ref.attr is None else ref.attr.sequence)
        for ref in vn.routing_policy_refs
    )


@query
def routing_policy(graph: Graph, uuid: str) -> Output:
    """Root: the routing instances of the networks that name a policy."""
    if graph.get(RoutingPolicy, uuid) is None:
        return ()
    refs: list[Ref[RoutingPolicyType]] = []
    for network in graph.referrers(VirtualNetwork, "routing_policy_refs", uuid):
        name = primary_instance(graph, network)
        sequences = [each for policy, each in attachments(graph, network) if policy == uuid]
        if name is not None and sequences:
            refs.append(Ref(to=list(name), attr=RoutingPolicyType(sequence=sequences[0])))
    return (References(uuid, "routing_instance_refs", tuple(refs)),)
