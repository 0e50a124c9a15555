"""The compiled decoder of UPDATE against the Python one: real messages, and mutated ones.

Whatever octets come, both say the same: routes, attributes, faults with their remedies and
reasons, what was skipped and ignored, and the NOTIFICATION when the session has to close.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.bgp.test_bgp_revised_errors import DISCARDED, TREATED_AS_WITHDRAWN, body
from tests.unit.control.cores import compiled_only

from tungsten.bgp.as_path import AS_SEQUENCE, AS_SET, Segment
from tungsten.bgp.attributes import (
    Aggregator,
    AttributeStore,
    Context,
    PathAttributes,
    PmsiTunnel,
    RawAttribute,
    encode_attributes,
)
from tungsten.bgp.errors import ProtocolError
from tungsten.bgp.families import EVPN, INET, INET6, INET6_VPN, INET_VPN, ROUTE_TARGET, Family
from tungsten.bgp.nlri import (
    EthernetAutoDiscovery,
    EthernetSegment,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    MacIp,
    Nlri,
    RouteTarget,
    UnknownEvpn,
    Vpn,
    encode_nlri,
    pack_prefix,
)
from tungsten.bgp.update import (
    Update,
    decode_update,
    pack_end_of_rib,
    pack_reach,
    pack_unreach,
)

pytestmark = compiled_only
FAMILIES = [INET, INET6, INET_VPN, INET6_VPN, EVPN, ROUTE_TARGET]


def nlri_value(route: Nlri) -> tuple[bytes, int, int | None, bytes, bool]:
    """A route in the form that the core gives."""
    label = getattr(route, "label_field", 0)
    label2 = getattr(route, "label2_field", None)
    typed = isinstance(route, EthernetAutoDiscovery | MacIp | IpPrefix)
    esi = route.esi if isinstance(route, EthernetAutoDiscovery | MacIp | IpPrefix) else b""
    gateway = any(route.gateway) if isinstance(route, IpPrefix) else False
    return (route.key, label, label2, esi if typed else b"", gateway)


def python_says(octets: bytes, context: Context, families: frozenset[Family]) -> Any:
    """What the library makes of a message."""
    try:
        update = decode_update(octets, context, families, AttributeStore())
    except ProtocolError as error:
        return ("error", error.code, error.subcode, error.reason, error.data)
    return ("update", parts_of(update), update.end_of_rib, update.faults, *_rest(update))


def _rest(update: Update) -> tuple[Any, ...]:
    return update.skipped, tuple(sorted(update.ignored))


def parts_of(update: Update) -> list[Any]:
    """Withdrawals, then announcements, with attributes as octets."""
    parts: list[Any] = [
        (part.family, None, [nlri_value(route) for route in part.routes]) for part in update.unreach
    ]
    for part in update.reach:
        said = (part.attributes.next_hop, encode_attributes(part.attributes))
        parts.append((part.family, said, [nlri_value(route) for route in part.routes]))
    return parts


def core_says(octets: bytes, context: Context, families: frozenset[Family]) -> Any:
    """What the core makes of it."""
    from tungsten.control.core import _core

    core = _core.Core()
    parts, ended, faults, skipped, ignored, error = _core.decode_update(
        core, octets, context.internal, context.four_octet_as, list(families)
    )
    if error is not None:
        return ("error", *error)
    return ("update", parts, ended, tuple(faults), tuple(skipped), tuple(sorted(ignored)))


def check(octets: bytes, context: Context, families: frozenset[Family]) -> str:
    """Both say the same; returns what they agree on, for counting."""
    ours, theirs = core_says(octets, context, families), python_says(octets, context, families)
    assert ours == theirs, (octets.hex(), context)
    return str(theirs[0])


def attributes(draw: random.Random) -> PathAttributes:
    """Some attributes, of every kind now and then."""

    def maybe(value: Any, otherwise: Any, chance: float = 0.3) -> Any:
        return value if draw.random() < chance else otherwise

    path = tuple(
        Segment(
            draw.choice([AS_SEQUENCE, AS_SEQUENCE, AS_SET]),
            tuple(draw.choice([64512, 64513, 70000, 3356]) for _ in range(draw.randint(1, 4))),
        )
        for _ in range(draw.randint(0, 3))
    )
    return PathAttributes(
        next_hop=bytes((192, 0, 2, draw.randint(1, 9))),
        origin=draw.randrange(3),
        as_path=path,
        med=maybe(draw.getrandbits(32), None),
        local_preference=maybe(draw.getrandbits(8), None, 0.8),
        extended_communities=tuple(
            draw.choice([b"\0\2\xfc\0\0\0\0\1", b"\3\x0c\0\0\0\0\0\x08", b"\x80\x71\xfc\0\0\0\0\5"])
            for _ in range(draw.randint(0, 3))
        ),
        communities=maybe((0xFFFFFF01, 7), ()),
        large_communities=maybe((bytes(12),), ()),
        originator_id=maybe(bytes((10, 0, 0, 9)), None),
        cluster_list=maybe((bytes((0, 0, 0, 1)), bytes((0, 0, 0, 2))), ()),
        atomic_aggregate=draw.random() < 0.2,
        aggregator=maybe(Aggregator(draw.choice([64512, 70000]), bytes((1, 2, 3, 4))), None),
        pmsi_tunnel=maybe(PmsiTunnel(6, 0x1230, bytes((192, 0, 2, 1)), 0x80), None),
        origin_vn_path=maybe((b"\x80\x71\xfc\0\0\0\0\5",), ()),
        opaque=maybe((RawAttribute(0xE0, 99, b"abc"),), ()),
    )


def routes(draw: random.Random, family: Family) -> list[Nlri]:
    """Some routes of a family."""
    rd = b"\0\1" + bytes((192, 0, 2, draw.randint(1, 3))) + b"\0\3"

    def prefix(width: int) -> bytes:
        return pack_prefix(draw.randbytes(width), draw.randint(0, width * 8))

    def one() -> Nlri:
        label, esi = draw.getrandbits(24) | 1, draw.choice([bytes(10), draw.randbytes(10)])
        wide = draw.random() < 0.3
        if family in (INET, INET6):
            return Inet(prefix(4 if family == INET else 16))
        if family in (INET_VPN, INET6_VPN):
            return Vpn(rd, prefix(4 if family == INET_VPN else 16), label)
        if family == ROUTE_TARGET:
            return RouteTarget(pack_prefix(draw.randbytes(12), draw.choice([0, 32, 40, 96])))
        ip = draw.choice([b"", draw.randbytes(4), draw.randbytes(16)])
        address = ip or bytes(4)
        typed: list[Nlri] = [
            EthernetAutoDiscovery(rd, esi, draw.getrandbits(32), label),
            MacIp(rd, draw.choice([0, 7, 0xFFFFFFFF]), draw.randbytes(6), ip, label, esi, None),
            MacIp(rd, 0, draw.randbytes(6), ip, label, esi, draw.getrandbits(24)),
            InclusiveMulticast(rd, 0, address),
            EthernetSegment(rd, esi, address),
            IpPrefix(rd, 0, prefix(16 if wide else 4), label, bytes(16 if wide else 4), esi),
            UnknownEvpn(draw.choice([0, 6, 11]), draw.randbytes(draw.randint(0, 40))),
        ]
        return draw.choice(typed)

    return [one() for _ in range(draw.randint(1, 6))]


def messages(draw: random.Random, context: Context) -> list[bytes]:
    """Bodies of real messages."""
    family = draw.choice(FAMILIES)
    said = attributes(draw)
    block = encode_attributes(
        said, four_octet_as=context.four_octet_as, with_next_hop=family == INET
    )
    nlris = [encode_nlri(route) for route in routes(draw, family)]
    made = pack_reach(family, block, said.next_hop, nlris)
    kind = draw.randrange(4)
    if kind == 2:
        made = pack_unreach(family, nlris)
    elif kind == 3:
        made = [pack_end_of_rib(family)]
    return [message[19:] for message in made]


def mutated(draw: random.Random, octets: bytes) -> bytes:
    """A message with something broken, or several."""
    broken = bytearray(octets)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        match draw.randrange(5):
            case 0 if broken:
                broken[draw.randrange(len(broken))] = draw.getrandbits(8)
            case 1 if broken:
                broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
            case 2 if broken:
                del broken[draw.randrange(len(broken)) :]
            case 3:
                at = draw.randint(0, len(broken))
                broken[at:at] = draw.randbytes(draw.randint(1, 4))
            case _ if len(broken) > 4:
                at = draw.randrange(len(broken) - 1)
                del broken[at : at + draw.randint(1, 4)]
    return bytes(broken)


CONTEXTS = [Context(internal, wide) for internal in (True, False) for wide in (True, False)]


@pytest.mark.parametrize("seed", range(8))
def test_real_and_mutated_messages_are_read_alike(seed: int) -> None:
    draw = random.Random(seed)
    agreed: dict[str, int] = {"update": 0, "error": 0}
    for _ in range(400):
        context = draw.choice(CONTEXTS)
        some = frozenset(draw.sample(FAMILIES, draw.choice([6, 6, 6, 3])))
        for octets in messages(draw, context):
            agreed[check(octets, context, some)] += 1
            for _ in range(4):
                agreed[check(mutated(draw, octets), context, some)] += 1
    assert min(agreed.values()) > 100


@pytest.mark.parametrize(("name", "block", "context"), TREATED_AS_WITHDRAWN + DISCARDED)
def test_attribute_errors_cost_the_same(name: str, block: bytes, context: Context) -> None:
    assert check(body(block), context, frozenset(FAMILIES)) == "update"


def test_same_set_is_one_set_and_goes_with_its_last_user() -> None:
    from tungsten.control.core import _core

    core = _core.Core()
    said = PathAttributes(next_hop=bytes((192, 0, 2, 1)), local_preference=100)
    block = encode_attributes(said)
    one, two = core.intern(said.next_hop, block), core.intern(said.next_hop, block)
    other = core.intern(bytes((192, 0, 2, 2)), block)
    assert one.number == two.number != other.number
    assert core.attribute_sets() == 2
    number = one.number
    del one, two
    assert core.attribute_sets() == 1
    with pytest.raises(ValueError, match="no such attributes"):
        core.attributes(number)
