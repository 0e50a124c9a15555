"""Objects of a store of any size, as the API would have written them.

Projects, their networks, and on the networks *ports*: a virtual-machine-interface and the
instance-ip that gives it an address. Uuids follow from names, so any part can be made alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid5

from tungsten.model import (
    InstanceIp,
    Project,
    Ref,
    Resource,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.model.addressing import MacAddressesType
from tungsten.model.common import IdPermsType, PermType, PermType2, UuidType

DOMAIN = "default-domain"
_NAMES = UUID("5d1f7a63-8c0e-4f55-9a55-0c8f6d1f3b70")
_WRITTEN = "2026-01-01T00:00:00.000000"


class Population:
    """``networks`` networks of ``projects`` projects; ports are spread over the networks."""

    def __init__(self, projects: int, networks: int, domain: str | None = None) -> None:
        """``domain`` is the uuid of default-domain; None leaves the projects without parent."""
        self.projects = projects
        self.networks = networks
        self.domain = domain

    def common(self) -> Iterator[Resource]:
        """The projects and their networks."""
        for p in range(self.projects):
            yield common_part(
                Project(
                    uuid=uid(f"project-{p}"),
                    fq_name=[DOMAIN, f"project-{p}"],
                    parent_type=None if self.domain is None else "domain",
                    parent_uuid=self.domain,
                )
            )
        for n in range(self.networks):
            p = n % self.projects
            yield common_part(
                VirtualNetwork(
                    uuid=uid(f"network-{n}"),
                    fq_name=[DOMAIN, f"project-{p}", f"network-{n}"],
                    parent_type="project",
                    parent_uuid=uid(f"project-{p}"),
                    virtual_network_network_id=1000 + n,
                )
            )

    def port(self, number: int) -> tuple[Resource, Resource]:
        """A port on one of the networks, and its address."""
        n, uuid = number % self.networks, uid(f"port-{number}")
        p = n % self.projects
        name = [DOMAIN, f"project-{p}", f"port-{number}"]
        network = [DOMAIN, f"project-{p}", f"network-{n}"]
        on: Ref[None] = Ref(to=network, uuid=uid(f"network-{n}"))
        mac = "02:" + ":".join(f"{byte:02x}" for byte in UUID(uuid).bytes[:5])
        interface = VirtualMachineInterface(
            uuid=uuid,
            fq_name=name,
            parent_type="project",
            parent_uuid=uid(f"project-{p}"),
            virtual_network_refs=[on],
            virtual_machine_interface_mac_addresses=MacAddressesType(mac_address=[mac]),
            virtual_machine_interface_device_owner="compute:nova",
        )
        address = InstanceIp(
            uuid=uid(f"address-{number}"),
            fq_name=[f"filled-{number}"],
            instance_ip_address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            subnet_uuid=uid(f"subnet-{n}"),
            virtual_network_refs=[on],
            virtual_machine_interface_refs=[Ref(to=name, uuid=uuid)],
        )
        return common_part(interface), common_part(address)

    def objects(self, ports: int) -> Iterator[Resource]:
        """Everything, with a number of ports."""
        yield from self.common()
        for number in range(ports):
            yield from self.port(number)


def uid(name: str) -> str:
    """The uuid of an object."""
    return str(uuid5(_NAMES, name))


def common_part(resource: Resource) -> Resource:
    """The resource with what the API puts on every object."""
    value = UUID(resource.uuid).int
    resource.id_perms = IdPermsType(
        enable=True,
        user_visible=True,
        created=_WRITTEN,
        last_modified=_WRITTEN,
        uuid=UuidType(uuid_mslong=value >> 64, uuid_lslong=value & (1 << 64) - 1),
        permissions=PermType(
            owner="cloud-admin",
            owner_access=7,
            group="cloud-admin-group",
            group_access=7,
            other_access=7,
        ),
    )
    resource.perms2 = PermType2(owner="cloud-admin", owner_access=7, global_access=0, share=[])
    resource.display_name = resource.name
    return resource
