"""Loads a BPF object through Debian's libbpf (``libbpf.so.1``) by ctypes.

libbpf parses the ELF file, relocates maps and loads BTF; it creates maps and programs in
the kernel. Everything after that is `tungsten.datapath.syscall`. What libbpf and the
verifier print is kept, and is part of the error when loading fails.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG_TAIL = 4000
_LOG_STATISTICS = 4
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_P = ctypes.c_void_p
_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "bpf_object__open_file": (_P, [ctypes.c_char_p, _P]),
    "bpf_object__load": (ctypes.c_int, [_P]),
    "bpf_object__close": (None, [_P]),
    "bpf_object__next_program": (_P, [_P, _P]),
    "bpf_object__next_map": (_P, [_P, _P]),
    "bpf_program__name": (ctypes.c_char_p, [_P]),
    "bpf_program__fd": (ctypes.c_int, [_P]),
    "bpf_program__set_log_level": (ctypes.c_int, [_P, ctypes.c_uint32]),
    "bpf_program__set_log_buf": (ctypes.c_int, [_P, ctypes.c_char_p, ctypes.c_size_t]),
    "bpf_map__name": (ctypes.c_char_p, [_P]),
    "bpf_map__fd": (ctypes.c_int, [_P]),
    "bpf_map__type": (ctypes.c_int, [_P]),
    "bpf_map__key_size": (ctypes.c_uint32, [_P]),
    "bpf_map__value_size": (ctypes.c_uint32, [_P]),
    "bpf_map__max_entries": (ctypes.c_uint32, [_P]),
    "bpf_map__map_flags": (ctypes.c_uint32, [_P]),
    "bpf_map__set_max_entries": (ctypes.c_int, [_P, ctypes.c_uint32]),
    "bpf_map__reuse_fd": (ctypes.c_int, [_P, ctypes.c_int]),
    "libbpf_set_print": (_P, [_PRINT]),
}


class LoadError(Exception):
    """The object could not be loaded; the text ends with what libbpf and the verifier said."""


@dataclass(frozen=True, slots=True)
class MapShape:
    """A map as the object declares it (with sizes set by the user applied)."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class _Library:
    """The shared library with typed functions and a log."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError as error:
            raise LoadError(f"libbpf.so.1: {error}; install it (Debian: libbpf1)") from error
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self.log: list[str] = []
        self._libc = ctypes.CDLL(None)
        self._libc.vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, _P]
        self._printer = _PRINT(self._print)
        self._lib.libbpf_set_print(self._printer)

    def _print(self, level: int, text: bytes, arguments: int) -> int:
        if level < 2:  # LIBBPF_WARN, LIBBPF_INFO
            buffer = ctypes.create_string_buffer(1 << 16)
            self._libc.vsnprintf(buffer, len(buffer), text, arguments)
            self.log.append(buffer.value.decode(errors="replace"))
            del self.log[:-200]
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)


_library: list[_Library] = []


def _get_library() -> _Library:
    if not _library:
        _library.append(_Library())
    return _library[0]


class Object:
    """One object file: opened, then loaded; its maps and programs as descriptors.

    The descriptors belong to the object and end with `close`; what must live longer is
    pinned or duplicated before.
    """

    def __init__(self, path: Path) -> None:
        self._lib = _get_library()
        self._lib.log.clear()
        self._path = path
        self._handle: int | None = self._lib.bpf_object__open_file(os.fsencode(path), None)
        if not self._handle:
            raise LoadError(self._message(f"open: {os.strerror(ctypes.get_errno())}"))
        self._maps = self._walk("map")
        self._programs = self._walk("program")
        self.load_seconds = 0.0
        self._statistics: dict[str, ctypes.Array[ctypes.c_char]] = {}

    def _message(self, what: str) -> str:
        log = "".join(self._lib.log)[-LOG_TAIL:]
        return f"{self._path}: {what}" + (f"\n{log}" if log else "")

    def _walk(self, kind: str) -> dict[str, int]:
        following = getattr(self._lib, f"bpf_object__next_{kind}")
        name_of = getattr(self._lib, f"bpf_{kind}__name")
        found: dict[str, int] = {}
        item = following(self._handle, None)
        while item:
            found[name_of(item).decode()] = item
            item = following(self._handle, item)
        return found

    def resize(self, sizes: Mapping[str, int]) -> None:
        """Sets ``max_entries`` of maps by name, before loading."""
        for name, entries in sizes.items():
            if name not in self._maps:
                known = ", ".join(sorted(self._maps))
                raise LoadError(f"size of map {name!r}: no such map; known: {known}")
            if self._lib.bpf_map__set_max_entries(self._maps[name], entries):
                raise LoadError(self._message(f"size of map {name}: {entries} refused"))

    def shapes(self) -> dict[str, MapShape]:
        """Every map as declared."""
        lib = self._lib
        return {
            name: MapShape(
                lib.bpf_map__type(item),
                lib.bpf_map__key_size(item),
                lib.bpf_map__value_size(item),
                lib.bpf_map__max_entries(item),
                lib.bpf_map__map_flags(item),
            )
            for name, item in self._maps.items()
            if not name.startswith((".", "datapath."))
        }

    def reuse(self, name: str, fd: int) -> None:
        """Makes the programs use an existing map instead of a new one."""
        if self._lib.bpf_map__reuse_fd(self._maps[name], fd):
            raise LoadError(self._message(f"map {name}: the pinned one cannot be used"))

    def load(self) -> None:
        """Creates maps and programs in the kernel; raises LoadError with the verifier's log."""
        started = time.monotonic()
        result = self._lib.bpf_object__load(self._handle)
        self.load_seconds = time.monotonic() - started
        if result:
            raise LoadError(self._message(f"load: {os.strerror(-result)}"))

    def ask_statistics(self) -> None:
        """Before loading: has the verifier say what each program cost it, and nothing else."""
        for name, item in self._programs.items():
            buffer = ctypes.create_string_buffer(1 << 16)
            self._statistics[name] = buffer
            self._lib.bpf_program__set_log_level(item, _LOG_STATISTICS)
            self._lib.bpf_program__set_log_buf(item, buffer, len(buffer))

    def statistics(self) -> dict[str, str]:
        """What the verifier said, by program."""
        return {
            name: buffer.value.decode(errors="replace") for name, buffer in self._statistics.items()
        }

    def map_fd(self, name: str) -> int:
        """A duplicate of the map's descriptor."""
        return os.dup(self._lib.bpf_map__fd(self._maps[name]))

    def program_fds(self) -> dict[str, int]:
        """Duplicates of the programs' descriptors, by name."""
        return {
            name: os.dup(self._lib.bpf_program__fd(item)) for name, item in self._programs.items()
        }

    def close(self) -> None:
        """Frees the object and its own descriptors."""
        if self._handle:
            self._lib.bpf_object__close(self._handle)
            self._handle = None
