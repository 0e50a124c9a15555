"""Capabilities beyond the basics as dialogues: several paths, long-lived restart, refresh, text."""

from __future__ import annotations

import pytest
from tests.unit.bgp.bgp_dialogue import PEER_ID, Dialogue, peer_open
from tests.unit.bgp.test_bgp_session import ATTRIBUTES, ROUTE, establish

from tungsten.bgp.as_path import AS_SEQUENCE, AS_TRANS, Segment
from tungsten.bgp.attributes import AttributeStore, Context, PathAttributes
from tungsten.bgp.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    FourOctetAs,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    decode_capability,
    encode_capability,
)
from tungsten.bgp.capabilities import RouteRefresh as CanRefresh
from tungsten.bgp.errors import ProtocolError
from tungsten.bgp.families import ERM_VPN, EVPN, INET, INET_VPN, ROUTE_TARGET, Family
from tungsten.bgp.fsm import Down, Received
from tungsten.bgp.messages import Keepalive, Notification, Open, RouteRefresh, shutdown
from tungsten.bgp.nlri import (
    ErmVpn,
    InclusiveMulticast,
    Inet,
    Nlri,
    decode_nlri,
    encode_nlri,
    prefix_from_text,
)
from tungsten.bgp.update import UPDATE_TYPE, Unreach, Update, decode_update, frame

CEASE = 6
RESTART = GracefulRestart(120, ((INET_VPN, True),), notification=True)
LAST_RESORT = LongLivedGracefulRestart(((INET_VPN, True, 3600),))
PREFIX = Inet(prefix_from_text("10.0.0.0/8"))
MEMBER = InclusiveMulticast(bytes(8), 0, PEER_ID)


def with_capabilities(*more: Capability, families: tuple[Family, ...] = (INET_VPN,)) -> Open:
    said = peer_open(families=families)
    return Open(said.asn, said.hold_time, said.router_id, (*said.capabilities, *more))


def said_capabilities(**config: object) -> tuple[Capability, ...]:
    dialogue = Dialogue(**config).start()
    said = dialogue.connects().heard.popleft()
    assert isinstance(said, Open)
    return said.capabilities


@pytest.mark.parametrize(
    "capability",
    [
        AddPath(((INET_VPN, True, False), (EVPN, False, True), (INET, True, True))),
        EnhancedRouteRefresh(),
        LAST_RESORT,
    ],
)
def test_capabilities_survive(capability: Capability) -> None:
    octets = encode_capability(capability)
    assert decode_capability(octets[0], octets[2:]) == capability


def test_what_is_offered() -> None:
    plain = said_capabilities()
    assert EnhancedRouteRefresh() in plain
    assert not any(isinstance(c, AddPath | LongLivedGracefulRestart) for c in plain)
    families = frozenset({INET_VPN, ROUTE_TARGET})
    full = said_capabilities(
        families=families,
        restart_time=120,
        long_lived_time=3600,
        add_paths=frozenset({INET_VPN, EVPN}),
    )
    assert AddPath(((INET_VPN, True, False),)) in full
    times = {
        family: time
        for family, _, time in next(
            c.families for c in full if isinstance(c, LongLivedGracefulRestart)
        )
    }
    assert times == {INET_VPN: 3600, ROUTE_TARGET: 3600}
    assert not any(isinstance(c, FourOctetAs) for c in said_capabilities(four_octet_as=False))


# --- several paths ------------------------------------------------------------------------------


def _path(path_id: int, route: Nlri) -> bytes:
    return path_id.to_bytes(4, "big") + encode_nlri(route)


def test_paths_of_one_route_are_told_apart_by_their_identifiers() -> None:
    dialogue = Dialogue(add_paths=frozenset({INET_VPN}))
    peer = establish(dialogue, with_capabilities(AddPath(((INET_VPN, False, True),))))
    reach = bytes.fromhex("0001800c0000000000000000c000020100")
    reach += _path(1, ROUTE) + _path(2, ROUTE)
    block = bytes.fromhex("400101004002004005040000006490 0e") + len(reach).to_bytes(2, "big")
    block += reach
    peer >> frame(UPDATE_TYPE, b"\0\0" + len(block).to_bytes(2, "big") + block)
    message = dialogue.expect(Received).message
    assert isinstance(message, Update)
    (news,) = message.reach
    assert (news.routes, news.path_ids) == ((ROUTE, ROUTE), (1, 2))
    gone = bytes.fromhex("000180") + _path(2, ROUTE)
    block = b"\x90\x0f" + len(gone).to_bytes(2, "big") + gone
    peer >> frame(UPDATE_TYPE, b"\0\0" + len(block).to_bytes(2, "big") + block)
    assert dialogue.expect(Received).message == Update(unreach=(Unreach(INET_VPN, (ROUTE,), (2,)),))


def test_identifiers_come_only_from_who_announced_them() -> None:
    dialogue = Dialogue(add_paths=frozenset({INET_VPN}))
    peer = establish(dialogue, with_capabilities(AddPath(((INET_VPN, True, False),))))
    peer >> Update(unreach=(Unreach(INET_VPN, (ROUTE,)),))
    assert dialogue.expect(Received).message == Update(unreach=(Unreach(INET_VPN, (ROUTE,)),))


@pytest.mark.parametrize(("family", "route"), [(INET, PREFIX), (EVPN, MEMBER)])
def test_every_cut_of_a_route_with_identifier_closes_the_session(
    family: Family, route: Nlri
) -> None:
    context = Context(True, True, frozenset({family}))
    octets = _path(7, route)

    def withdraw(data: bytes) -> Update:
        value = bytes((0, family.afi, family.safi)) + data
        block = b"\x90\x0f" + len(value).to_bytes(2, "big") + value
        body = b"\0\0" + len(block).to_bytes(2, "big") + block
        return decode_update(body, context, frozenset({family}), AttributeStore())

    (gone,) = withdraw(octets).unreach
    assert (gone.routes, gone.path_ids) == ((route,), (7,))
    for size in range(1, len(octets)):
        with pytest.raises(ProtocolError):
            withdraw(octets[:size])


# --- restart ------------------------------------------------------------------------------------


def test_long_lived_time_follows_where_both_announced_it() -> None:
    for ours, expected in ((3600, ((INET_VPN, 3600),)), (0, ())):
        dialogue = Dialogue(restart_time=120, long_lived_time=ours)
        establish(dialogue, with_capabilities(RESTART, LAST_RESORT)).hangs_up()
        down = dialogue.expect(Down)
        assert down.keep == {INET_VPN}
        assert down.long_lived == expected


def test_hard_reset_ends_long_lived_routes_too() -> None:
    dialogue = Dialogue(restart_time=120, long_lived_time=3600)
    peer = establish(dialogue, with_capabilities(RESTART, LAST_RESORT))
    peer >> Notification(CEASE, 9, b"\6\2")
    down = dialogue.expect(Down)
    assert not down.keep
    assert not down.long_lived


@pytest.mark.parametrize(
    ("restart", "told"),
    [(RESTART, Notification(CEASE, 9, b"\6\3")), (None, Notification(CEASE, 3))],
)
def test_neighbour_left_for_good_does_not_wait_for_us(
    restart: GracefulRestart | None, told: Notification
) -> None:
    dialogue = Dialogue(restart_time=120)
    peer = establish(dialogue, with_capabilities(*([restart] if restart else [])))
    dialogue.stop(Notification(CEASE, 3))
    peer << told


# --- words --------------------------------------------------------------------------------------


def test_shutdown_text_is_cut_between_characters() -> None:
    """B-11."""
    assert shutdown("maintenance").shutdown_text == "maintenance"
    long = shutdown("\u00e9" * 200)
    assert long.data[0] == 254
    assert long.shutdown_text == "\u00e9" * 127
    inside = Notification(CEASE, 9, b"\6\2\2ok")
    assert inside.shutdown_text == "ok"


def test_refresh_demarcations_reach_the_owner() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue, with_capabilities(CanRefresh(), EnhancedRouteRefresh()))
    for subtype in (0, 1, 2):
        peer >> RouteRefresh(INET_VPN, subtype)
        assert dialogue.expect(Received).message == RouteRefresh(INET_VPN, subtype)


def test_refresh_with_filters_is_taken_without_them() -> None:
    """B-09."""
    dialogue = Dialogue()
    peer = establish(dialogue)
    peer >> frame(5, bytes.fromhex("00010080") + b"\1\x80\0\5filter")
    assert dialogue.expect(Received).message == RouteRefresh(INET_VPN)


# --- narrow AS numbers --------------------------------------------------------------------------


def test_wide_as_numbers_cross_a_narrow_session() -> None:
    dialogue = Dialogue(four_octet_as=False, peer_as=64513)
    dialogue.start()
    peer = dialogue.connects()
    capabilities = (Multiprotocol(INET_VPN), FourOctetAs(64513))
    peer << Open
    peer >> Open(64513, 90, PEER_ID, capabilities) << Keepalive()
    peer >> Keepalive()
    path = (Segment(AS_SEQUENCE, (64513, 4200000001)),)
    attributes = PathAttributes(next_hop=ATTRIBUTES.next_hop, as_path=path)
    narrow = AttributeStore().block(attributes, False, False)
    assert AS_TRANS.to_bytes(2, "big") in narrow
    reach = bytes.fromhex("0001800c0000000000000000c000020700") + encode_nlri(ROUTE)
    block = b"\x90\x0e" + len(reach).to_bytes(2, "big") + reach + narrow
    peer >> frame(UPDATE_TYPE, b"\0\0" + len(block).to_bytes(2, "big") + block)
    dialogue.actions.popleft(), dialogue.actions.popleft()
    message = dialogue.expect(Received).message
    assert isinstance(message, Update)
    assert message.reach[0].attributes.as_path == path


# --- size ---------------------------------------------------------------------------------------


def test_fullest_update_takes_linear_work() -> None:
    """B-45, B-28 and B-33: as many routes, AS numbers and communities as a message can hold."""
    context = Context(False, True)
    head = bytes.fromhex("40010100400304c0000201")
    short_path = bytes.fromhex("40020602010000fde8")
    routes = b"".join(bytes((8, n % 200 + 1)) for n in range(1900))
    block = head + short_path
    update = decode_update(
        b"\0\0" + len(block).to_bytes(2, "big") + block + routes,
        context,
        frozenset({INET}),
        AttributeStore(),
    )
    assert len(update.reach[0].routes) == 1900
    many = b"\x02\xff" + bytes.fromhex("0000fde8") * 255
    for value, usable in ((many * 3, True), (many * 3 + many[:2] + many[2:] * 1, False)):
        block = head + b"\x50\x02" + len(value).to_bytes(2, "big") + value
        body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a"
        update = decode_update(body, context, frozenset({INET}), AttributeStore())
        assert bool(update.reach) == usable
    values = bytes(4) * 900
    block = head + short_path + b"\xd0\x08" + len(values).to_bytes(2, "big") + values
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a"
    update = decode_update(body, context, frozenset({INET}), AttributeStore())
    assert len(update.reach[0].attributes.communities) == 900


def test_bad_route_of_a_replication_tree_is_skipped_alone() -> None:
    """R-04: addresses that are not 32 bits, types that are not known, lengths that do not fit."""
    good = ErmVpn(1, bytes(8), PEER_ID, bytes(4), b"\xff\xff\xff\xff")
    octets = encode_nlri(good)
    source = bytearray(octets)
    source[14] = 24
    group = bytearray(octets)
    group[19] = 64
    kind = b"\7" + octets[1:]
    cut = octets[:1] + bytes((octets[1] - 1,)) + octets[2:-1]
    for bad in (bytes(source), bytes(group), kind, cut):
        found = decode_nlri(ERM_VPN, bad + octets)
        assert found.routes == [good]
        assert len(found.skipped) == 1
