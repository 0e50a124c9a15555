"""The datapath of one host: its programs, its tables, its ports, and where they are pinned.

Layout of a pin directory, on a bpffs::

    PIN_DIR/current -> GENERATION      the generation whose tables are in force
    PIN_DIR/GENERATION/maps/NAME       tables
    PIN_DIR/GENERATION/programs/NAME   vif_rx, fab_rx, pkt0_rx
    PIN_DIR/links/VIF                  the link of a port, by vif id

A *generation* is a name made from the shape of every table. An object whose tables have the
same shape uses the pinned ones, and its programs replace the running ones link by link,
without a gap. An object of another shape gets a generation of its own beside the running
one: it starts empty (`Datapath.fresh`), ports move to it as they are attached again, and
`Datapath.switch` removes what is left of the old one.

Pins hold everything: the process that filled the tables may die at any time, and packets go
on. A device's index is looked up in the network namespace of the calling thread, so a
process opens and attaches from inside the namespace whose ports it serves.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tungsten.datapath import syscall
from tungsten.datapath.abi import STRUCTS, DropReason, Limit, VifType
from tungsten.datapath.bpffs import is_bpffs
from tungsten.datapath.btf import Btf, BtfError
from tungsten.datapath.contract import OBJECT, differences
from tungsten.datapath.libbpf import LoadError, MapShape, Object
from tungsten.datapath.offload import cut_udp_before_wire
from tungsten.datapath.records import Config, Vif, VifStats
from tungsten.datapath.syscall import BpfError, Map, Outcome
from tungsten.datapath.tables import (
    AddressSet,
    BridgeTable,
    IdTable,
    LabelTable,
    NextHopTable,
    RouteTable,
    SourceSet,
    VifTable,
)

DEFAULT_PIN_DIR = Path("/sys/fs/bpf/tungsten")
_ZERO = bytes(4)
_PROGRAM_OF = {
    VifType.VIRTUAL: "vif_rx",
    VifType.PHYSICAL: "fab_rx",
    VifType.AGENT: "pkt0_rx",
}


class DatapathError(Exception):
    """The datapath cannot be opened or changed; the text says what and why."""


class Datapath:
    """The open datapath. Make one with `open` (to run it) or `view` (to look)."""

    def __init__(
        self, pin_dir: Path, generation: str, maps: dict[str, Map], programs: dict[str, int]
    ) -> None:
        self.pin_dir = pin_dir
        self.generation = generation
        self.fresh = False
        """The tables were made by this `open` and are empty."""
        self.load_seconds = 0.0
        self._maps, self._programs = maps, programs
        self.vifs = VifTable(maps["vifs"], maps["vif_index"])
        self.nexthops = NextHopTable(maps["nexthops"], maps["composites"])
        self.routes = RouteTable(maps["routes_host"], maps["routes_net"])
        self.bridge = BridgeTable(maps["bridge"])
        self.labels = LabelTable(maps["labels"])
        self.vnis = IdTable("vnis", maps["vnis"], 1 << 24)
        self.sources = SourceSet(maps["sources"], maps["source_macs"])
        self.tunnel_sources = AddressSet(maps["tunnel_sources"])

    @classmethod
    def open(
        cls,
        pin_dir: Path = DEFAULT_PIN_DIR,
        *,
        sizes: Mapping[str, int] | None = None,
        object_path: Path = OBJECT,
    ) -> Self:
        """Loads the programs, on the tables that are pinned in ``pin_dir`` or on new ones.

        ``sizes`` sets ``max_entries`` of tables by name. Ports that run on the same tables
        get the new programs at once. Raises DatapathError or LoadError.
        """
        _check_place(pin_dir, object_path)
        loading = Object(object_path)
        try:
            loading.resize(sizes or {})
            shapes = loading.shapes()
            generation = _generation(shapes)
            home = pin_dir / generation
            fresh = not (home / "maps" / "abi").exists()
            maps = _load(loading, shapes, home)
            self = cls(pin_dir, generation, maps, loading.program_fds())
            self.load_seconds = loading.load_seconds
        finally:
            loading.close()
        self.fresh = fresh
        self._pin_programs()
        if fresh:
            abi = struct.pack("<I", Limit.ABI_VERSION).ljust(
                self._maps["abi"].info.value_size, b"\0"
            )
            self._maps["abi"].update(_ZERO, abi)
            self.config = Config()
        if self._current() in (None, generation):
            self._set_current()
            self._swap_programs()
        return self

    @classmethod
    def view(cls, pin_dir: Path = DEFAULT_PIN_DIR) -> Self:
        """Opens the tables in force for reading, and loads nothing."""
        current = pin_dir / "current"
        if not current.exists():
            raise DatapathError(f"{pin_dir}: no datapath is pinned here")
        generation = os.readlink(current)
        folder = pin_dir / generation / "maps"
        names = sorted(os.listdir(folder))
        maps = {name: Map(syscall.obj_get(folder / name, read_only=True), name) for name in names}
        self = cls(pin_dir, generation, maps, {})
        version = struct.unpack_from("<I", maps["abi"].lookup(_ZERO) or bytes(4))[0]
        shapes = (("vifs", "vif"), ("nexthops", "nexthop"), ("config", "config"))
        if version != Limit.ABI_VERSION or any(
            maps[name].info.value_size != STRUCTS[layout].size for name, layout in shapes
        ):
            self.close()
            raise DatapathError(
                f"{folder}: tables of another version ({version}; this one reads"
                f" {Limit.ABI_VERSION}): use the tools that came with the agent"
            )
        return self

    @staticmethod
    def remove(pin_dir: Path = DEFAULT_PIN_DIR) -> None:
        """Detaches every port and frees every table pinned in ``pin_dir``."""
        if not pin_dir.exists():
            return
        if not is_bpffs(pin_dir):
            raise DatapathError(f"{pin_dir}: not on a BPF file system")
        links = pin_dir / "links"
        for link in sorted(links.iterdir()) if links.exists() else ():
            _unlink(link)
        for entry in sorted(pin_dir.iterdir()):
            _remove_tree(entry)

    def close(self) -> None:
        """Closes descriptors; what is pinned goes on."""
        for opened in self._maps.values():
            opened.close()
        while self._programs:
            os.close(self._programs.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Ports

    def attach(self, vif: Vif) -> None:
        """Writes the port and puts its program on its device; again and again is fine.

        A port that has a link on the same device gets this datapath's program swapped in.
        """
        program = _PROGRAM_OF.get(vif.type)
        if program is None:
            accepted = ", ".join(kind.name for kind in _PROGRAM_OF)
            raise DatapathError(f"vif {vif.id}: type {vif.type.name}; accepted: {accepted}")
        self.vifs[vif.id] = vif
        path = self.pin_dir / "links" / str(vif.id)
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            link = syscall.obj_get(path)
            try:
                if syscall.link_info(link).ifindex == vif.ifindex:
                    syscall.link_update(link, self._programs[program])
                    return
            finally:
                os.close(link)
            _unlink(path)
        link = syscall.link_create(self._programs[program], vif.ifindex)
        try:
            syscall.obj_pin(link, path)
        finally:
            os.close(link)

    def attach_vif(self, vif: Vif) -> None:
        """A workload's port."""
        self.attach(replace(vif, type=VifType.VIRTUAL))

    def attach_fabric(self, vif: Vif) -> None:
        """The port to the fabric; tunnels leave by it and are received on it.

        On a veth, turns off one offload that breaks tunnelled UDP (see `offload`).
        """
        cut_udp_before_wire(socket.if_indextoname(vif.ifindex))
        self.attach(replace(vif, type=VifType.PHYSICAL))
        self.config = replace(self.config, fabric_vif=vif.id)

    def attach_pkt0(self, vif: Vif) -> None:
        """The agent's port; see `tungsten.datapath.tap` and `tungsten.datapath.trap`."""
        self.attach(replace(vif, type=VifType.AGENT))
        self.config = replace(self.config, pkt0_vif=vif.id)

    def detach(self, vif_id: int) -> bool:
        """Takes the program off the port's device and forgets the port.

        Says whether there was anything. Counters stay until `clear_vif_stats`.
        """
        path = self.pin_dir / "links" / str(vif_id)
        linked = path.exists()
        if linked:
            _unlink(path)
        return self.vifs.discard(vif_id) or linked

    detach_vif = detach

    def attached(self) -> dict[int, int]:
        """Vif ids that have a link, with the ifindex it is on (0: the device is gone)."""
        folder = self.pin_dir / "links"
        found = {}
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            link = syscall.obj_get(path)
            try:
                found[int(path.name)] = syscall.link_info(link).ifindex
            finally:
                os.close(link)
        return found

    def switch(self) -> None:
        """Puts these tables in force and frees other generations.

        Links of ports that this datapath does not have are removed: their programs read
        tables that go away.
        """
        for vif_id in self.attached():
            if vif_id not in self.vifs:
                _unlink(self.pin_dir / "links" / str(vif_id))
        self._set_current()
        for entry in self.pin_dir.iterdir():
            if entry.name not in ("current", "links", self.generation):
                _remove_tree(entry)

    # Settings and counters

    @property
    def config(self) -> Config:
        """Settings of the whole datapath; assign to change them."""
        return Config.unpack(self._maps["config"].lookup(_ZERO) or b"")

    @config.setter
    def config(self, value: Config) -> None:
        self._maps["config"].update(_ZERO, value.pack())

    def drop_stats(self) -> dict[DropReason, int]:
        """Every reason's count, zeros included, in the order tools print them."""
        return _reasons(self._maps["drops"].values(Limit.DROP_SLOTS), self._cpus())

    def vif_drop_stats(self, vif_id: int) -> dict[DropReason, int]:
        """Every reason's count for one port."""
        table = self._maps["vif_drops"]
        data = b"".join(
            table.lookup(struct.pack("<I", vif_id * Limit.DROP_SLOTS + reason)) or b""
            for reason in DropReason
        )
        return _reasons(data, self._cpus())

    def vif_stats(self, vif_id: int) -> VifStats:
        """A port's counters."""
        data = self._maps["vif_counters"].lookup(struct.pack("<I", vif_id))
        if data is None:
            raise KeyError(f"vif_counters: no entry {vif_id}")
        layout = STRUCTS["vif_stats"]
        per_cpu = [
            layout.unpack(data[at : at + layout.size]) for at in range(0, len(data), layout.size)
        ]
        return VifStats(**{f.name: sum(cpu[f.name] for cpu in per_cpu) for f in layout.fields})

    def clear_vif_stats(self, vif_id: int) -> None:
        """Sets a port's counters to zero (before its id is given to another port)."""
        key = struct.pack("<I", vif_id)
        size = self._maps["vif_counters"].info.value_size * self._cpus()
        self._maps["vif_counters"].update(key, bytes(size))
        for reason in DropReason:
            key = struct.pack("<I", vif_id * Limit.DROP_SLOTS + reason)
            self._maps["vif_drops"].update(key, bytes(8 * self._cpus()))

    def clear_drop_stats(self) -> None:
        """Sets the datapath's drop counters to zero; ports' own counters stay."""
        for reason in DropReason:
            self._maps["drops"].update(struct.pack("<I", reason), bytes(8 * self._cpus()))

    def _cpus(self) -> int:
        return syscall.possible_cpus()

    # Programs

    def run(
        self, program: str, packet: bytes, *, ifindex: int = 1, gso_size: int = 0, repeat: int = 1
    ) -> Outcome:
        """Runs a program on one frame through the kernel's test run; nothing is sent, except
        the copies of a flood.
        """
        return syscall.run_program(
            self._programs[program], packet, repeat=repeat, ifindex=ifindex, gso_size=gso_size
        )

    def _pin_programs(self) -> None:
        folder = self.pin_dir / self.generation / "programs"
        folder.mkdir(exist_ok=True)
        for name, fd in self._programs.items():
            (folder / name).unlink(missing_ok=True)
            syscall.obj_pin(fd, folder / name)

    def _swap_programs(self) -> None:
        for vif_id, ifindex in self.attached().items():
            vif = self.vifs.find(vif_id)
            if vif is None or vif.ifindex != ifindex or vif.type not in _PROGRAM_OF:
                continue
            link = syscall.obj_get(self.pin_dir / "links" / str(vif_id))
            try:
                syscall.link_update(link, self._programs[_PROGRAM_OF[vif.type]])
            finally:
                os.close(link)

    def _current(self) -> str | None:
        try:
            return os.readlink(self.pin_dir / "current")
        except FileNotFoundError:
            return None

    def _set_current(self) -> None:
        if self._current() != self.generation:
            beside = self.pin_dir / "next"
            beside.unlink(missing_ok=True)
            beside.symlink_to(self.generation)
            beside.rename(self.pin_dir / "current")


def _check_place(pin_dir: Path, object_path: Path) -> None:
    if sys.byteorder != "little":
        raise DatapathError(f"{platform.machine()}: the datapath is built for little-endian only")
    if not object_path.exists():
        raise DatapathError(
            f"{object_path}: the compiled datapath is missing; build it with"
            f" `make -C {object_path.parent}` (needs clang, llvm, libbpf-dev)"
        )
    try:
        differing = differences(Btf.of_object(object_path))
    except BtfError as error:
        raise DatapathError(f"{error}; rebuild it with `make -C {object_path.parent}`") from error
    if differing:
        raise DatapathError(
            f"{object_path}: {', '.join(differing)} differ from this version's abi module;"
            " rebuild the object, or regenerate the module"
        )
    with contextlib.suppress(FileNotFoundError, PermissionError):  # /sys takes no folders
        pin_dir.mkdir(parents=True, exist_ok=True)
    if not pin_dir.is_dir() or not is_bpffs(pin_dir):
        raise DatapathError(
            f"{pin_dir}: not on a BPF file system; mount one: mount -t bpf bpffs {pin_dir}"
        )


def _generation(shapes: Mapping[str, MapShape]) -> str:
    """The name of a set of tables: equal exactly when layouts, kinds and sizes are equal."""
    text = repr((int(Limit.ABI_VERSION), sorted(shapes.items())))
    fields = repr([(s.name, s.size, s.fields) for s in STRUCTS.values()])
    return "g" + hashlib.sha256((text + fields).encode()).hexdigest()[:12]


def _load(loading: Object, shapes: Mapping[str, MapShape], home: Path) -> dict[str, Map]:
    """Loads the object on what is pinned under ``home``; pins what was not."""
    folder = home / "maps"
    folder.mkdir(parents=True, exist_ok=True)
    pinned = {}
    try:
        for name in shapes:
            if (folder / name).exists():
                pinned[name] = syscall.obj_get(folder / name)
                loading.reuse(name, pinned[name])
        loading.load()
    except BpfError as error:
        raise LoadError(f"{folder}: {error}") from error
    finally:
        for fd in pinned.values():
            os.close(fd)
    maps = {name: Map(loading.map_fd(name), name) for name in shapes}
    # "abi" last: it marks a complete set.
    for name in sorted(shapes, key=lambda name: name == "abi"):
        if name not in pinned:
            syscall.obj_pin(maps[name].fd, folder / name)
    return maps


def _reasons(data: bytes, cpus: int) -> dict[DropReason, int]:
    values = struct.unpack(f"<{len(data) // 8}Q", data)
    return {reason: sum(values[reason * cpus : (reason + 1) * cpus]) for reason in DropReason}


def _unlink(path: Path) -> None:
    """Detaches a pinned link and removes its pin."""
    link = syscall.obj_get(path)
    try:
        syscall.link_detach(link)
    finally:
        os.close(link)
    path.unlink()


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
