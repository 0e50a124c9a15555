"""Tags and security groups in each form that other control nodes use."""

from __future__ import annotations

import pytest

from tungsten.bgp.communities import (
    large_tag,
    large_tags_of,
    security_groups_of,
    tag,
    tags_of,
    with_private_number,
)

APPLICATION_1 = 1 << 16 | 7


def test_large_form_in_octets() -> None:
    assert large_tag(64512, APPLICATION_1) == bytes.fromhex("0000fc00 01 00 0001 00000007")


@pytest.mark.parametrize("asn", [64512, 4200000001])
def test_every_form_is_read(asn: int) -> None:
    assert large_tags_of((large_tag(asn, APPLICATION_1),)) == (APPLICATION_1,)
    assert tags_of(with_private_number(0x84, asn, APPLICATION_1, 3)) == (APPLICATION_1,)
    assert security_groups_of(with_private_number(0x04, asn, 8000001, 1)) == (8000001,)


def test_pair_of_an_older_encoder_is_read() -> None:
    """It wrote the index over the lower half of the AS number."""
    good = with_private_number(0x84, 4200000001, APPLICATION_1, 3)
    bad = good[0][:4] + b"\0\3" + good[0][6:]
    assert tags_of((bad, good[1])) == (APPLICATION_1,)


def test_other_large_communities_are_no_tags() -> None:
    assert large_tags_of((bytes.fromhex("0000fc00 00000001 00000007"),)) == ()
    assert large_tags_of((bytes.fromhex("0000fc00 01000001 00010007"),)) == ()
    assert tags_of((tag(64512, 5),)) == (5,)
