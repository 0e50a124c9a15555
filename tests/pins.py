"""A bpffs of a test's own, which the next run unmounts when the test was killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tungsten.datapath import bpffs
from tungsten.lab import netns

#: What the folders' names end with; they begin as those of namespaces do, with their maker.
SUFFIX = "-bpf"


@contextmanager
def pin_folder() -> Iterator[Path]:
    """A folder on a fresh bpffs, for the length of a block."""
    name = netns.unique_prefix() + SUFFIX
    with bpffs.mounted(Path(tempfile.gettempdir()) / name) as folder:
        yield folder


def reap_pin_folders() -> list[Path]:
    """Unmount the folders whose maker is gone; returns them."""
    points = [
        Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    left = [
        point
        for point in points
        if point.name.startswith(netns.EPHEMERAL)
        and point.name.endswith(SUFFIX)
        and not netns.owner_alive(point.name)
    ]
    for point in left:
        bpffs.unmount(point)
    return left
