"""Reads the types that a compiled BPF object carries: structs with offsets, and enums.

BTF (kernel documentation, ``bpf/btf``) is a table of C types in the ELF section ``.BTF``.
Only what the datapath's contract uses is understood: integers, arrays, typedefs, structs
and enums; every other kind is stepped over. Little-endian objects only, as clang's
``bpfel`` target makes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BTF_MAGIC = 0xEB9F
_ELF_MAGIC = b"\x7fELF"
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 2, 3, 4, 5, 6
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC_PROTO = 8, 9, 10, 11, 13
_VAR, _DATASEC, _DECL_TAG, _ENUM64 = 14, 15, 17, 19
_EXTRA_FIXED = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_EXTRA_PER_MEMBER = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}


class BtfError(Exception):
    """The object has no readable BTF."""


@dataclass(frozen=True, slots=True)
class Member:
    """A struct's member: ``type_name`` is the outermost name (a typedef's, if it has one)."""

    name: str
    offset: int
    size: int
    type_name: str
    elements: int


@dataclass(frozen=True, slots=True)
class StructType:
    """A struct by name, with its members in order of offset."""

    name: str
    size: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class _Type:
    kind: int
    name: str
    size_or_type: int
    vlen: int
    extra: bytes


class Btf:
    """The named structs and enums of one object."""

    def __init__(self, structs: dict[str, StructType], enums: dict[str, dict[str, int]]) -> None:
        self.structs = structs
        self.enums = enums

    @classmethod
    def of_object(cls, path: Path) -> Btf:
        """Reads the ELF object at ``path``; raises BtfError when it has no BTF."""
        try:
            return cls.parse(_section(path.read_bytes(), ".BTF"))
        except (struct.error, ValueError, IndexError, BtfError) as error:
            raise BtfError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, data: bytes) -> Btf:
        """Decodes the bytes of a ``.BTF`` section; raises BtfError."""
        try:
            return cls._parse(data)
        except (struct.error, ValueError, IndexError) as error:
            raise BtfError(f"damaged: {error}") from error

    @classmethod
    def _parse(cls, data: bytes) -> Btf:
        magic, _version, _flags, header, type_off, type_len, str_off, _str_len = struct.unpack_from(
            "<HBBIIIII", data
        )
        if magic != _BTF_MAGIC:
            raise BtfError(f"BTF magic is {magic:#x}, expected {_BTF_MAGIC:#x} (little-endian)")
        types = _Types(data, header + type_off, type_len, header + str_off)
        return cls(types.structs(), types.enums())


class _Types:
    def __init__(self, data: bytes, start: int, length: int, strings: int) -> None:
        self._data = data
        self._strings = strings
        self._all = [_Type(0, "void", 0, 0, b""), *self._read(start, start + length)]

    def _read(self, at: int, end: int) -> Iterator[_Type]:
        while at < end:
            name, info, size_or_type = struct.unpack_from("<III", self._data, at)
            kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
            extra = _EXTRA_FIXED.get(kind, 0) + _EXTRA_PER_MEMBER.get(kind, 0) * vlen
            at += 12
            yield _Type(kind, self._string(name), size_or_type, vlen, self._data[at : at + extra])
            at += extra

    def _string(self, offset: int) -> str:
        start = self._strings + offset
        return self._data[start : self._data.index(0, start)].decode()

    def _describe(self, type_id: int) -> tuple[str, int, int]:
        """Outermost name, size in bytes, and element count (1 when no array) of a type."""
        name, elements = "", 1
        for _ in range(16):
            item = self._all[type_id]
            if item.kind in (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT):
                name, type_id = name or item.name, item.size_or_type
            elif item.kind == _ARRAY:
                type_id, _index, count = struct.unpack("<III", item.extra)
                elements *= count
            elif item.kind == _PTR:
                return name or "pointer", 8 * elements, elements
            else:
                return name or item.name, item.size_or_type * elements, elements
        raise BtfError(f"type {type_id} refers to itself")

    def structs(self) -> dict[str, StructType]:
        found = {}
        for item in self._all:
            if item.kind != _STRUCT or not item.name:
                continue
            members = []
            for name, type_id, offset in struct.iter_unpack("<III", item.extra):
                type_name, size, elements = self._describe(type_id)
                members.append(
                    Member(self._string(name), (offset & 0xFFFFFF) // 8, size, type_name, elements)
                )
            found[item.name] = StructType(item.name, item.size_or_type, tuple(members))
        return found

    def enums(self) -> dict[str, dict[str, int]]:
        return {
            item.name: {
                self._string(name): value for name, value in struct.iter_unpack("<II", item.extra)
            }
            for item in self._all
            if item.kind == _ENUM and item.name
        }


def _section(elf: bytes, wanted: str) -> bytes:
    if elf[:4] != _ELF_MAGIC or elf[4:6] != b"\x02\x01":
        raise BtfError("not a little-endian 64-bit ELF object")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * entry_size) for i in range(count)]
    names = headers[names_index][4]
    for name, _kind, _flags, _address, offset, size in headers:
        start = names + name
        if elf[start : elf.index(0, start)].decode() == wanted:
            return elf[offset : offset + size]
    raise BtfError(f"section {wanted} is missing: the object was compiled without -g")
