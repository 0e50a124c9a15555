"""How the vRouter's tools write what several of them print."""

from __future__ import annotations

from collections.abc import Sequence


def padded_mac(mac: bytes) -> str:
    """``00:00:5e:00:01:00``: as interfaces and tunnels print it."""
    return mac.hex(":")


def short_mac(mac: bytes) -> str:
    """``0:0:5e:0:1:0``: octets without leading zeros (ether_ntoa(3)), as routes print it."""
    return ":".join(f"{octet:x}" for octet in mac)


def flag_letters(flags: int, letters: Sequence[tuple[int, str]]) -> str:
    """The letters of the set flags, joined without separator, in the order given."""
    return "".join(text for bit, text in letters if flags & bit)
