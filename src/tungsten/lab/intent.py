"""Writes a lab's intent through the REST API: project, networks, routers, workloads.

Everything is created by name and read back by name, so that applying a lab twice is no error
and a network that exists is used as it is.
"""

from __future__ import annotations

import uuid as uuids
from ipaddress import IPv4Network
from typing import Any

import msgspec

from tungsten import model
from tungsten.client import ApiError, Client
from tungsten.lab.spec import LabSpec
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.addressing import SubnetType
from tungsten.model.bgp import AddressFamilies, BgpRouterParams

DOMAIN = "default-domain"
SYSTEM = "default-global-system-config"
#: The routing instance that is the parent of every bgp-router.
FABRIC_INSTANCE = [DOMAIN, "default-project", "ip-fabric", "__default__"]


class WorkloadIntent(msgspec.Struct, frozen=True):
    """What the API made for one workload."""

    vm: str
    vmi: str
    mac: str
    address: str
    network_uuid: str


async def ensure(client: Client, resource: model.Resource) -> str:
    """The uuid of a resource of this type and name, created if there is none."""
    kind = model.type_of(resource).name
    try:
        return await client.create(resource)
    except ApiError as error:
        if error.status != 409:
            raise
    return await client.id_of(kind, resource.fq_name)


def ref(fq_name: list[str], attr: Any = None) -> Any:
    """A reference by name."""
    return model.Ref(to=fq_name, attr=attr)


class Intent:
    """The objects of one lab."""

    def __init__(self, client: Client, spec: LabSpec) -> None:
        self._client = client
        self._spec = spec
        self._project = [DOMAIN, spec.project]

    async def infrastructure(self) -> None:
        """Control nodes as bgp-routers, compute hosts as virtual-routers, global settings."""
        asn = 64512
        for name in self._spec.controllers:
            address = str(self._spec.hosts[name].interface.ip)
            await ensure(
                self._client,
                model.BgpRouter(
                    fq_name=[*FABRIC_INSTANCE, name],
                    parent_type="routing-instance",
                    bgp_router_parameters=BgpRouterParams(
                        router_type="control-node",
                        vendor="tungsten",
                        autonomous_system=asn,
                        identifier=address,
                        address=address,
                        port=179,
                        address_families=AddressFamilies(
                            family=["route-target", "inet-vpn", "inet6-vpn", "e-vpn"]
                        ),
                    ),
                ),
            )
        for name, host in self._spec.hosts.items():
            if host.role.value == "compute":
                await ensure(
                    self._client,
                    model.VirtualRouter(
                        fq_name=[SYSTEM, name],
                        parent_type="global-system-config",
                        virtual_router_ip_address=str(host.interface.ip),
                    ),
                )
        if self._spec.global_vrouter_config:
            target = [SYSTEM, "default-global-vrouter-config"]
            uuid = await self._client.id_of("global-vrouter-config", target)
            await self._client.update(
                "global-vrouter-config", uuid, self._spec.global_vrouter_config
            )

    async def networks(self) -> None:
        """The project and its networks."""
        await ensure(self._client, model.Project(fq_name=self._project, parent_type="domain"))
        ipam = [DOMAIN, "default-project", "default-network-ipam"]
        for name, network in self._spec.networks.items():
            subnet = IPv4Network(network.subnet)
            attr = VnSubnetsType(
                ipam_subnets=[
                    IpamSubnetType(
                        subnet=SubnetType(
                            ip_prefix=str(subnet.network_address), ip_prefix_len=subnet.prefixlen
                        ),
                        addr_from_start=True,
                    )
                ]
            )
            await ensure(
                self._client,
                model.VirtualNetwork(
                    fq_name=[*self._project, name],
                    parent_type="project",
                    network_ipam_refs=[ref(ipam, attr)],
                ),
            )

    async def workload(self, name: str, network: str) -> WorkloadIntent:
        """A virtual-machine with one interface in a network, and its address."""
        vn = [*self._project, network]
        vm = str(uuids.uuid4())
        await self._client.create(model.VirtualMachine(uuid=vm, fq_name=[vm], display_name=name))
        port = [*self._project, f"{name}-{vm[:8]}"]
        vmi = await self._client.create(
            model.VirtualMachineInterface(
                fq_name=port,
                parent_type="project",
                display_name=name,
                virtual_network_refs=[ref(vn)],
                virtual_machine_refs=[ref([vm])],
            )
        )
        address_uuid = await self._client.create(
            model.InstanceIp(
                fq_name=[f"{name}-{vm[:8]}"],
                virtual_network_refs=[ref(vn)],
                virtual_machine_interface_refs=[ref(port)],
            )
        )
        interface = await self._client.read("virtual-machine-interface", vmi)
        address = await self._client.read("instance-ip", address_uuid)
        assert isinstance(interface, model.VirtualMachineInterface)
        assert isinstance(address, model.InstanceIp)
        macs = interface.virtual_machine_interface_mac_addresses
        assert macs is not None
        assert macs.mac_address
        assert address.instance_ip_address is not None
        return WorkloadIntent(
            vm=vm,
            vmi=vmi,
            mac=macs.mac_address[0],
            address=address.instance_ip_address,
            network_uuid=interface.virtual_network_refs[0].uuid or "",
        )
