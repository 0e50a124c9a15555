"""What a lab remembers between commands, in ``/run/tungsten/lab/NAME/lab.json``.

The file is written before anything it names is made, so that a lab which died half-way can be
removed by name: the namespaces, the processes in them, the mounts below its directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from pathlib import Path

import msgspec

from tungsten.lab.netns import process_start
from tungsten.lab.spec import NAME, LabError, LabSpec

ROOT = Path("/run/tungsten/lab")
#: umount2(2): detach now, clean up when the last user is gone.
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class ProcessState(msgspec.Struct):
    """A process that the lab started. ``started`` is its start time in clock ticks, proc(5)."""

    host: str
    name: str
    pid: int
    started: str
    argv: list[str]
    log: str


class WorkloadState(msgspec.Struct):
    """A workload that is attached. ``address`` and ``mac`` are what the API gave it."""

    namespace: str
    host: str
    network: str
    address: str
    mac: str
    interface: str
    vmi: str
    vm: str


class LabState(msgspec.Struct):
    """Everything a lab made."""

    name: str
    spec: LabSpec
    owner: int | None = None
    owner_started: str = ""
    namespaces: list[str] = []
    processes: dict[str, ProcessState] = {}
    workloads: dict[str, WorkloadState] = {}
    api_port: int = 0

    @property
    def directory(self) -> Path:
        """The lab's files."""
        return ROOT / self.name

    def save(self) -> None:
        """Write the state, whole or not at all."""
        self.directory.mkdir(parents=True, exist_ok=True)
        target = self.directory / "lab.json"
        fresh = target.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        fresh.replace(target)


def check_name(name: str) -> str:
    """The name, if it can be a lab's. Raises LabError."""
    if not NAME.fullmatch(name):
        raise LabError(f"lab name {name!r} does not match {NAME.pattern}")
    return name


def read(name: str) -> LabState | None:
    """The state of a lab, or None if there is none."""
    try:
        return msgspec.json.decode(
            (ROOT / check_name(name) / "lab.json").read_bytes(), type=LabState
        )
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LabError(f"lab {name}: {ROOT / name}/lab.json: {error}") from None


def names() -> list[str]:
    """Labs that have a state file."""
    if not ROOT.is_dir():
        return []
    return sorted(entry.name for entry in ROOT.iterdir() if (entry / "lab.json").exists())


def alive(process: ProcessState) -> bool:
    """Whether that very process runs."""
    return process.started != "" and process_start(process.pid) == process.started


def owner_gone(state: LabState) -> bool:
    """Whether the lab belonged to a process that has ended."""
    return state.owner is not None and process_start(state.owner) != state.owner_started


def remove_directory(directory: Path) -> None:
    """Unmount what is mounted below a lab's directory and delete it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        if _libc.umount2(os.fsencode(point), MNT_DETACH) != 0:
            raise LabError(f"umount {point}: {os.strerror(ctypes.get_errno())}")
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def mount_bpffs(point: Path) -> None:
    """A BPF file system of its own, where a host pins its datapath."""
    point.mkdir(parents=True, exist_ok=True)
    if _libc.mount(b"bpf", os.fsencode(point), b"bpf", 0, b"mode=0700") != 0:
        raise LabError(f"mount bpf on {point}: {os.strerror(ctypes.get_errno())}")
