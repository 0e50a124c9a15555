"""Packed structs by name: the one codec between Python values and map bytes.

A `Layout` is a struct of ``bpf/abi.h`` as generated into `tungsten.datapath.abi`. Kinds of
fields and their Python values:

=========  ======================================  =========================
kind       in C                                    in Python
=========  ======================================  =========================
u8 .. u64  integers of the host's order            int
be16 be32  integers in network order               int
ipv4       ipv4_t                                  IPv4Address or None (0)
ipv6       ipv6_t                                  IPv6Address or None (0)
mac        mac_t                                   Mac or None (all zero)
name       name_t                                  str
bytes      anything else                           bytes
=========  ======================================  =========================

Members called ``reserved*`` are always written as zero: hash keys are compared as bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Self

_FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "be16": "H", "be32": "I"}
_MAC_TEXT = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")


class Mac(bytes):
    """A MAC address: six bytes that print as ``02:a0:ee:12:34:56``."""

    __slots__ = ()

    def __new__(cls, value: bytes | str) -> Self:
        """Takes six bytes or the usual text; raises ValueError for anything else."""
        if isinstance(value, str):
            if not _MAC_TEXT.fullmatch(value):
                raise ValueError(f"MAC address {value!r}: expected six hexadecimal bytes")
            value = bytes(int(part, 16) for part in value.split(":"))
        if len(value) != 6:
            raise ValueError(f"MAC address of {len(value)} bytes: expected 6")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"Mac('{self}')"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a struct."""

    name: str
    offset: int
    size: int
    kind: str


class Layout:
    """Packs and unpacks one struct."""

    def __init__(self, name: str, size: int, fields: tuple[Field, ...]) -> None:
        self.name = name
        self.size = size
        self.fields = fields
        self._struct = struct.Struct(_format(size, fields))
        if self._struct.size != size:
            raise ValueError(f"struct {name}: {self._struct.size} bytes by fields, {size} declared")

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """The struct's bytes; fields that are not given are zero."""
        try:
            return self._struct.pack(*[_to_wire(f, values.get(f.name)) for f in self.fields])
        except (struct.error, ValueError, TypeError) as error:
            raise ValueError(f"struct {self.name}: {error} in {dict(values)!r}") from error

    def unpack(self, data: bytes | memoryview) -> dict[str, Any]:
        """The fields of the struct at the start of ``data``."""
        values = self._struct.unpack_from(data)
        return {
            field.name: _from_wire(field.kind, value)
            for field, value in zip(self.fields, values, strict=True)
        }


def _format(size: int, fields: tuple[Field, ...]) -> str:
    network = any(field.kind in ("be16", "be32") for field in fields)
    out, at = [">" if network else "<"], 0
    for field in fields:
        out.append("x" * (field.offset - at))
        out.append(_FORMATS.get(field.kind, f"{field.size}s"))
        at = field.offset + field.size
    out.append("x" * (size - at))
    return "".join(out)


def _to_wire(field: Field, value: Any) -> int | bytes:
    if field.kind in _FORMATS:
        return int(value or 0)
    if value is None:
        return bytes(field.size)
    if field.kind in ("ipv4", "ipv6"):
        packed: bytes = value.packed
        return packed
    if field.kind == "name":
        return str(value).encode()[: field.size - 1]
    if len(value) != field.size:
        raise ValueError(f"{field.name}: {len(value)} bytes, expected {field.size}")
    return bytes(value)


def _from_wire(kind: str, value: Any) -> Any:
    if kind in _FORMATS:
        return value
    if kind == "name":
        return value.rstrip(b"\0").decode(errors="replace")
    if kind == "bytes":
        return value
    if not any(value):
        return None
    if kind == "mac":
        return Mac(value)
    return IPv4Address(value) if kind == "ipv4" else IPv6Address(value)
