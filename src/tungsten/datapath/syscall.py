"""bpf(2), called directly: links, pins, map elements, batches, test runs.

Debian's libbpf 1.1 has no TCX links, and map elements are faster without a library between;
so only ELF loading goes through libbpf (`tungsten.datapath.libbpf`). Layouts of the
attributes are those of ``union bpf_attr`` in ``linux/bpf.h``; commands are named as there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}

MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY = 1, 2, 3, 4
OBJ_PIN, OBJ_GET, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD = 6, 7, 10, 15
MAP_LOOKUP_BATCH, MAP_UPDATE_BATCH, MAP_DELETE_BATCH = 24, 26, 27
LINK_CREATE, LINK_UPDATE, LINK_DETACH = 28, 29, 34

TCX_INGRESS = 46
F_RDONLY = 1 << 3
_ATTR_SIZE = 144
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class BpfError(OSError):
    """bpf(2) refused: ``str()`` says what was asked and what the kernel answered."""


def _number() -> int:
    machine = platform.machine()
    try:
        return _SYSCALL_NUMBERS[machine]
    except KeyError:
        known = ", ".join(sorted(_SYSCALL_NUMBERS))
        raise BpfError(
            errno.ENOSYS, f"bpf(2) has no known number on {machine}; known: {known}"
        ) from None


def bpf(command: int, attr: bytes | bytearray, what: str) -> int:
    """One call; ``attr`` is padded with zeros, and written back when it is a bytearray.

    Raises BpfError that names ``what``.
    """
    buffer = ctypes.create_string_buffer(bytes(attr), _ATTR_SIZE)
    result = int(_libc.syscall(_number(), command, buffer, _ATTR_SIZE))
    if isinstance(attr, bytearray):
        attr[:] = buffer.raw[: len(attr)]
    if result < 0:
        code = ctypes.get_errno()
        raise BpfError(code, f"{what}: {os.strerror(code)}")
    return result


def obj_pin(fd: int, path: Path) -> None:
    """Pins a map, program or link at ``path`` on a bpffs."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    bpf(OBJ_PIN, struct.pack("<QI", ctypes.addressof(name), fd), f"pin {path}")


def obj_get(path: Path, *, read_only: bool = False) -> int:
    """A new descriptor of what is pinned at ``path``."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    flags = F_RDONLY if read_only else 0
    attr = struct.pack("<QII", ctypes.addressof(name), 0, flags)
    return bpf(OBJ_GET, attr, f"open {path}")


def obj_info(fd: int, size: int = 256) -> bytes:
    """``struct bpf_map_info``, ``bpf_prog_info`` or ``bpf_link_info`` of a descriptor."""
    buffer = ctypes.create_string_buffer(size)
    attr = struct.pack("<IIQ", fd, size, ctypes.addressof(buffer))
    bpf(OBJ_GET_INFO_BY_FD, attr, f"info of descriptor {fd}")
    return buffer.raw


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What a map is made of."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


def map_info(fd: int) -> MapInfo:
    """Reads the shape of an open map."""
    return MapInfo(*struct.unpack_from("<IIIIII", obj_info(fd)))


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link's ids; ``ifindex`` is 0 once its device is gone."""

    type: int
    id: int
    prog_id: int
    ifindex: int
    attach_type: int


def link_info(fd: int) -> LinkInfo:
    """Reads what a TCX link joins."""
    return LinkInfo(*struct.unpack_from("<IIIxxxxII", obj_info(fd)))


def link_create(prog_fd: int, ifindex: int, attach_type: int = TCX_INGRESS) -> int:
    """Attaches a program to a device of the calling thread's network namespace."""
    attr = struct.pack("<IIII", prog_fd, ifindex, attach_type, 0)
    return bpf(LINK_CREATE, attr, f"attach program to interface index {ifindex}")


def link_update(link_fd: int, prog_fd: int) -> None:
    """Swaps the link's program; no packet passes in between."""
    bpf(LINK_UPDATE, struct.pack("<IIII", link_fd, prog_fd, 0, 0), "swap the program of a link")


def link_detach(link_fd: int) -> None:
    """Takes the link's program off its device at once; harmless when the device is gone.

    Removing a link's last pin does so too, but some time later.
    """
    try:
        bpf(LINK_DETACH, struct.pack("<I", link_fd), "detach a link")
    except BpfError as error:
        if error.errno not in (errno.ENOLINK, errno.ENODEV):
            raise


class Map:
    """An open map, by bytes. Owns its descriptor."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.info = map_info(fd)
        self.per_cpu = self.info.type in (5, 6, 10)
        self._cpus = possible_cpus() if self.per_cpu else 1
        self._stored = (self.info.value_size + 7) // 8 * 8 if self.per_cpu else self.info.value_size
        self._key = ctypes.create_string_buffer(self.info.key_size)
        self._value = ctypes.create_string_buffer(self._stored * self._cpus)
        self._attr = struct.pack(
            "<IIQQQ", fd, 0, ctypes.addressof(self._key), ctypes.addressof(self._value), 0
        )
        self._key_attr = struct.pack("<IIQ", fd, 0, ctypes.addressof(self._key))

    def close(self) -> None:
        """Closes the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def lookup(self, key: bytes) -> bytes | None:
        """The value (per-CPU maps: all CPUs' values in a row), or None."""
        self._key.raw = key
        try:
            bpf(MAP_LOOKUP_ELEM, self._attr, f"{self.name}: read")
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return self._value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Writes one element."""
        self._key.raw = key
        self._value.raw = value
        bpf(MAP_UPDATE_ELEM, self._attr, f"{self.name}: write key {key.hex()}")

    def delete(self, key: bytes) -> bool:
        """Removes one element; False when there was none."""
        self._key.raw = key
        try:
            bpf(MAP_DELETE_ELEM, self._key_attr, f"{self.name}: delete key {key.hex()}")
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def update_batch(self, keys: bytes, values: bytes, count: int) -> None:
        """Writes ``count`` elements laid end to end."""
        self._batch(MAP_UPDATE_BATCH, keys, values, count)

    def delete_batch(self, keys: bytes, count: int) -> None:
        """Removes ``count`` elements; they must exist."""
        self._batch(MAP_DELETE_BATCH, keys, b"", count)

    def _batch(self, command: int, keys: bytes, values: bytes, count: int) -> None:
        if not count:
            return
        key_buffer = ctypes.create_string_buffer(keys, len(keys))
        value_buffer = ctypes.create_string_buffer(values, max(len(values), 1))
        attr = struct.pack(
            "<QQQQIIQQ",
            0,
            0,
            ctypes.addressof(key_buffer),
            ctypes.addressof(value_buffer),
            count,
            self.fd,
            0,
            0,
        )
        bpf(command, attr, f"{self.name}: batch of {count}")

    def values(self, count: int) -> bytes:
        """An array's first ``count`` values (per-CPU: each CPU's in a row)."""
        return b"".join(values for _keys, values, _n in self.chunks(count, limit=count))

    def chunks(
        self, chunk: int = 4096, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes, int]]:
        """All elements as (keys, values, count), by batch lookup.

        A chunk smaller than a hash bucket is answered ENOSPC and is enlarged; the last chunk
        comes together with ENOENT.
        """
        token = ctypes.create_string_buffer(max(self.info.key_size, 8))
        first, stride = True, self._stored * self._cpus
        done = 0
        while limit is None or done < limit:
            keys = ctypes.create_string_buffer(chunk * self.info.key_size)
            values = ctypes.create_string_buffer(chunk * stride)
            attr = bytearray(
                struct.pack(
                    "<QQQQIIQQ",
                    0 if first else ctypes.addressof(token),
                    ctypes.addressof(token),
                    ctypes.addressof(keys),
                    ctypes.addressof(values),
                    chunk,
                    self.fd,
                    0,
                    0,
                )
            )
            last = False
            try:
                bpf(MAP_LOOKUP_BATCH, attr, f"{self.name}: dump")
            except BpfError as error:
                if error.errno == errno.ENOSPC:
                    chunk *= 2
                    continue
                if error.errno != errno.ENOENT:
                    raise
                last = True
            (count,) = struct.unpack_from("<I", attr, 32)
            if count:
                yield keys.raw[: count * self.info.key_size], values.raw[: count * stride], count
            if last:
                return
            first, done = False, done + count


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of BPF_PROG_TEST_RUN: the verdict, the packet as it left, nanoseconds a run."""

    verdict: int
    packet: bytes
    nanoseconds: int


def run_program(
    prog_fd: int, packet: bytes, *, repeat: int = 1, ifindex: int = 1, gso_size: int = 0
) -> Outcome:
    """Runs a tc program on one frame that came in on ``ifindex`` (1: loopback)."""
    data_in = ctypes.create_string_buffer(packet, len(packet))
    data_out = ctypes.create_string_buffer(len(packet) + 512)
    context = bytearray(192)  # struct __sk_buff: ifindex at 40, gso_size at 176
    struct.pack_into("<I", context, 40, ifindex)
    struct.pack_into("<I", context, 176, gso_size)
    ctx_buffer = ctypes.create_string_buffer(bytes(context), len(context))
    attr = bytearray(
        struct.pack(
            "<IIIIQQIIIIQQ",
            prog_fd,
            0,
            len(packet),
            len(data_out),
            ctypes.addressof(data_in),
            ctypes.addressof(data_out),
            repeat,
            0,
            len(context),
            0,
            ctypes.addressof(ctx_buffer),
            0,
        )
    )
    bpf(PROG_TEST_RUN, attr, f"test run on {len(packet)} bytes")
    _fd, verdict, _in, size_out, _pin, _pout, _repeat, duration = struct.unpack_from(
        "<IIIIQQII", attr
    )
    verdict = verdict - (1 << 32) if verdict & 1 << 31 else verdict
    return Outcome(verdict, data_out.raw[:size_out], duration)


def possible_cpus() -> int:
    """How many values a per-CPU map holds for each key."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return max(int(part.split("-")[-1]) for part in text.split(",")) + 1
