"""Device features that tunnels need off, by the ethtool ioctl.

A veth passes super-packets on whole, and a tunnelled UDP super-packet (``UDP_SEGMENT``, QUIC)
that is opened while whole keeps marks of the tunnel which make the receiver discard it. With
``tx-udp-segmentation`` off at the sending end of a veth fabric, UDP is cut before the wire
and TCP is still passed on whole. Real NICs put frames on a wire and need nothing.

The same holds for a workload in a namespace that has an overlay of its own: what leaves its
veth must be cut before our tunnel goes around it (`cut_tunnels`, by whoever makes the veth:
the device is in the workload's namespace). A virtual machine's NIC never sends such packets.

Numbers are those of ``linux/ethtool.h``.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GDRVINFO, _GSTRINGS, _GSSET_INFO, _SFEATURES = 0x03, 0x1B, 0x37, 0x3B
_SS_FEATURES = 4
_NAME = 32


def driver(name: str) -> str:
    """The driver of a device (``veth``, ``tun``, ``virtio_net``...)."""
    answer = _ioctl(name, struct.pack("<I", _GDRVINFO).ljust(196, b"\0"))
    return answer[4:36].split(b"\0")[0].decode()


def turn_off(name: str, feature: str) -> None:
    """Turns one feature of a device off; a device that does not know it is left alone."""
    names = _feature_names(name)
    if feature not in names:
        return
    index, blocks = names.index(feature), (len(names) + 31) // 32
    words = [(1 << index % 32 if block == index // 32 else 0, 0) for block in range(blocks)]
    body = b"".join(struct.pack("<II", valid, requested) for valid, requested in words)
    _ioctl(name, struct.pack("<II", _SFEATURES, blocks) + body)


def cut_udp_before_wire(name: str) -> bool:
    """Prepares a fabric device; says whether it was one that needs it."""
    if driver(name) != "veth":
        return False
    turn_off(name, "tx-udp-segmentation")
    return True


def cut_tunnels(name: str) -> None:
    """Makes a workload's own device cut packets of the workload's own tunnels."""
    for kind in ("udp_tnl", "udp_tnl-csum", "gre", "gre-csum", "ipxip4"):
        turn_off(name, f"tx-{kind}-segmentation")


def _feature_names(name: str) -> list[str]:
    mask = 1 << _SS_FEATURES
    answer = _ioctl(name, struct.pack("<IIQI", _GSSET_INFO, 0, mask, 0).ljust(32, b"\0"))
    (count,) = struct.unpack_from("<I", answer, 16)
    request = struct.pack("<III", _GSTRINGS, _SS_FEATURES, count).ljust(12 + count * _NAME, b"\0")
    strings = _ioctl(name, request)[12:]
    return [strings[i * _NAME : (i + 1) * _NAME].split(b"\0")[0].decode() for i in range(count)]


def _ioctl(name: str, request: bytes) -> bytes:
    buffer = array.array("B", request)
    address, _length = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sQ16x", name.encode(), address))
    return buffer.tobytes()
