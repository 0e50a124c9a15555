"""Mounts a BPF file system, where pinned objects live.

A daemon uses the host's ``/sys/fs/bpf``; labs and tests mount one of their own on a
directory and unmount it at the end, which frees everything pinned in it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_BPF_FS_MAGIC = 0xCAFE4A11


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def is_bpffs(path: Path) -> bool:
    """Whether ``path`` exists and lies on a BPF file system."""
    buffer = (ctypes.c_long * 32)()  # struct statfs: f_type comes first
    return not _libc.statfs(os.fsencode(path), buffer) and buffer[0] == _BPF_FS_MAGIC


def mount(path: Path) -> None:
    """Mounts a bpffs at ``path``, made if missing; leaves one that is there already."""
    if is_bpffs(path):
        return
    path.mkdir(parents=True, exist_ok=True)
    _check(_libc.mount(b"bpffs", os.fsencode(path), b"bpf", 0, b"mode=0700"), f"mount {path}")


def unmount(path: Path) -> None:
    """Unmounts the bpffs at ``path`` and removes the directory; nothing pinned survives."""
    if is_bpffs(path):
        _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), f"unmount {path}")
    path.rmdir()


@contextmanager
def mounted(path: Path) -> Iterator[Path]:
    """A bpffs at ``path`` for the length of a block."""
    mount(path)
    try:
        yield path
    finally:
        unmount(path)
