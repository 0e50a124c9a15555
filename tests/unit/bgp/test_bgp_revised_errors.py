"""Every kind of attribute error, and what it costs: the table of RFC 7606 in one place."""

from __future__ import annotations

import pytest

from tungsten.bgp.attributes import AttributeStore, Context, pack_attribute
from tungsten.bgp.errors import ProtocolError
from tungsten.bgp.families import EVPN, INET, INET_VPN, Family
from tungsten.bgp.nlri import Inet, prefix_from_text
from tungsten.bgp.update import Update, decode_update

FAMILIES = frozenset({INET, INET_VPN, EVPN})
IBGP = Context(internal=True, four_octet_as=True)
EBGP = Context(internal=False, four_octet_as=True)
ROUTE = Inet(prefix_from_text("10.0.0.0/8"))

ORIGIN = pack_attribute(0x40, 1, b"\0")
PATH = pack_attribute(0x40, 2, bytes.fromhex("02010000fde8"))
HOP = pack_attribute(0x40, 3, bytes((192, 0, 2, 1)))
LOCAL = pack_attribute(0x40, 5, bytes.fromhex("00000064"))
NLRI = b"\x08\x0a"
RD = bytes.fromhex("0000fc0000000005")
VPN_NLRI = bytes.fromhex("78 000101") + RD + bytes((10, 1, 1, 1))
VPN_REACH = bytes.fromhex("000180 0c 0000000000000000c0000201 00") + VPN_NLRI


def body(block: bytes, nlri: bytes = NLRI, withdrawn: bytes = b"") -> bytes:
    return b"".join(
        (
            len(withdrawn).to_bytes(2, "big"),
            withdrawn,
            len(block).to_bytes(2, "big"),
            block,
            nlri,
        )
    )


def decode(octets: bytes, context: Context = EBGP) -> Update:
    return decode_update(octets, context, FAMILIES, AttributeStore())


def announced(update: Update) -> list[object]:
    return [route for part in update.reach for route in part.routes]


def withdrawn(update: Update) -> list[object]:
    return [route for part in update.unreach for route in part.routes]


#: name, block of attributes, who sends it
TREATED_AS_WITHDRAWN = [
    ("attribute header cut", ORIGIN + PATH + HOP + b"\x40", EBGP),
    ("attribute header cut, extended", ORIGIN + PATH + HOP + b"\xd0\x20\x00", EBGP),
    ("attribute runs past the block", ORIGIN + PATH + HOP + b"\xc0\x08\x08\0\0", EBGP),
    ("origin not transitive", pack_attribute(0x00, 1, b"\0") + PATH + HOP, EBGP),
    ("origin optional", pack_attribute(0xC0, 1, b"\0") + PATH + HOP, EBGP),
    ("origin missing", PATH + HOP, EBGP),
    ("path missing", ORIGIN + HOP, EBGP),
    ("next hop missing", ORIGIN + PATH, EBGP),
    ("local preference missing inside", ORIGIN + PATH + HOP, IBGP),
    ("only an unknown attribute", pack_attribute(0xC0, 99, b"x"), EBGP),
    ("no attribute at all", b"", EBGP),
    ("routes beside MP_UNREACH alone", pack_attribute(0x80, 15, b"\0\1\x80"), EBGP),
    ("origin of 2 octets", pack_attribute(0x40, 1, b"\0\0") + PATH + HOP, EBGP),
    ("origin 3", pack_attribute(0x40, 1, b"\3") + PATH + HOP, EBGP),
    ("path empty from outside", ORIGIN + pack_attribute(0x40, 2, b"") + HOP, EBGP),
    ("segment type 0", ORIGIN + pack_attribute(0x40, 2, b"\0\1\0\0\0\1") + HOP, EBGP),
    ("segment type 5", ORIGIN + pack_attribute(0x40, 2, b"\5\1\0\0\0\1") + HOP, EBGP),
    ("confederation", ORIGIN + pack_attribute(0x40, 2, b"\3\1\0\0\0\1") + HOP, EBGP),
    ("segment empty", ORIGIN + pack_attribute(0x40, 2, b"\2\0") + HOP, EBGP),
    ("segment overruns", ORIGIN + pack_attribute(0x40, 2, b"\2\2\0\0\0\1") + HOP, EBGP),
    ("segment trailing", ORIGIN + pack_attribute(0x40, 2, b"\2\1\0\0\0\1\2") + HOP, EBGP),
    ("AS 0", ORIGIN + pack_attribute(0x40, 2, b"\2\1\0\0\0\0") + HOP, EBGP),
    (
        "endless path",
        ORIGIN + pack_attribute(0x40, 2, (b"\2\xff" + b"\0\0\0\1" * 255) * 4) + HOP,
        EBGP,
    ),
    ("next hop of 3 octets", ORIGIN + PATH + pack_attribute(0x40, 3, b"\1\1\1"), EBGP),
    ("next hop empty", ORIGIN + PATH + pack_attribute(0x40, 3, b""), EBGP),
    ("next hop 0.0.0.0", ORIGIN + PATH + pack_attribute(0x40, 3, bytes(4)), EBGP),
    ("next hop multicast", ORIGIN + PATH + pack_attribute(0x40, 3, b"\xe0\0\0\1"), EBGP),
    ("MED of 3 octets", ORIGIN + PATH + HOP + pack_attribute(0x80, 4, b"\0\0\0"), EBGP),
    ("local pref of 3", ORIGIN + PATH + HOP + pack_attribute(0x40, 5, b"\0\0\0"), IBGP),
    ("communities empty", ORIGIN + PATH + HOP + pack_attribute(0xC0, 8, b""), EBGP),
    ("communities of 5", ORIGIN + PATH + HOP + pack_attribute(0xC0, 8, bytes(5)), EBGP),
    ("extended of 9", ORIGIN + PATH + HOP + pack_attribute(0xC0, 16, bytes(9)), EBGP),
    ("large of 11", ORIGIN + PATH + HOP + pack_attribute(0xC0, 32, bytes(11)), EBGP),
    ("originator of 3", ORIGIN + PATH + HOP + LOCAL + pack_attribute(0x80, 9, bytes(3)), IBGP),
    ("cluster list empty", ORIGIN + PATH + HOP + LOCAL + pack_attribute(0x80, 10, b""), IBGP),
    ("cluster list of 5", ORIGIN + PATH + HOP + LOCAL + pack_attribute(0x80, 10, bytes(5)), IBGP),
    ("PMSI of 4", ORIGIN + PATH + HOP + pack_attribute(0xC0, 22, bytes(4)), EBGP),
    ("unknown well-known", ORIGIN + PATH + HOP + pack_attribute(0x40, 99, b"x"), EBGP),
]


@pytest.mark.parametrize(("name", "block", "context"), TREATED_AS_WITHDRAWN)
def test_route_counts_as_withdrawn(name: str, block: bytes, context: Context) -> None:
    """B-21, B-22, B-23, B-27, B-28, B-30, B-31, B-33, B-34, B-41 (PMSI), B-42."""
    update = decode(body(block), context)
    assert not update.reach
    assert withdrawn(update) == [ROUTE]
    assert update.faults
    assert all(fault.reason for fault in update.faults)


GOOD = ORIGIN + PATH + HOP
DISCARDED = [
    ("attribute twice", GOOD + ORIGIN, EBGP),
    ("local pref from outside, any length", GOOD + pack_attribute(0x40, 5, b"\1"), EBGP),
    ("originator from outside", GOOD + pack_attribute(0x80, 9, b"\1"), EBGP),
    ("cluster list from outside", GOOD + pack_attribute(0x80, 10, b"\1\2\3\4"), EBGP),
    ("atomic aggregate of 1", GOOD + pack_attribute(0x40, 6, b"\1"), EBGP),
    ("aggregator of 6 from a wide peer", GOOD + pack_attribute(0xC0, 7, bytes(6)), EBGP),
    ("aggregator AS 0", GOOD + pack_attribute(0xC0, 7, bytes(8)), EBGP),
    ("origin VN path of 7", GOOD + pack_attribute(0xC0, 243, bytes(7)), EBGP),
]


@pytest.mark.parametrize(("name", "block", "context"), DISCARDED)
def test_only_the_attribute_is_lost(name: str, block: bytes, context: Context) -> None:
    """B-25, B-31, B-32, B-34."""
    update = decode(body(block), context)
    assert announced(update) == [ROUTE]
    assert not update.unreach
    assert len(update.faults) == 1
    assert update.reach[0].attributes == decode(body(GOOD), context).reach[0].attributes


HARMLESS = [
    ("AS4_PATH from a wide peer is not read", GOOD + pack_attribute(0xC0, 17, b"\2\1"), EBGP),
    ("prefix SID of zeros", GOOD + bytes.fromhex("e0281c") + bytes(28), EBGP),
    ("tunnel encapsulation cut", GOOD + pack_attribute(0xC0, 23, b"\0"), EBGP),
    ("unknown extended community", GOOD + pack_attribute(0xC0, 16, b"\x7f" * 8), EBGP),
    ("empty path inside", ORIGIN + pack_attribute(0x40, 2, b"") + HOP + LOCAL, IBGP),
    ("family not negotiated", GOOD + pack_attribute(0x80, 15, b"\0\2\1\x80\x20"), EBGP),
]


@pytest.mark.parametrize(("name", "block", "context"), HARMLESS)
def test_no_fault_is_seen(name: str, block: bytes, context: Context) -> None:
    """B-29, B-33, B-37, B-41."""
    update = decode(body(block), context)
    assert announced(update) == [ROUTE]
    assert not update.faults


MP = ORIGIN + PATH
RESETS = [
    ("lengths exceed the message", b"\0\0\0\x40" + GOOD + NLRI, (3, 1)),
    ("withdrawn length exceeds", b"\0\x40\0\0", (3, 1)),
    ("MP_REACH twice", body(pack_attribute(0x80, 14, VPN_REACH) * 2 + MP, b""), (3, 1)),
    ("MP_UNREACH twice", body(pack_attribute(0x80, 15, b"\0\1\x80") * 2 + MP, b""), (3, 1)),
    ("MP_REACH of 4", body(pack_attribute(0x80, 14, VPN_REACH[:4]) + MP, b""), (3, 9)),
    (
        "next hop longer than the attribute",
        body(pack_attribute(0x80, 14, VPN_REACH[:10]) + MP, b""),
        (3, 9),
    ),
    (
        "next hop of no octets",
        body(pack_attribute(0x80, 14, b"\0\1\x80\0\0" + VPN_NLRI) + MP, b""),
        (3, 9),
    ),
    ("MP_UNREACH of 2", body(pack_attribute(0x80, 15, b"\0\1") + MP, b""), (3, 9)),
    (
        "MP_UNREACH NLRI overruns",
        body(pack_attribute(0x80, 15, b"\0\1\x80" + VPN_NLRI[:-1]), b""),
        (3, 9),
    ),
    ("prefix of 33 bits", body(GOOD, b"\x21\x0a\0\0\0\0"), (3, 10)),
    ("prefix overruns", body(GOOD, b"\x18\x0a\0"), (3, 10)),
    ("withdrawn prefix overruns", body(GOOD, NLRI, b"\x18\x0a\0"), (3, 10)),
    (
        "VPN prefix shorter than its RD",
        body(pack_attribute(0x80, 14, VPN_REACH[:17] + b"\x20\0\1\1\0") + MP, b""),
        (3, 9),
    ),
    ("bad origin, no routes", body(pack_attribute(0x40, 1, b"\3") + PATH, b""), (3, 6)),
    ("block cut, no routes", body(ORIGIN + b"\x40", b""), (3, 1)),
    (
        "EVPN type overruns",
        body(pack_attribute(0x80, 14, b"\0\x19\x46\4\xc0\0\2\1\0\2\x25\0") + MP, b""),
        (3, 9),
    ),
]


@pytest.mark.parametrize(("name", "octets", "code"), RESETS)
def test_session_resets(name: str, octets: bytes, code: tuple[int, int]) -> None:
    """B-20, B-24, B-26, B-35, B-36, B-38."""
    with pytest.raises(ProtocolError) as caught:
        decode(octets)
    assert (caught.value.code, caught.value.subcode) == code
    assert caught.value.reason


def test_bad_attributes_withdraw_vpn_routes_too() -> None:
    """B-23."""
    block = pack_attribute(0x80, 14, VPN_REACH) + PATH
    update = decode(body(block, b""))
    assert not update.reach
    assert update.unreach[0].family == INET_VPN
    assert len(update.unreach[0].routes) == 1


def test_next_hop_fault_does_not_matter_to_vpn_routes() -> None:
    bad_hop = pack_attribute(0x40, 3, bytes(4))
    update = decode(body(pack_attribute(0x80, 14, VPN_REACH) + MP + bad_hop, b""))
    assert len(announced(update)) == 1


@pytest.mark.parametrize("label", ["000100", "800000", "000000"])
def test_label_that_ends_no_stack_withdraws_its_route_alone(label: str) -> None:
    """B-39."""
    nlri = b"\x78" + bytes.fromhex(label) + RD + bytes((10, 1, 1, 2))
    block = pack_attribute(0x80, 14, VPN_REACH + nlri) + MP
    update = decode(body(block, b""))
    assert len(announced(update)) == 1
    assert len(withdrawn(update)) == 1


@pytest.mark.parametrize("label", ["000101", "800000", "000000", "000100"])
def test_withdrawal_takes_any_label(label: str) -> None:
    """B-39."""
    nlri = b"\x78" + bytes.fromhex(label) + RD + bytes((10, 1, 1, 2))
    update = decode(body(pack_attribute(0x80, 15, b"\0\1\x80" + nlri), b""))
    assert len(withdrawn(update)) == 1
    assert not update.faults


BAD_EVPN = {
    "MAC of 40 bits": "02 21 RD ESI 00000000 28 020000000103 00 000101",
    "IP of 24 bits": "02 24 RD ESI 00000000 30 020000000103 18 0a0101 000101",
    "IP length against NLRI length": "02 21 RD ESI 00000000 30 020000000103 20 000101",
    "octets after the labels": "02 22 RD ESI 00000000 30 020000000103 00 000101 00",
    "originator of 16 bits": "03 0f RD 00000000 10 c000",
    "multicast too long": "03 12 RD 00000000 20 c0000207 00",
    "segment cut": "04 12 RD ESI",
    "prefix of 33 bits": "05 22 RD ESI 00000000 21 0a020000 00000000 001389",
    "prefix route of 35": "05 23 RD ESI 00000000 18 0a020000 00000000 001389 00",
    "discovery of 24": "01 18 RD ESI 00000000 0001",
}


@pytest.mark.parametrize("name", BAD_EVPN)
def test_bad_evpn_route_is_skipped_alone(name: str) -> None:
    """E-01, E-02, E-03."""
    octets = BAD_EVPN[name].replace("RD", RD.hex()).replace("ESI", "00" * 10)
    good = bytes.fromhex("03 11") + RD + bytes.fromhex("00000000 20 c0000207")
    reach = b"\0\x19\x46\4\xc0\0\2\1\0" + bytes.fromhex(octets) + good
    update = decode(body(pack_attribute(0x80, 14, reach) + MP, b""))
    assert len(announced(update)) == 1
    assert len(update.skipped) == 1
    assert not update.faults


def test_family_that_was_not_negotiated_is_named_and_ignored() -> None:
    """B-37, B-43."""
    update = decode_update(
        body(GOOD + pack_attribute(0x80, 14, VPN_REACH)),
        EBGP,
        frozenset({INET}),
        AttributeStore(),
    )
    assert update.ignored == (Family(1, 128),)
    assert announced(update) == [ROUTE]


def test_route_both_withdrawn_and_announced_is_announced_last() -> None:
    """B-40."""
    update = decode(body(GOOD, NLRI, withdrawn=NLRI))
    assert withdrawn(update) == [ROUTE]
    assert announced(update) == [ROUTE]


@pytest.mark.parametrize("four", [True, False])
def test_path_of_a_narrow_peer_is_kept_when_its_companion_is_broken(four: bool) -> None:
    """B-29."""
    narrow_path = pack_attribute(0x40, 2, bytes.fromhex("0201fde8"))
    block = ORIGIN + (PATH if four else narrow_path) + HOP
    for companion in (b"\2\3" + bytes(4), b"\2\2\0\0\xfd\xe8\0\0\xfd\xe9", b"\3\1\0\0\0\1"):
        update = decode(
            body(block + pack_attribute(0xC0, 17, companion)),
            Context(internal=False, four_octet_as=four),
        )
        assert update.reach[0].attributes.as_path[0].asns == (65000,)
