"""Frames between the datapath and the agent on pkt0.

A frame on pkt0 is ``Ethernet (14) | trap header (30) | frame``; the header is the vRouter's
``agent_hdr``, in network order. From the datapath ``cmd`` says why the frame was trapped;
towards it, SWITCH sends the frame out of port ``vif`` as it is, and ROUTE treats it as if it
had come in on ``vif`` in ``vrf``, unguarded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tungsten.datapath.abi import STRUCTS, TrapCmd
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import VRRP_MAC

AGENT_MAC = Mac("00:00:00:00:00:01")
_ETHERNET = 14
_HEADER = STRUCTS["trap_header"].size
_FROM_AGENT = bytes(VRRP_MAC + AGENT_MAC + b"\x08\x00")


class TrapError(ValueError):
    """A frame on pkt0 that carries no whole trap header, or an unknown command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrapHeader:
    """Where a frame came in (or goes out) and why."""

    vif: int
    vrf: int
    cmd: TrapCmd
    param: int = 0
    param1: int = 0
    param2: int = 0
    param3: int = 0
    param4: int = 0
    param5: int = 0

    def pack(self) -> bytes:
        """``struct trap_header``."""
        return STRUCTS["trap_header"].pack({name: getattr(self, name) for name in _FIELDS})

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """From 30 bytes; raises TrapError."""
        if len(data) < _HEADER:
            raise TrapError(f"trap header of {len(data)} bytes: expected {_HEADER}")
        values = STRUCTS["trap_header"].unpack(data)
        try:
            values["cmd"] = TrapCmd(values["cmd"])
        except ValueError as error:
            raise TrapError(f"trap header: {error}") from error
        return cls(**values)


_FIELDS = [field.name for field in STRUCTS["trap_header"].fields]


def parse(frame: bytes) -> tuple[TrapHeader, bytes]:
    """Splits what was read from pkt0 into header and the workload's frame."""
    return TrapHeader.unpack(frame[_ETHERNET:]), frame[_ETHERNET + _HEADER :]


def build(header: TrapHeader, frame: bytes) -> bytes:
    """What to write to pkt0 to have ``frame`` sent."""
    return _FROM_AGENT + header.pack() + frame
