"""Compares a compiled object's types with the generated `tungsten.datapath.abi`.

Shared by the generator and by loading: what the generator would write differently is what
loading refuses.
"""

from __future__ import annotations

from pathlib import Path

from tungsten.datapath import abi
from tungsten.datapath.btf import Btf, Member, StructType

HERE = Path(__file__).parent
OBJECT = HERE / "bpf" / "datapath.bpf.o"
STRUCTS = (
    "vif",
    "nexthop",
    "route_key",
    "route_prefix",
    "route",
    "bridge_key",
    "bridge",
    "source_prefix",
    "source",
    "source_mac",
    "config",
    "vif_stats",
    "bucket",
    "member",
    "trap_header",
)
_KINDS = {"__u8": "u8", "__u16": "u16", "__u32": "u32", "__u64": "u64"}
_KINDS |= {"__be16": "be16", "__be32": "be32"}
_KINDS |= {"ipv4_t": "ipv4", "ipv6_t": "ipv6", "mac_t": "mac", "name_t": "name"}


def kind_of(member: Member) -> str:
    """The codec's kind of a member; see `tungsten.datapath.layout`."""
    if member.elements > 1 and member.type_name in ("__u8", "__u32", "char"):
        return "bytes"
    return _KINDS.get(member.type_name, "bytes")


def shown(struct: StructType) -> list[Member]:
    """Members that carry data."""
    return [member for member in struct.members if not member.name.startswith("reserved")]


def class_name(name: str) -> str:
    """The Python name of an enum: ``nh_flag`` is ``NhFlag``."""
    return "".join(part.capitalize() for part in name.split("_"))


def enum_members(values: dict[str, int]) -> list[tuple[str, int]]:
    """An enum's members without their common prefix, and without the one that counts them."""
    prefix = next(iter(values)).split("_")[0] + "_"
    return [
        (key.removeprefix(prefix), value)
        for key, value in values.items()
        if not key.endswith(("_COUNT", "_KINDS"))
    ]


def differences(btf: Btf) -> list[str]:
    """How an object's structs and enums differ from the generated module; empty: not at all."""
    found = []
    for name, layout in abi.STRUCTS.items():
        struct = btf.structs.get(name)
        members = (
            [(m.name, m.offset, m.size, kind_of(m)) for m in shown(struct)] if struct else None
        )
        fields = [(f.name, f.offset, f.size, f.kind) for f in layout.fields]
        if struct is None or struct.size != layout.size or members != fields:
            found.append(f"struct {name}")
    for name, values in btf.enums.items():
        known = getattr(abi, class_name(name), None)
        if known is not None:
            wanted = {member.name: int(member) for member in known}
            if wanted != dict(enum_members(values)):
                found.append(f"enum {name}")
    return found
