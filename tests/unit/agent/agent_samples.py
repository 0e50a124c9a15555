"""Port descriptions as orchestrators send them, and configuration as control sends it."""

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

from tungsten.agent.config import ConfigGraph
from tungsten.agent.oper import Device
from tungsten.agent.ports import Port, parse_port
from tungsten.model import Resource, ifmap, type_of
from tungsten.model.addresses import InstanceIp, IpamSubnetType, NetworkIpam, VnSubnetsType
from tungsten.model.addressing import MacAddressesType, SubnetType
from tungsten.model.common import IdPermsType, UuidType
from tungsten.model.fields import Complex
from tungsten.model.hosts import VirtualMachine
from tungsten.model.interfaces import PolicyBasedForwardingRuleType, VirtualMachineInterface
from tungsten.model.networks import VirtualNetwork
from tungsten.model.routing import RoutingInstance
from tungsten.xmpp.stanzas import ConfigLink, ConfigMessage, ConfigNode, ConfigOperation

VMI = "a0ee1234-0000-4000-8000-000000000001"
VM = "f9a31234-0000-4000-8000-000000000002"
VN = "5ba01234-0000-4000-8000-000000000003"


def port(**changes: Any) -> dict[str, Any]:
    record = {
        "id": VMI,
        "instance-id": VM,
        "vn-id": VN,
        "vm-project-id": "77c11234-0000-4000-8000-000000000004",
        "display-name": "vm1",
        "ip-address": "10.1.1.3",
        "ip6-address": "",
        "system-name": "tapa0ee1234-56",
        "mac-address": "02:a0:ee:12:34:56",
        "type": 0,
        "rx-vlan-id": -1,
        "tx-vlan-id": -1,
    }
    return {key.replace("_", "-"): value for key, value in {**record, **changes}.items()}


def vm_port(**changes: Any) -> dict[str, Any]:
    record = {
        "vm-uuid": VM,
        "host-ifname": "tapeth0-f9a3",
        "vm-name": "pod1",
        "vn-uuid": VN,
        "vmi-uuid": VMI,
        "vm-ifname": "eth0",
    }
    return {**record, **changes}


# --- configuration, as control sends it -------------------------------------------------------


def node(resource: Resource) -> ConfigOperation:
    element = ElementTree.fromstring(ifmap.node(resource))
    type_ = type_of(resource).name
    return ConfigOperation(ConfigNode(type_, ifmap.node_name(resource), element=element))


def link(left: Resource, right: Resource, metadata: str) -> list[ConfigOperation]:
    ends = [(type_of(r).name, ifmap.node_name(r)) for r in (left, right)]
    return [ConfigOperation(ConfigLink(ends[0], ends[1], metadata))]


def link_with(
    left: Resource, right: Resource, metadata: str, attribute: Complex
) -> list[ConfigOperation]:
    names = [ifmap.node_name(r) for r in (left, right)]
    element = ElementTree.fromstring(ifmap.attr_node(metadata, names[0], names[1], attribute))
    middle = (metadata, ifmap.attr_name(names[0], names[1]))
    ends = [(type_of(r).name, ifmap.node_name(r)) for r in (left, right)]
    return [
        ConfigOperation(ConfigNode(metadata, middle[1], element=element)),
        ConfigOperation(ConfigLink(ends[0], middle, metadata)),
        ConfigOperation(ConfigLink(ends[1], middle, metadata)),
    ]


def number_uuid(kind: int, number: int) -> str:
    return str(UUID(int=(kind << 64) + number, version=4))


def permissions(uuid: str) -> IdPermsType:
    high, low = ifmap.split_uuid(uuid)
    return IdPermsType(enable=True, uuid=UuidType(uuid_mslong=high, uuid_lslong=low))


class World:
    """A project with networks and interfaces, as configuration operations."""

    def __init__(self) -> None:
        self.operations: list[ConfigOperation] = []
        self.ports: list[Port] = []
        self.networks: dict[str, tuple[VirtualNetwork, RoutingInstance]] = {}

    def network(self, name: str, subnet: str, **properties: Any) -> str:
        """A network of one subnet, gateway .1, service .2; answers its VRF's name."""
        uuid = number_uuid(1, len(self.networks) + 1)
        prefix = IPv4Network(subnet)
        vn = VirtualNetwork(
            uuid=uuid,
            fq_name=["default-domain", "demo", name],
            id_perms=permissions(uuid),
            virtual_network_network_id=len(self.networks) + 10,
            **properties,
        )
        ri_uuid = number_uuid(2, len(self.networks) + 1)
        ri = RoutingInstance(
            uuid=ri_uuid, fq_name=[*vn.fq_name, name], id_perms=permissions(ri_uuid)
        )
        ipam_uuid = number_uuid(3, 1)
        ipam = NetworkIpam(
            uuid=ipam_uuid,
            fq_name=["default-domain", "default-project", "default-network-ipam"],
            id_perms=permissions(ipam_uuid),
        )
        subnets = VnSubnetsType(
            ipam_subnets=[
                IpamSubnetType(
                    subnet=SubnetType(
                        ip_prefix=str(prefix.network_address), ip_prefix_len=prefix.prefixlen
                    ),
                    default_gateway=str(prefix[1]),
                    dns_server_address=str(prefix[2]),
                    enable_dhcp=True,
                )
            ]
        )
        self.operations += [node(vn), node(ri), node(ipam)]
        self.operations += link(vn, ri, "virtual-network-routing-instance")
        self.operations += link_with(vn, ipam, "virtual-network-network-ipam", subnets)
        self.networks[name] = (vn, ri)
        return ":".join(ri.fq_name)

    def interface(self, network: str, ip: str | None, **properties: Any) -> str:
        """An interface with its machine, address and port; answers its uuid."""
        number = len(self.ports) + 1
        vn, ri = self.networks[network]
        uuid, vm_uuid, ip_uuid = (number_uuid(kind, number) for kind in (4, 5, 6))
        mac = f"02:00:00:00:00:{number:02x}"
        vmi = VirtualMachineInterface(
            uuid=uuid,
            fq_name=["default-domain", "demo", f"port{number}"],
            id_perms=permissions(uuid),
            virtual_machine_interface_mac_addresses=MacAddressesType(mac_address=[mac]),
            **properties,
        )
        vm = VirtualMachine(uuid=vm_uuid, fq_name=[vm_uuid], id_perms=permissions(vm_uuid))
        self.operations += [node(vmi), node(vm)]
        self.operations += link(vmi, vm, "virtual-machine-interface-virtual-machine")
        self.operations += link(vmi, vn, "virtual-machine-interface-virtual-network")
        self.operations += link_with(
            vmi,
            ri,
            "virtual-machine-interface-routing-instance",
            PolicyBasedForwardingRuleType(direction="both"),
        )
        if ip is not None:
            instance = InstanceIp(
                uuid=ip_uuid,
                fq_name=[ip_uuid],
                id_perms=permissions(ip_uuid),
                instance_ip_address=ip,
            )
            self.operations.append(node(instance))
            self.operations += link(instance, vmi, "instance-ip-virtual-machine-interface")
            self.operations += link(instance, vn, "instance-ip-virtual-network")
        record = port(id=uuid, **{"instance-id": vm_uuid, "vn-id": vn.uuid})
        record["system-name"] = f"tap{number}"
        self.ports.append(parse_port(record))
        return uuid

    def devices(self) -> dict[str, Device]:
        return {
            p.device: Device(p.device, 100 + n, "fe:00:00:00:00:01", 1500, True, "veth")
            for n, p in enumerate(self.ports)
        }

    def graph(self, operations: Iterable[ConfigOperation] | None = None) -> ConfigGraph:
        graph = ConfigGraph()
        for operation in self.operations if operations is None else operations:
            graph.apply(ConfigMessage((operation,)))
        return graph
