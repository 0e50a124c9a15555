"""The tap device pkt0: the agent's own port, read and written as a file.

A tap resolves partial checksums and splits super-packets towards its reader, which a packet
socket does not (Linux ``Documentation/networking/tuntap``).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFTXQLEN, _SIOCSIFMTU = 0x8913, 0x8914, 0x8943, 0x8922
_IFF_UP = 0x1
MAX_FRAME = 65536


class Tap:
    """An open tap, up, non-blocking; the device goes when it is closed."""

    def __init__(self, name: str, *, queue: int = 10000, mtu: int = 9000) -> None:
        self.name = name
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
            fcntl.ioctl(self.fd, _TUNSETIFF, request)
            # Without this the kernel's own IPv6 would talk to the agent's port.
            disable = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            if disable.exists():
                disable.write_text("1")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                _set(control, _SIOCSIFTXQLEN, name, queue)
                _set(control, _SIOCSIFMTU, name, mtu)
                flags = _get_flags(control, name)
                _set(control, _SIOCSIFFLAGS, name, flags | _IFF_UP, "H")
            self.ifindex = socket.if_nametoindex(name)
        except OSError:
            os.close(self.fd)
            raise

    def read(self) -> bytes | None:
        """One frame, or None when there is none now."""
        try:
            return os.read(self.fd, MAX_FRAME)
        except BlockingIOError:
            return None

    def write(self, frame: bytes) -> bool:
        """Sends one frame into the datapath; False when the queue is full."""
        try:
            return os.write(self.fd, frame) == len(frame)
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Removes the device."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _get_flags(control: socket.socket, name: str) -> int:
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    return int(struct.unpack_from("16xH", answer)[0])


def _set(control: socket.socket, request: int, name: str, value: int, form: str = "I") -> None:
    fcntl.ioctl(control, request, struct.pack(f"16s{form}", name.encode(), value).ljust(40, b"\0"))
