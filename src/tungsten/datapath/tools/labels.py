"""``mpls`` and ``vxlan``: which next hop an incoming label or network identifier leads to."""

from __future__ import annotations


def mpls_header() -> str:
    """Title and column titles of the label map."""
    return "MPLS Input Label Map\n\n   Label    NextHop\n-------------------\n"


def mpls_row(label: int, nh: int) -> str:
    """One label."""
    return f"{label:>8}    {nh:>6}\n"


def vxlan_header() -> str:
    """Title and column titles of the VXLAN table."""
    return "VXLAN Table\n\n VNID    NextHop\n----------------\n"


def vxlan_row(vni: int, nh: int) -> str:
    """One network identifier."""
    return f"{vni:>7}    {nh}\n"
