"""The agent's state in the words of the port API: addressing and configuration of ports.

Field names are upstream's; the CNI plugin polls these until its interface is ready.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from tungsten.agent.agent import Agent
from tungsten.agent.leases import lease_for, short_lease
from tungsten.agent.oper import Interface, Vrf
from tungsten.agent.ports import AUTHOR, Port
from tungsten.agent.services.dhcp import Lease
from tungsten.model.hosts import VirtualMachine
from tungsten.model.interfaces import VirtualMachineInterface

_NO_VLAN = 65535
_NO_ADDRESS = str(IPv4Address(0))


class AgentRecords:
    """Answers the port API's and the services' questions from an :class:`Agent`."""

    def __init__(self, agent: Agent, lease_seconds: int, short_seconds: int) -> None:
        self._agent = agent
        self._lease_seconds = lease_seconds
        self._short_seconds = short_seconds

    # services.pkt0.Lookup

    def port(self, vif: int) -> tuple[Interface, Vrf] | None:
        """The interface behind a vif, with its VRF."""
        interface = self._agent.interface_of_vif(vif)
        if interface is None:
            return None
        return interface, self._agent.oper.vrfs[interface.vrf]

    def lease(self, vif: int) -> Lease | None:
        """What DHCP tells a port: its configuration, or to come back while there is none."""
        known = self.port(vif)
        device = self._agent.fabric_device
        if known is None or device is None:
            return None
        interface, vrf = known
        if interface.ip is None:
            port = self._agent.ports.get(interface.vmi)
            if not any(subnet.dhcp for subnet in vrf.subnets):
                return None
            return short_lease(port.ip if port else None, vif, self._short_seconds)
        return lease_for(interface, vrf, device.mtu, self._lease_seconds)

    # port_api.Lookup

    def addressing(self, vm: str, vmi: str | None) -> list[dict[str, Any]]:
        """Addressing of a virtual machine's interfaces that are ready."""
        oper = self._agent.oper
        return [
            self._addressing(port, oper.interfaces[port.vmi])
            for port in self._agent.ports.ports()
            if port.vm == vm
            and vmi in (None, port.vmi)
            and port.vmi in oper.interfaces
            and oper.interfaces[port.vmi].addresses
        ]

    def _addressing(self, port: Port, interface: Interface) -> dict[str, Any]:
        vrf = self._agent.oper.vrfs[interface.vrf]
        ip, ip6 = interface.ip, interface.ip6
        subnet = vrf.subnet_of(ip) if ip else None
        subnet6 = vrf.subnet_of(ip6) if ip6 else None
        return {
            "id": port.vmi,
            "instance-id": port.vm,
            "vn-id": vrf.network_uuid,
            "vm-project-id": port.project,
            "mac-address": interface.mac,
            "system-name": port.device,
            "rx-vlan-id": port.rx_vlan if port.rx_vlan >= 0 else _NO_VLAN,
            "tx-vlan-id": port.tx_vlan if port.tx_vlan >= 0 else _NO_VLAN,
            "vhostuser-mode": port.vhostuser_mode,
            "ip-address": str(ip or _NO_ADDRESS),
            "plen": subnet.prefix.prefixlen if subnet else 32,
            "dns-server": str((subnet and subnet.service) or _NO_ADDRESS),
            "gateway": str((subnet and subnet.gateway) or _NO_ADDRESS),
            "v6-ip-address": str(ip6 or "::"),
            "v6-plen": subnet6.prefix.prefixlen if subnet6 else 128,
            "v6-dns-server": str((subnet6 and subnet6.service) or "::"),
            "v6-gateway": str((subnet6 and subnet6.gateway) or "::"),
            "author": port.record.get("author", AUTHOR),
            "time": port.record.get("time", ""),
        }

    def vm_config(self, name: str) -> list[dict[str, Any]]:
        """Interfaces of the virtual machine called ``name``, from the configuration alone."""
        graph = self._agent.graph
        records = []
        for machine, resource in graph.resources(VirtualMachine):
            if name not in (machine, resource.display_name, resource.name):
                continue
            key = ("virtual-machine", machine)
            link = "virtual-machine-interface-virtual-machine"
            for vmi_name in graph.neighbours(key, link, "virtual-machine-interface"):
                vmi = graph.resource(VirtualMachineInterface, vmi_name)
                if vmi is not None:
                    records.append(self._config_record(resource, vmi_name, vmi))
        return records

    def _config_record(
        self, machine: VirtualMachine, name: str, vmi: VirtualMachineInterface
    ) -> dict[str, Any]:
        graph = self._agent.graph
        link = "virtual-machine-interface-virtual-network"
        networks = graph.neighbours(("virtual-machine-interface", name), link, "virtual-network")
        macs = vmi.virtual_machine_interface_mac_addresses
        properties = vmi.virtual_machine_interface_properties
        vlan = (properties and properties.sub_interface_vlan_tag) or 0
        annotations = (vmi.annotations and vmi.annotations.key_value_pair) or []
        return {
            "id": vmi.uuid,
            "vm-uuid": machine.uuid,
            "vn-id": self._network_uuid(networks[0]) if networks else "",
            "vn-name": networks[0] if networks else "",
            "mac-address": next(iter((macs and macs.mac_address) or []), ""),
            "sub-interface": bool(vlan),
            "vlan-id": vlan or _NO_VLAN,
            "annotations": [f"{{{pair.key}:{pair.value}}}" for pair in annotations],
        }

    def _network_uuid(self, name: str) -> str:
        for vrf in self._agent.oper.vrfs.values():
            if vrf.network == name:
                return vrf.network_uuid
        return ""
