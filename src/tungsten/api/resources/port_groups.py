"""Rules of virtual-port-group, and of the ports of servers that no agent runs on.

Such a server (``vnic_type`` ``baremetal``) is connected to ports of switches. Its
virtual-machine-interface names them in the binding ``profile``: JSON with
``local_link_information``, a list of ``switch_info`` (the physical-router), ``port_id`` (the
physical-interface) and perhaps ``fabric``. All of them are in one virtual-port-group, which
refers to them and to the interfaces: the one that the binding ``vpg`` names, the one that has
them already, or a new one that goes with its last interface.

The VLAN of an interface is its ``sub_interface_vlan_tag``; without one it is untagged, and the
binding ``tor_port_vlan_id`` says which VLAN the switch puts it in.

In a fabric of *enterprise style* a VLAN means one network on all ports of a switch, and a network
has one VLAN there unless the fabric allows more; in any fabric a VLAN is used once in a group,
and one interface of it is untagged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec

from tungsten.api.errors import BadRequest, NotFound, echo, name_list
from tungsten.api.ids import IdSpace
from tungsten.api.pairs import GLOBAL_SYSTEM_CONFIG
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.making import make
from tungsten.api.transactions import Write, find, load
from tungsten.model import Ref, VirtualMachineInterface
from tungsten.model.fabric import Fabric, VirtualPortGroup, VpgInterfaceParametersType
from tungsten.model.physical import PhysicalInterface, PhysicalRouter
from tungsten.store.base import Snapshot

BAREMETAL = "baremetal"
GROUP_IDS = IdSpace("virtual-port-group-id", 0, 65_535, "virtual port group ID")
INTERNAL = "vpg-internal-"
"""What the names of groups that the system makes begin with; then their number."""

MOST_LINKS = 128


def aggregate_ids(router: str) -> IdSpace:
    """The numbers of aggregates of one switch."""
    return IdSpace(f"aggregated-ethernet:{router}", 0, 127, f"aggregate of {router}")


# -- what an interface says -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where an interface is connected: links as (switch, port, fabric or empty), and the group."""

    links: tuple[tuple[str, str, str], ...]
    group: str


def bindings(port: VirtualMachineInterface) -> dict[str, str]:
    """The bindings of an interface as a mapping."""
    pairs = port.virtual_machine_interface_bindings
    said = (pairs.key_value_pair if pairs else None) or []
    return {one.key: one.value or "" for one in said if one.key}


def place_of(port: VirtualMachineInterface) -> Place | None:
    """Where an interface of a server without an agent is connected. Raises BadRequest."""
    said = bindings(port)
    if said.get("vnic_type") != BAREMETAL:
        return None
    links = _links(said.get("profile", ""))
    return Place(links, said.get("vpg", "")) if links or said.get("vpg") else None


def _links(profile: str) -> tuple[tuple[str, str, str], ...]:
    try:
        said = msgspec.json.decode(profile) if profile else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadRequest(f"binding profile is not JSON: {error}") from error
    links = said.get("local_link_information") if isinstance(said, dict) else None
    if links is None:
        return ()
    if not isinstance(links, list) or len(links) > MOST_LINKS:
        raise BadRequest(
            f"local_link_information must be a list of at most {MOST_LINKS} links, not "
            f"{echo(links)}"
        )
    return tuple(_link(one) for one in links)


def _link(one: Any) -> tuple[str, str, str]:
    if not isinstance(one, dict) or not all(
        isinstance(one.get(key), str) and one[key] for key in ("switch_info", "port_id")
    ):
        raise BadRequest(f"local_link_information needs switch_info and port_id, not {echo(one)}")
    fabric = one.get("fabric")
    return one["switch_info"], one["port_id"], fabric if isinstance(fabric, str) else ""


def vlan_of(port: VirtualMachineInterface) -> tuple[int, bool]:
    """The VLAN of an interface, and whether its packets say it; 0: the switch's own."""
    properties = port.virtual_machine_interface_properties
    tag = properties.sub_interface_vlan_tag if properties else None
    if tag:
        return tag, True
    text = bindings(port).get("tor_port_vlan_id", "") or "0"
    if not (text.isascii() and text.isdecimal() and int(text) <= 4094):
        raise BadRequest(f"binding tor_port_vlan_id must be a VLAN, 0 to 4094, not {echo(text)}")
    return int(text), False


# -- joining and leaving a group ------------------------------------------------------------


def join_group(write: Write, port: VirtualMachineInterface) -> None:
    """An interface of a server without an agent is in the group of the ports it is connected to."""
    place = place_of(port)
    if place is None:
        return
    interfaces = [_interface(write, switch, name) for switch, name, _ in place.links]
    fabric = _fabric(write, place)
    group = _group(write, place, fabric, interfaces)
    changed = msgspec.structs.replace(group)
    held = {ref.uuid for ref in group.physical_interface_refs}
    changed.physical_interface_refs = [
        *group.physical_interface_refs,
        *(Ref(list(one.fq_name), one.uuid) for one in interfaces if one.uuid not in held),
    ]
    if all(ref.uuid != port.uuid for ref in group.virtual_machine_interface_refs):
        changed.virtual_machine_interface_refs = [
            *group.virtual_machine_interface_refs,
            Ref(list(port.fq_name), port.uuid),
        ]
    settle_interfaces(write, changed)
    check_vlans(write, changed, port)
    _save(write, changed)


def _save(write: Write, group: VirtualPortGroup) -> None:
    record = write.tx.get(group.uuid)
    assert record is not None
    write.touch(group)
    write.save(group, record)


def _interface(write: Write, switch: str, name: str) -> PhysicalInterface:
    fq_name = [GLOBAL_SYSTEM_CONFIG, switch, name]
    found = find(write.tx, PhysicalInterface, "physical-interface", fq_name)
    if found is None:
        raise NotFound(f"Unable to find physical interface {name_list(fq_name)}")
    return found


def _fabric(write: Write, place: Place) -> Fabric | None:
    """The fabric that all links are in."""
    names = {fabric for _, _, fabric in place.links if fabric}
    for switch, _, fabric in place.links:
        if not fabric:
            router = find(
                write.tx, PhysicalRouter, "physical-router", [GLOBAL_SYSTEM_CONFIG, switch]
            )
            names |= {ref.to[-1] for ref in router.fabric_refs} if router is not None else set()
    if len(names) > 1:
        raise BadRequest(f"Physical interfaces are in several fabrics: {sorted(names)!r}")
    if not names:
        return None
    fq_name = [GLOBAL_SYSTEM_CONFIG, next(iter(names))]
    found = find(write.tx, Fabric, "fabric", fq_name)
    if found is None:
        raise NotFound(f"Unable to find fabric {name_list(fq_name)}")
    return found


def _group(
    write: Write, place: Place, fabric: Fabric | None, interfaces: list[PhysicalInterface]
) -> VirtualPortGroup:
    """The group that an interface is to be in; a new one where there is none."""
    groups: dict[str, VirtualPortGroup] = {}
    for one in interfaces:
        for group in write.referrers(VirtualPortGroup, one.uuid, "virtual-port-group"):
            groups[group.uuid] = group
    if place.group:
        above = [GLOBAL_SYSTEM_CONFIG, fabric.fq_name[-1]] if fabric is not None else []
        named = next((g for g in groups.values() if g.fq_name[-1] == place.group), None)
        named = named or find(
            write.tx, VirtualPortGroup, "virtual-port-group", [*above, place.group]
        )
        named = named or next(_groups_called(write, place.group), None)
        if named is None:
            raise NotFound(f"Unable to find virtual port group {echo(place.group)}")
        groups[named.uuid] = named
    if len(groups) > 1:
        names = sorted(":".join(group.fq_name) for group in groups.values())
        raise BadRequest(f"Physical interfaces are in several virtual port groups: {names!r}")
    for group in groups.values():
        return group
    if fabric is None:
        raise BadRequest("local_link_information needs the fabric that its switches are in")
    return _new_group(write, fabric)


def _groups_called(write: Write, name: str) -> Iterator[VirtualPortGroup]:
    for record in write.tx.records("virtual-port-group"):
        if record.fq_name[-1] == name:
            group = write.load(VirtualPortGroup, record.uuid)
            if group is not None:
                yield group


def _new_group(write: Write, fabric: Fabric) -> VirtualPortGroup:
    """A group that the system makes, and that goes with its last interface."""
    uuid = str(uuid4())
    number = GROUP_IDS.allocate(write.tx, uuid)
    made = VirtualPortGroup(
        uuid=uuid,
        fq_name=[*fabric.fq_name, f"{INTERNAL}{number}"],
        virtual_port_group_lacp_enabled=True,
        virtual_port_group_user_created=False,
    )
    make(write, made, fabric)
    return made


def leave_groups(write: Write, port: VirtualMachineInterface) -> None:
    """An interface that goes is in no group; one that the system made goes when it is empty."""
    if bindings(port).get("vnic_type") != BAREMETAL:
        return
    for group in list(write.referrers(VirtualPortGroup, port.uuid, "virtual-port-group")):
        kept = [ref for ref in group.virtual_machine_interface_refs if ref.uuid != port.uuid]
        group.virtual_machine_interface_refs = kept
        _save(write, group)
        if not kept and group.virtual_port_group_user_created is False:
            write.tx.delete(group.uuid)


def rejoin_group(write: Write, old: VirtualMachineInterface, new: VirtualMachineInterface) -> None:
    """An interface that is connected elsewhere, or in another VLAN, changes its group."""
    before, after = place_of(old), place_of(new)
    networks = [[ref.uuid for ref in one.virtual_network_refs] for one in (old, new)]
    same = before == after and networks[0] == networks[1]
    if same and (after is None or vlan_of(old) == vlan_of(new)):
        return
    if before is not None and before != after:
        leave_groups(write, old)
    join_group(write, new)


# -- what a group may be --------------------------------------------------------------------


def settle_interfaces(write: Write, group: VirtualPortGroup) -> None:
    """A port of a switch is in one group; the ports of a group that has several are aggregates.

    All ports of a group on one switch are the same aggregate.
    """
    routers = set()
    several = len(group.physical_interface_refs) > 1
    for ref in group.physical_interface_refs:
        for other in write.tx.referrers(ref.uuid, "virtual-port-group"):
            if other.uuid != group.uuid:
                raise BadRequest(
                    f"Physical interface {name_list(ref.to)} is already in virtual port group "
                    f"{name_list(other.fq_name)}"
                )
        interface = write.load(PhysicalInterface, ref.uuid)
        if interface is None or not several:
            continue
        router = interface.parent_uuid or ""
        routers.add(router)
        ref.attr = VpgInterfaceParametersType(ae_num=_aggregate(write, router, group.uuid))
    kept = {aggregate_ids(router).space for router in routers}
    for space, key in write.tx.owned_claims(group.uuid):
        if space.startswith(aggregate_ids("").space) and space not in kept:
            write.tx.release(space, key)


def _aggregate(write: Write, router: str, group: str) -> int:
    """The number of a group's aggregate on a switch."""
    ids = aggregate_ids(router)
    for space, key in write.tx.owned_claims(group):
        if space == ids.space:
            return int(key, 16)
    return ids.allocate(write.tx, group)


def check_vlans(
    write: Write, group: VirtualPortGroup, changed: VirtualMachineInterface | None = None
) -> None:
    """The VLANs of the interfaces of a group fit each other, and those of its switches."""
    ports = list(_ports(write, group, changed))
    seen: dict[int, VirtualMachineInterface] = {}
    untagged = None
    for port in ports:
        vlan, tagged = vlan_of(port)
        if not tagged and untagged is not None:
            raise BadRequest(
                f"Virtual port group {name_list(group.fq_name)} has an untagged interface "
                f"already: {untagged.uuid}"
            )
        untagged = untagged if tagged else port
        if vlan and vlan in seen:
            raise BadRequest(
                f"VLAN {vlan} is used in virtual port group {name_list(group.fq_name)} already, "
                f"by {seen[vlan].uuid}"
            )
        seen[vlan] = port
    fabric = write.load(Fabric, group.parent_uuid or "")
    if fabric is not None and fabric.fabric_enterprise_style is not False:
        _check_switches(write, group, ports, fabric)


def _check_switches(
    write: Write, group: VirtualPortGroup, ports: list[VirtualMachineInterface], fabric: Fabric
) -> None:
    others = [port for other in _neighbours(write, group) for port in _ports(write, other, None)]
    for port in ports:
        vlan, network = vlan_of(port)[0], _network(port)
        for other in others:
            there = vlan_of(other)[0]
            if not vlan or not there:
                continue
            if vlan == there and network != _network(other):
                raise BadRequest(
                    f"VLAN {vlan} is that of another virtual network on the same switch: "
                    f"interface {other.uuid}"
                )
            if (
                vlan != there
                and network == _network(other)
                and not fabric.disable_vlan_vn_uniqueness_check
            ):
                raise BadRequest(
                    f"Virtual network {network} has VLAN {there} on the same switch, not {vlan}: "
                    f"interface {other.uuid}"
                )


def _network(port: VirtualMachineInterface) -> str:
    return port.virtual_network_refs[0].uuid if port.virtual_network_refs else ""


def _ports(
    write: Write, group: VirtualPortGroup, changed: VirtualMachineInterface | None
) -> Iterator[VirtualMachineInterface]:
    for ref in group.virtual_machine_interface_refs:
        if changed is not None and ref.uuid == changed.uuid:
            yield changed
            continue
        port = write.load(VirtualMachineInterface, ref.uuid)
        if port is not None:
            yield port


def _neighbours(write: Write, group: VirtualPortGroup) -> list[VirtualPortGroup]:
    """The other groups on the switches of a group."""
    routers = set()
    for ref in group.physical_interface_refs:
        interface = write.load(PhysicalInterface, ref.uuid)
        if interface is not None and interface.parent_uuid:
            routers.add(interface.parent_uuid)
    found: dict[str, VirtualPortGroup] = {}
    for router in routers:
        for record in write.tx.children(router, "physical-interface"):
            for other in write.referrers(VirtualPortGroup, record.uuid, "virtual-port-group"):
                found[other.uuid] = other
    found.pop(group.uuid, None)
    return list(found.values())


def aggregates(snapshot: Snapshot, group: VirtualPortGroup) -> Iterator[tuple[IdSpace, int]]:
    """The numbers that a group has: its own, and those of its aggregates."""
    number = group.fq_name[-1].removeprefix(INTERNAL)
    if group.virtual_port_group_user_created is False and number.isdecimal():
        yield GROUP_IDS, int(number)
    if len(group.physical_interface_refs) < 2:
        return
    for ref in group.physical_interface_refs:
        interface = load(snapshot, PhysicalInterface, ref.uuid)
        if interface is not None and ref.attr is not None and ref.attr.ae_num is not None:
            yield aggregate_ids(interface.parent_uuid or ""), ref.attr.ae_num


def check_group(write: Write, group: VirtualPortGroup) -> None:
    """A group that a client makes or changes."""
    settle_interfaces(write, group)
    check_vlans(write, group)


def keep_group(write: Write, old: VirtualPortGroup, new: VirtualPortGroup) -> None:
    """What a client changes of a group is checked as a new one is."""
    check_group(write, new)


HOOKS: dict[str, Hooks[Any]] = {
    "virtual-port-group": Hooks[VirtualPortGroup](create=(check_group,), update=(keep_group,)),
}
