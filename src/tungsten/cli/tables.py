"""Tables of objects: which columns a type has, and how they are printed.

A table fits the terminal; piped, it is one line an object, columns apart by two blanks or more,
without colour, boxes or truncation, so that ``awk`` and ``cut`` work.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tungsten.cli.nouns import full_name
from tungsten.model import Ref, Resource, ResourceType, type_of

Column = tuple[str, Callable[[Resource], str]]

EMPTY = "-"


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
}

_WIDE: Sequence[Column] = (
    ("UUID", lambda resource: resource.uuid),
    ("CREATED", _time("id_perms.created")),
    ("MODIFIED", _time("id_perms.last_modified")),
)


def columns_of(type_: ResourceType, *, wide: bool) -> Sequence[Column]:
    """The columns of a type's table."""
    return (
        ("NAME", full_name),
        *_COLUMNS.get(type_.name, (("UUID", lambda resource: resource.uuid),)),
        *(_WIDE if wide else ()),
    )


def object_table(resources: Sequence[Resource], *, wide: bool, width: int | None) -> str:
    """A table of objects of one type. ``width`` None: nothing is cut."""
    if not resources:
        return ""
    columns = columns_of(type_of(resources[0]), wide=wide)
    rows = [[one_line(read(each)) for _, read in columns] for each in resources]
    return plain_table([name for name, _ in columns], rows, width)


def one_line(value: str) -> str:
    """A cell without what would break a line or a terminal: names are other people's words."""
    return "".join(c if c.isprintable() else "?" for c in value)


def plain_table(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Columns apart by two blanks. With a ``width`` the widest columns are cut to fit in it."""
    sizes = [
        max(len(name), *(len(row[column]) for row in rows)) if rows else len(name)
        for column, name in enumerate(names)
    ]
    if width is not None:
        sizes = _shrunk(sizes, [len(name) for name in names], width)
    return "".join(_line(row, sizes) for row in (names, *rows))


def _shrunk(sizes: list[int], least: Sequence[int], width: int) -> list[int]:
    """Sizes made smaller, the largest first, until the line fits or nothing can give."""
    sizes = list(sizes)
    while sum(sizes) + 2 * (len(sizes) - 1) > width:
        reducible = [n for n, size in enumerate(sizes) if size > max(least[n], 8)]
        if not reducible:
            break
        sizes[max(reducible, key=lambda n: sizes[n])] -= 1
    return sizes


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    shown = [_cut(cell, size).ljust(size) for cell, size in zip(cells, sizes, strict=True)]
    return "  ".join(shown).rstrip() + "\n"


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def terminal_width(is_terminal: bool) -> int | None:
    """The width to fit tables into; None when the output is not a terminal."""
    return shutil.get_terminal_size().columns if is_terminal else None
