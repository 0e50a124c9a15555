"""From configuration, ports and devices to operational state: one pure function.

:func:`compile_oper` reads a snapshot; in which order things arrived does not matter. Rules are
upstream's: the VRF of an interface is the routing instance its own link names, among those of its
network; of several links those that steer service chains do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_address, ip_network

from tungsten.agent.config import ConfigGraph
from tungsten.agent.oper import (
    Address,
    Device,
    Interface,
    InterfaceAddress,
    Ipam,
    Network,
    Oper,
    Subnet,
    Vrf,
)
from tungsten.agent.ports import Port
from tungsten.model.addresses import InstanceIp, IpamSubnetType, NetworkIpam, VnSubnetsType
from tungsten.model.addressing import (
    AllowedAddressPair,
    AllowedAddressPairs,
    DhcpOptionsListType,
)
from tungsten.model.hosts import GlobalVrouterConfig
from tungsten.model.interfaces import PolicyBasedForwardingRuleType, VirtualMachineInterface
from tungsten.model.networks import VirtualNetwork
from tungsten.model.routes import RouteTableType
from tungsten.model.routing import InterfaceRouteTable, RoutingInstance
from tungsten.model.security import SecurityGroup

VMI = "virtual-machine-interface"
_MAC = re.compile(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}", re.IGNORECASE)


def _is_unicast(mac: str) -> bool:
    """An address a workload can have: not a group's, and not all zero."""
    if not _MAC.fullmatch(mac):
        return False
    octets = bytes.fromhex(mac.replace("-", "").replace(":", ""))
    return not octets[0] & 1 and any(octets)


def _mac(text: str) -> str:
    """A checked MAC in lower case with colons."""
    return bytes.fromhex(text.replace("-", "").replace(":", "")).hex(":")


class _Waiting(Exception):
    """An interface lacks something; the text says what."""


def compile_oper(
    graph: ConfigGraph,
    ports: tuple[Port, ...],
    devices: Mapping[str, Device],
    encapsulations: tuple[str, ...],
) -> Oper:
    """Everything this host is, from configuration, ports and devices (by name).

    ``encapsulations`` is the order of preference while the configuration names none.
    """
    vrouter = next((config for _, config in graph.resources(GlobalVrouterConfig)), None)
    vmis = {vmi.uuid: (name, vmi) for name, vmi in graph.resources(VirtualMachineInterface)}
    interfaces: dict[str, Interface] = {}
    vrfs: dict[str, Vrf] = {}
    waiting: dict[str, str] = {}
    for port in ports:
        try:
            if port.vmi not in vmis:
                raise _Waiting("no virtual-machine-interface of this uuid in the configuration")
            vrf = _vrf(graph, vmis[port.vmi][0], vrouter)
            interfaces[port.vmi] = _interface(
                graph, port, vmis[port.vmi], vrf, devices.get(port.device)
            )
            vrfs.setdefault(vrf.name, vrf)
        except _Waiting as reason:
            waiting[port.vmi] = str(reason)
    return Oper(interfaces, vrfs, _encapsulations(vrouter, encapsulations), waiting)


def _encapsulations(
    vrouter: GlobalVrouterConfig | None, default: tuple[str, ...]
) -> tuple[str, ...]:
    priorities = vrouter.encapsulation_priorities if vrouter else None
    return tuple((priorities.encapsulation if priorities else None) or default)


def _vrf(graph: ConfigGraph, vmi: str, vrouter: GlobalVrouterConfig | None) -> Vrf:
    """The VRF of an interface: the routing instance its own link names, of its network."""
    key = (VMI, vmi)
    networks = graph.neighbours(key, f"{VMI}-virtual-network", "virtual-network")
    network = graph.resource(VirtualNetwork, networks[0]) if networks else None
    if network is None:
        raise _Waiting("no virtual-network")
    name = networks[0]
    own = set(
        graph.neighbours(
            ("virtual-network", name), "virtual-network-routing-instance", "routing-instance"
        )
    )
    for (type_, instance), rule in graph.linked(
        key, f"{VMI}-routing-instance", PolicyBasedForwardingRuleType
    ):
        plain = rule is None or not (rule.vlan_tag or rule.service_chain_address)
        if type_ == "routing-instance" and instance in own and plain:
            if graph.resource(RoutingInstance, instance) is None:
                raise _Waiting(f"no routing-instance {instance}")
            return _network_vrf(graph, instance, name, network, vrouter)
    raise _Waiting(f"no routing-instance of virtual-network {name}")


def _network_vrf(
    graph: ConfigGraph,
    instance: str,
    name: str,
    network: VirtualNetwork,
    vrouter: GlobalVrouterConfig | None,
) -> Vrf:
    properties = network.virtual_network_properties
    mode = (
        (properties and properties.forwarding_mode)
        or (vrouter and vrouter.forwarding_mode)
        or "l2_l3"
    )
    automatic = not vrouter or vrouter.vxlan_network_identifier_mode in (None, "automatic")
    vni = network.virtual_network_network_id
    if not automatic:
        vni = properties.vxlan_network_identifier if properties else None
    subnets: list[Subnet] = []
    ipams: list[Ipam] = []
    for (_, ipam_name), attribute in graph.linked(
        ("virtual-network", name), "virtual-network-network-ipam", VnSubnetsType
    ):
        ipam = graph.resource(NetworkIpam, ipam_name)
        listed = list((attribute and attribute.ipam_subnets) or ())
        flat = ipam.ipam_subnets if ipam else None
        if flat and flat.subnets and not any(entry.subnet for entry in listed):
            listed = list(flat.subnets)
        shared = _routes(attribute.host_routes if attribute else None)
        subnets.extend(s for entry in listed if (s := _subnet(entry, shared)) is not None)
        if ipam is not None:
            ipams.append(_ipam(ipam_name, ipam))
    return Vrf(
        name=instance,
        network=name,
        network_uuid=network.uuid,
        vni=vni or 0,
        layer2=mode != "l3",
        layer3=mode != "l2",
        flood_unknown=bool(network.flood_unknown_unicast),
        mtu=network.mtu or (properties and properties.mtu) or 0,
        subnets=tuple(sorted(subnets, key=lambda s: (s.prefix.version, s.prefix))),
        ipams=tuple(ipams),
    )


def _address(text: str | None) -> Address | None:
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if int(address) else None


def _subnet(entry: IpamSubnetType, shared: tuple[tuple[str, str], ...]) -> Subnet | None:
    subnet = entry.subnet
    if subnet is None or not subnet.ip_prefix or subnet.ip_prefix_len is None:
        return None
    try:
        prefix = ip_network(f"{subnet.ip_prefix}/{subnet.ip_prefix_len}", strict=False)
    except ValueError:
        return None
    gateway = _address(entry.default_gateway)
    return Subnet(
        prefix=prefix,
        gateway=gateway,
        service=_address(entry.dns_server_address) or gateway,
        dhcp=entry.enable_dhcp is not False,
        dns_servers=tuple(entry.dns_nameservers or ()),
        host_routes=(*_routes(entry.host_routes), *shared),
        options=_options(entry.dhcp_option_list),
    )


def _ipam(name: str, ipam: NetworkIpam) -> Ipam:
    management = ipam.network_ipam_mgmt
    server = management.ipam_dns_server if management else None
    tenant = server.tenant_dns_server_address if server else None
    return Ipam(
        name=name,
        dns_method=(management and management.ipam_dns_method) or "default-dns-server",
        dns_servers=tuple((tenant.ip_address if tenant else None) or ()),
        virtual_dns=(server and server.virtual_dns_server_name) or "",
        host_routes=_routes(management.host_routes if management else None),
        options=_options(management.dhcp_option_list if management else None),
    )


def _routes(table: RouteTableType | None) -> tuple[tuple[str, str], ...]:
    """(prefix, next hop) of host routes; the next hop may be empty."""
    return tuple(
        (route.prefix, route.next_hop or "")
        for route in (table and table.route) or ()
        if route.prefix
    )


def _options(options: DhcpOptionsListType | None) -> tuple[tuple[str, str], ...]:
    """(name or number, value) of configured DHCP options."""
    return tuple(
        (option.dhcp_option_name, option.dhcp_option_value or "")
        for option in (options and options.dhcp_option) or ()
        if option.dhcp_option_name
    )


def _interface(
    graph: ConfigGraph,
    port: Port,
    named: tuple[str, VirtualMachineInterface],
    vrf: Vrf,
    device: Device | None,
) -> Interface:
    name, vmi = named
    listed = vmi.virtual_machine_interface_mac_addresses
    mac = next(iter((listed and listed.mac_address) or ()), None) or port.mac
    if not mac:
        raise _Waiting("no MAC address")
    if not _is_unicast(mac):
        raise _Waiting(f"MAC address {mac!r}: accepted is a unicast one, six octets in hex")
    machines = graph.neighbours((VMI, name), f"{VMI}-virtual-machine", "virtual-machine")
    properties = vmi.virtual_machine_interface_properties
    pairs = vmi.virtual_machine_interface_allowed_address_pairs
    return Interface(
        vmi=port.vmi,
        name=name,
        vm=port.vm,
        vm_name=port.name or (machines[0] if machines else port.vm),
        device=device,
        device_name=port.device,
        mac=_mac(mac),
        vrf=vrf.name,
        addresses=_addresses(graph, name, vrf),
        policy=not vmi.virtual_machine_interface_disable_policy,
        security_groups=_security_groups(graph, name),
        local_preference=(properties and properties.local_preference) or 0,
        allowed_pairs=_pairs(pairs, _mac(mac)),
        shared_prefixes=_shared(pairs),
        static_prefixes=_static_prefixes(graph, name),
        port_security=vmi.port_security_enabled is not False,
        dhcp_options=_options(vmi.virtual_machine_interface_dhcp_option_list),
        host_routes=_routes(vmi.virtual_machine_interface_host_routes),
        layer2=vrf.layer2,
        layer3=vrf.layer3,
        up=port.link_up
        and device is not None
        and device.up
        and _admin_up(vmi)
        and _admin_up(graph.resource(VirtualNetwork, vrf.network)),
    )


def _admin_up(resource: VirtualMachineInterface | VirtualNetwork | None) -> bool:
    permissions = resource.id_perms if resource else None
    return permissions is None or permissions.enable is not False


def _addresses(graph: ConfigGraph, vmi: str, vrf: Vrf) -> tuple[InterfaceAddress, ...]:
    """The instance-ips of an interface, primary ones first, then by address."""
    found = {}
    for name in graph.neighbours((VMI, vmi), f"instance-ip-{VMI}", "instance-ip"):
        instance = graph.resource(InstanceIp, name)
        ip = _address(instance.instance_ip_address) if instance else None
        if instance is None or ip is None:
            continue
        found[ip] = InterfaceAddress(
            ip=ip,
            ecmp=instance.instance_ip_mode == "active-active",
            secondary=bool(instance.instance_ip_secondary or instance.service_instance_ip),
        )
    return tuple(sorted(found.values(), key=lambda a: (a.secondary, a.ip.version, int(a.ip))))


def _security_groups(graph: ConfigGraph, vmi: str) -> tuple[int, ...]:
    names = graph.neighbours((VMI, vmi), f"{VMI}-security-group", "security-group")
    groups = (graph.resource(SecurityGroup, name) for name in names)
    return tuple(
        sorted(group.security_group_id for group in groups if group and group.security_group_id)
    )


def _static_prefixes(graph: ConfigGraph, vmi: str) -> tuple[IPv4Network, ...]:
    """What the interface's route tables say is behind it."""
    names = graph.neighbours((VMI, vmi), f"{VMI}-route-table", "interface-route-table")
    tables = (graph.resource(InterfaceRouteTable, name) for name in names)
    found = set()
    for table in tables:
        for prefix, _ in _routes(table.interface_route_table_routes if table else None):
            try:
                network = ip_network(prefix, strict=False)
            except ValueError:
                continue
            if isinstance(network, IPv4Network):
                found.add(network)
    return tuple(sorted(found))


def _pair_prefix(pair: AllowedAddressPair) -> Network | None:
    if pair.ip is None or not pair.ip.ip_prefix:
        return None
    prefix, length = pair.ip.ip_prefix, pair.ip.ip_prefix_len
    try:
        return ip_network(prefix if length is None else f"{prefix}/{length}", strict=False)
    except ValueError:
        return None


def _pairs(pairs: AllowedAddressPairs | None, own_mac: str) -> tuple[tuple[Network, str], ...]:
    """Further addresses an interface may use, each with its MAC."""
    found = [
        (network, _mac(pair.mac) if pair.mac else own_mac)
        for pair in (pairs and pairs.allowed_address_pair) or ()
        if (network := _pair_prefix(pair)) is not None and (not pair.mac or _is_unicast(pair.mac))
    ]
    return tuple(sorted(found, key=lambda entry: (entry[0].version, entry[0], entry[1])))


def _shared(pairs: AllowedAddressPairs | None) -> tuple[IPv4Network, ...]:
    """Those that several interfaces serve at once."""
    found = {
        network
        for pair in (pairs and pairs.allowed_address_pair) or ()
        if pair.address_mode == "active-active"
        and isinstance(network := _pair_prefix(pair), IPv4Network)
    }
    return tuple(sorted(found))
