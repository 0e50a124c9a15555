"""Which columns the tables of ``tungsten get`` have, type by type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from tungsten.cli.nouns import full_name
from tungsten.model import Ref, Resource, ResourceType

Column = tuple[str, Callable[[Resource], str]]

EMPTY = "-"


def _each(path: str) -> Callable[[Resource], str]:
    """The texts of what lists on a path hold, apart by commas; of names the last parts."""

    def values(value: Any, names: Sequence[str]) -> Iterator[Any]:
        if isinstance(value, list | tuple):
            for one in value:
                yield from values(one, names)
        elif value is not None and names:
            yield from values(getattr(value, names[0], None), names[1:])
        elif value is not None:
            yield value

    def read(resource: Resource) -> str:
        found = [text(one).rpartition(":")[2] for one in values(resource, path.split("."))]
        return ",".join(dict.fromkeys(found)) or EMPTY

    return read


def _field(path: str) -> Callable[[Resource], str]:
    """The text of a property; ``a.b`` goes into it."""

    def read(resource: Resource) -> str:
        value: Any = resource
        for name in path.split("."):
            value = getattr(value, name, None)
            if value is None:
                return EMPTY
        return text(value)

    return read


def _time(path: str) -> Callable[[Resource], str]:
    """A time with its zone, which objects leave out: it is UTC."""
    read = _field(path)
    return lambda resource: EMPTY if read(resource) == EMPTY else f"{read(resource)}Z"


def text(value: Any) -> str:
    """A value in one line."""
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def _refs(field: str) -> Callable[[Resource], str]:
    """The last parts of the names that a reference field has."""

    def read(resource: Resource) -> str:
        refs: Sequence[Ref[Any]] = getattr(resource, field, None) or ()
        return ",".join(ref.to[-1] if ref.to else ref.uuid for ref in refs) or EMPTY

    return read


def _subnets(resource: Resource) -> str:
    found = []
    for ref in getattr(resource, "network_ipam_refs", None) or ():
        for each in (ref.attr.ipam_subnets if ref.attr is not None else None) or ():
            if each.subnet is not None and each.subnet.ip_prefix:
                found.append(f"{each.subnet.ip_prefix}/{each.subnet.ip_prefix_len}")
    return ",".join(found) or EMPTY


def _macs(resource: Resource) -> str:
    held = getattr(resource, "virtual_machine_interface_mac_addresses", None)
    return ",".join((held.mac_address if held is not None else None) or ()) or EMPTY


def _count(path: str) -> Callable[[Resource], str]:
    """How many elements a list has."""

    def read(resource: Resource) -> str:
        value: Any = resource
        for name in path.split("."):
            value = getattr(value, name, None)
        return str(len(value or ()))

    return read


def _networks(resource: Resource) -> str:
    """The networks of a service's interfaces, in their order."""
    held = getattr(resource, "service_instance_properties", None)
    listed = [one.virtual_network for one in (getattr(held, "interface_list", None) or ())]
    sides = [
        getattr(held, f"{side}_virtual_network", None) for side in ("management", "left", "right")
    ]
    names = [str(one).rpartition(":")[2] for one in listed or sides if one]
    return ",".join(names) or EMPTY


def _route_targets(*fields: str) -> Callable[[Resource], str]:
    """All that lists of route targets hold."""

    def read(resource: Resource) -> str:
        held = [getattr(resource, field, None) for field in fields]
        found = [one for each in held if each is not None for one in each.route_target or ()]
        return ",".join(dict.fromkeys(found)) or EMPTY

    return read


def _quota(resource: Resource) -> str:
    """The limits that a project sets itself."""
    held = getattr(resource, "quota", None)
    limits = {} if held is None else msgspec.to_builtins(held)
    set_ = [f"{name}={limit}" for name, limit in limits.items() if limit not in (None, -1)]
    return ",".join(set_) or EMPTY


def _services(resource: Resource) -> str:
    """Protocols and destination ports of a service group, or of the service of a rule."""
    held: Any = getattr(resource, "service_group_firewall_service_list", None)
    found = [getattr(resource, "service", None), *(getattr(held, "firewall_service", None) or ())]
    return ",".join(_service(one) for one in found if one is not None) or EMPTY


def _service(one: Any) -> str:
    ports = one.dst_ports
    if ports is None or (ports.start_port, ports.end_port) in ((0, 65535), (None, None)):
        return str(one.protocol)
    same = ports.start_port == ports.end_port
    return f"{one.protocol}:{ports.start_port}" + ("" if same else f"-{ports.end_port}")


def _end(field: str) -> Callable[[Resource], str]:
    """One end of a firewall rule."""

    def read(resource: Resource) -> str:
        held: Any = getattr(resource, field, None)
        if held is None:
            return EMPTY
        if held.any:
            return "any"
        if held.subnet is not None and held.subnet.ip_prefix:
            return f"{held.subnet.ip_prefix}/{held.subnet.ip_prefix_len}"
        named = held.virtual_network or held.address_group or ""
        return str(named).rpartition(":")[2] or ",".join(held.tags or ()) or EMPTY

    return read


_NODES = (
    "analytics-alarm-node",
    "analytics-node",
    "analytics-snmp-node",
    "config-database-node",
    "config-node",
    "database-node",
    "devicemgr-node",
    "flow-node",
    "webui-node",
)

_COLUMNS: dict[str, Sequence[Column]] = {
    "virtual-network": (
        ("ID", _field("virtual_network_network_id")),
        ("SUBNETS", _subnets),
        ("POLICIES", _refs("network_policy_refs")),
    ),
    "virtual-machine-interface": (
        ("MAC", _macs),
        ("NETWORK", _refs("virtual_network_refs")),
        ("MACHINE", _refs("virtual_machine_refs")),
        ("GROUPS", _refs("security_group_refs")),
    ),
    "instance-ip": (
        ("ADDRESS", _field("instance_ip_address")),
        ("NETWORK", _refs("virtual_network_refs")),
        ("INTERFACE", _refs("virtual_machine_interface_refs")),
    ),
    "floating-ip": (
        ("ADDRESS", _field("floating_ip_address")),
        ("FIXED", _field("floating_ip_fixed_ip_address")),
        ("INTERFACE", _refs("virtual_machine_interface_refs")),
    ),
    "virtual-router": (
        ("ADDRESS", _field("virtual_router_ip_address")),
        ("MACHINES", _refs("virtual_machine_refs")),
    ),
    "bgp-router": (
        ("ADDRESS", _field("bgp_router_parameters.address")),
        ("AS", _field("bgp_router_parameters.autonomous_system")),
        ("TYPE", _field("bgp_router_parameters.router_type")),
    ),
    "routing-instance": (("TARGETS", _refs("route_target_refs")),),
    "security-group": (("ID", _field("security_group_id")),),
    "logical-router": (
        ("INTERFACES", _refs("virtual_machine_interface_refs")),
        ("NETWORKS", _refs("virtual_network_refs")),
    ),
    "alias-ip": (
        ("ADDRESS", _field("alias_ip_address")),
        ("INTERFACE", _refs("virtual_machine_interface_refs")),
    ),
    "application-policy-set": (
        ("ALL", _field("all_applications")),
        ("POLICIES", _refs("firewall_policy_refs")),
    ),
    "bgp-as-a-service": (
        ("AS", _field("autonomous_system")),
        ("ADDRESS", _field("bgpaas_ip_address")),
        ("INTERFACES", _refs("virtual_machine_interface_refs")),
    ),
    "bgpvpn": (
        ("TYPE", _field("bgpvpn_type")),
        ("IMPORT", _route_targets("route_target_list", "import_route_target_list")),
        ("EXPORT", _route_targets("route_target_list", "export_route_target_list")),
    ),
    "fabric": (
        ("PROFILES", _refs("node_profile_refs")),
        ("ENTERPRISE", _field("fabric_enterprise_style")),
    ),
    "firewall-policy": (("RULES", _refs("firewall_rule_refs")),),
    "firewall-rule": (
        ("ACTION", _field("action_list.simple_action")),
        ("SERVICE", _services),
        ("FROM", _end("endpoint_1")),
        ("DIRECTION", _field("direction")),
        ("TO", _end("endpoint_2")),
    ),
    "global-system-config": (
        ("AS", _field("autonomous_system")),
        ("MESH", _field("ibgp_auto_mesh")),
    ),
    "global-vrouter-config": (
        ("ENCAPSULATIONS", _each("encapsulation_priorities.encapsulation")),
        ("VXLAN", _field("vxlan_network_identifier_mode")),
        ("FORWARDING", _field("forwarding_mode")),
    ),
    "interface-route-table": (
        ("ROUTES", _each("interface_route_table_routes.route.prefix")),
        ("SERVICES", _refs("service_instance_refs")),
    ),
    "loadbalancer": (
        ("ADDRESS", _field("loadbalancer_properties.vip_address")),
        ("PROVIDER", _field("loadbalancer_provider")),
        ("INTERFACE", _refs("virtual_machine_interface_refs")),
    ),
    "loadbalancer-healthmonitor": (
        ("TYPE", _field("loadbalancer_healthmonitor_properties.monitor_type")),
        ("DELAY", _field("loadbalancer_healthmonitor_properties.delay")),
        ("TIMEOUT", _field("loadbalancer_healthmonitor_properties.timeout")),
    ),
    "loadbalancer-listener": (
        ("PROTOCOL", _field("loadbalancer_listener_properties.protocol")),
        ("PORT", _field("loadbalancer_listener_properties.protocol_port")),
        ("BALANCER", _refs("loadbalancer_refs")),
    ),
    "loadbalancer-member": (
        ("ADDRESS", _field("loadbalancer_member_properties.address")),
        ("PORT", _field("loadbalancer_member_properties.protocol_port")),
        ("WEIGHT", _field("loadbalancer_member_properties.weight")),
    ),
    "loadbalancer-pool": (
        ("PROTOCOL", _field("loadbalancer_pool_properties.protocol")),
        ("METHOD", _field("loadbalancer_pool_properties.loadbalancer_method")),
        ("LISTENER", _refs("loadbalancer_listener_refs")),
        ("MONITOR", _refs("loadbalancer_healthmonitor_refs")),
    ),
    "logical-interface": (
        ("VLAN", _field("logical_interface_vlan_tag")),
        ("TYPE", _field("logical_interface_type")),
        ("INTERFACE", _refs("virtual_machine_interface_refs")),
    ),
    "network-ipam": (
        ("METHOD", _field("ipam_subnet_method")),
        ("DNS", _field("network_ipam_mgmt.ipam_dns_method")),
        ("SERVERS", _refs("virtual_DNS_refs")),
    ),
    "network-policy": (
        ("RULES", _count("network_policy_entries.policy_rule")),
        ("ACTIONS", _each("network_policy_entries.policy_rule.action_list.simple_action")),
        ("SERVICES", _each("network_policy_entries.policy_rule.action_list.apply_service")),
    ),
    "physical-router": (
        ("MANAGEMENT", _field("physical_router_management_ip")),
        ("LOOPBACK", _field("physical_router_loopback_ip")),
        ("PRODUCT", _field("physical_router_product_name")),
        ("FABRIC", _refs("fabric_refs")),
    ),
    "port-tuple": (("ROUTERS", _refs("logical_router_refs")),),
    "project": (("UUID", lambda resource: resource.uuid), ("QUOTA", _quota)),
    "qos-config": (
        ("TYPE", _field("qos_config_type")),
        ("DEFAULT", _field("default_forwarding_class_id")),
    ),
    "route-aggregate": (
        ("ROUTES", _each("aggregate_route_entries.route")),
        ("NEXT", _field("aggregate_route_nexthop")),
        ("SERVICES", _refs("service_instance_refs")),
    ),
    "route-table": (
        ("ROUTES", _each("routes.route.prefix")),
        ("NEXT", _each("routes.route.next_hop")),
    ),
    "routing-policy": (
        ("TERMS", _count("routing_policy_entries.term")),
        ("SERVICES", _refs("service_instance_refs")),
    ),
    "service-group": (("SERVICES", _services),),
    "service-health-check": (
        ("TYPE", _field("service_health_check_properties.health_check_type")),
        ("MONITOR", _field("service_health_check_properties.monitor_type")),
        ("ENABLED", _field("service_health_check_properties.enabled")),
        ("SERVICES", _refs("service_instance_refs")),
    ),
    "service-instance": (
        ("TEMPLATE", _refs("service_template_refs")),
        ("NETWORKS", _networks),
        ("INSTANCES", _field("service_instance_properties.scale_out.max_instances")),
        ("HA", _field("service_instance_properties.ha_mode")),
    ),
    "service-template": (
        ("VERSION", _field("service_template_properties.version")),
        ("MODE", _field("service_template_properties.service_mode")),
        ("TYPE", _field("service_template_properties.service_type")),
        ("INTERFACES", _each("service_template_properties.interface_type.service_interface_type")),
    ),
    "tag": (
        ("ID", _field("tag_id")),
        ("TYPE", _field("tag_type_name")),
        ("VALUE", _field("tag_value")),
    ),
    "tag-type": (("ID", _field("tag_type_id")),),
    "virtual-DNS": (
        ("DOMAIN", _field("virtual_DNS_data.domain_name")),
        ("NEXT", _field("virtual_DNS_data.next_virtual_DNS")),
    ),
    "virtual-DNS-record": (
        ("TYPE", _field("virtual_DNS_record_data.record_type")),
        ("OWNER", _field("virtual_DNS_record_data.record_name")),
        ("DATA", _field("virtual_DNS_record_data.record_data")),
    ),
    "virtual-machine": (
        ("UUID", lambda resource: resource.uuid),
        ("SERVICE", _refs("service_instance_refs")),
    ),
    "virtual-port-group": (
        ("PORTS", _refs("physical_interface_refs")),
        ("INTERFACES", _refs("virtual_machine_interface_refs")),
    ),
    **{name: (("ADDRESS", _field(f"{name.replace('-', '_')}_ip_address")),) for name in _NODES},
}

_WIDE: Sequence[Column] = (
    ("UUID", lambda resource: resource.uuid),
    ("CREATED", _time("id_perms.created")),
    ("MODIFIED", _time("id_perms.last_modified")),
)


def columns_of(type_: ResourceType, *, wide: bool) -> Sequence[Column]:
    """The columns of a type's table."""
    own = _COLUMNS.get(type_.name, (("UUID", lambda resource: resource.uuid),))
    titles = {title for title, _ in own}
    more = [one for one in _WIDE if one[0] not in titles] if wide else ()
    return (("NAME", full_name), *own, *more)
