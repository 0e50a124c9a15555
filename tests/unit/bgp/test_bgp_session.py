"""Sessions as dialogues: what the neighbour says, and what is said back."""

from __future__ import annotations

import pytest
from tests.unit.bgp.bgp_dialogue import PEER_ID, Dialogue, Talk, peer_open

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.capabilities import GracefulRestart, UnknownCapability
from tungsten.bgp.families import EVPN, INET, INET_VPN
from tungsten.bgp.fsm import CancelDial, Dial, Down, Received, State, Up
from tungsten.bgp.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    RouteRefresh,
    encode_message,
)
from tungsten.bgp.nlri import Vpn, prefix_from_text, rd_from_text
from tungsten.bgp.update import Reach, Unreach, Update

CEASE = 6
ROUTE = Vpn(rd_from_text("192.0.2.7:3"), prefix_from_text("10.1.1.3/32"), 27 << 4 | 1)
ATTRIBUTES = PathAttributes(next_hop=bytes((192, 0, 2, 7)), local_preference=100)
UPDATE = Update(reach=(Reach(INET_VPN, ATTRIBUTES, (ROUTE,)),))


def establish(dialogue: Dialogue, said: Open | None = None) -> Talk:
    """Dial, agree, and come up."""
    dialogue.start()
    dialogue.expect(Dial)
    peer = dialogue.connects()
    peer << Open
    peer >> (said or peer_open()) << Keepalive()
    peer >> Keepalive()
    dialogue.expect(Up)
    assert dialogue.session.state is State.ESTABLISHED
    return peer


def test_session_comes_up_when_we_dial() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue)
    assert peer.silent
    assert dialogue.idle


def test_session_comes_up_when_the_neighbour_dials() -> None:
    dialogue = Dialogue(passive=True).start()
    assert dialogue.idle
    peer = dialogue.accepts()
    peer << Open
    peer >> peer_open() << Keepalive()
    peer >> Keepalive()
    up = dialogue.expect(Up)
    assert up.negotiated.families == {INET_VPN}
    assert up.negotiated.router_id == PEER_ID


def test_incoming_connection_wins_while_our_dial_is_under_way() -> None:
    dialogue = Dialogue().start()
    dialogue.expect(Dial)
    peer = dialogue.accepts()
    peer << Open
    peer >> peer_open() << Keepalive()
    peer >> Keepalive()
    dialogue.expect(CancelDial)
    dialogue.expect(Up)


def test_routes_reach_the_owner() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue)
    peer >> UPDATE >> RouteRefresh(INET_VPN)
    assert dialogue.expect(Received).message == UPDATE
    assert dialogue.expect(Received).message == RouteRefresh(INET_VPN)


def test_hold_time_is_the_smaller_and_keepalives_go_three_in_it() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue, peer_open(hold=9))
    dialogue.wait(3.0)
    peer << Keepalive()
    peer >> Keepalive()
    dialogue.wait(8.9)
    peer << Keepalive() << Keepalive()
    dialogue.wait(0.2)
    peer << Notification(4)
    assert "hold timer" in peer.dropped
    assert dialogue.expect(Down).sent == Notification(4)


def test_hold_time_zero_means_no_timers() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue, peer_open(hold=0))
    dialogue.wait(100000)
    assert peer.silent
    assert dialogue.session.state is State.ESTABLISHED


def test_silent_connection_is_closed_after_the_open_time() -> None:
    """B-04."""
    dialogue = Dialogue(passive=True).start()
    peer = dialogue.accepts()
    peer << Open
    peer >> b"\xff" * 18
    dialogue.wait(15.1)
    peer << Notification(4)
    assert "OPEN" in peer.dropped


def test_failed_dial_is_repeated_after_the_connect_time() -> None:
    dialogue = Dialogue().start()
    dialogue.expect(Dial)
    dialogue.dial_fails()
    dialogue.wait(29.9)
    assert dialogue.idle
    dialogue.wait(0.2)
    dialogue.expect(Dial)
    dialogue.wait(30.1)
    dialogue.expect(Dial)


BAD_OPENS = [
    ("wrong AS", peer_open(asn=64513), (2, 2)),
    ("our own identifier", peer_open(router_id=bytes((10, 0, 0, 1))), (2, 3)),
    ("identifier zero", peer_open(router_id=bytes(4)), (2, 3)),
    ("hold time 1", peer_open(hold=1), (2, 6)),
    ("no common family", peer_open(families=(EVPN,)), (2, 7)),
]


@pytest.mark.parametrize(("name", "said", "code"), BAD_OPENS)
def test_bad_open_is_answered_with_its_code(name: str, said: Open, code: tuple[int, int]) -> None:
    """B-06."""
    dialogue = Dialogue().start()
    peer = dialogue.connects()
    peer << Open
    peer >> said
    answer = peer.heard.popleft()
    assert isinstance(answer, Notification)
    assert (answer.code, answer.subcode) == code
    assert peer.dropped
    assert dialogue.session.state is State.IDLE


def test_wrong_version_is_told_ours() -> None:
    """B-06."""
    dialogue = Dialogue().start()
    peer = dialogue.connects()
    octets = bytearray(encode_message(peer_open()))
    octets[19] = 3
    peer << Open
    peer >> bytes(octets)
    peer << Notification(2, 1, b"\0\4")


def test_unknown_capability_is_ignored() -> None:
    """B-08."""
    said = peer_open()
    said = Open(said.asn, said.hold_time, said.router_id, (UnknownCapability(73, b"x"),))
    dialogue = Dialogue(families=frozenset({INET})).start()
    peer = dialogue.connects()
    peer << Open
    peer >> said << Keepalive()


OUT_OF_PLACE: list[tuple[Message, int]] = [
    (Keepalive(), 1),
    (UPDATE, 1),
    (RouteRefresh(INET_VPN), 1),
]


@pytest.mark.parametrize(("said", "subcode"), OUT_OF_PLACE)
def test_message_before_open_is_an_fsm_error(said: Message, subcode: int) -> None:
    dialogue = Dialogue().start()
    peer = dialogue.connects()
    peer << Open
    peer >> said
    peer << Notification(5, subcode)


def test_update_before_keepalive_and_second_open_are_fsm_errors() -> None:
    dialogue = Dialogue().start()
    peer = dialogue.connects()
    peer << Open
    peer >> peer_open() << Keepalive()
    peer >> UPDATE
    peer << Notification(5, 2)
    dialogue = Dialogue()
    peer = establish(dialogue)
    peer >> peer_open()
    peer << Notification(5, 3)
    assert dialogue.expect(Down).sent == Notification(5, 3)


BAD_FRAMES = [
    ("marker", b"\xfe" + b"\xff" * 15 + b"\0\x13\4", Notification(1, 1)),
    ("short", b"\xff" * 16 + b"\0\x12\4", Notification(1, 2, b"\0\x12")),
    ("long", b"\xff" * 16 + b"\x10\x01\2", Notification(1, 2, b"\x10\x01")),
    ("keepalive of 20", b"\xff" * 16 + b"\0\x14\4", Notification(1, 2, b"\0\x14")),
    ("open of 28", b"\xff" * 16 + b"\0\x1c\1", Notification(1, 2, b"\0\x1c")),
    ("update of 22", b"\xff" * 16 + b"\0\x16\2", Notification(1, 2, b"\0\x16")),
    ("notification of 20", b"\xff" * 16 + b"\0\x14\3", Notification(1, 2, b"\0\x14")),
    ("refresh of 22", b"\xff" * 16 + b"\0\x16\5", Notification(7, 1)),
    ("type 0", b"\xff" * 16 + b"\0\x13\0", Notification(1, 3, b"\0")),
    ("dynamic capability", b"\xff" * 16 + b"\0\x13\6", Notification(1, 3, b"\6")),
]


@pytest.mark.parametrize(("name", "octets", "answer"), BAD_FRAMES)
def test_bad_frame_closes_with_its_code(name: str, octets: bytes, answer: Notification) -> None:
    """B-01, B-02, B-03, B-10."""
    dialogue = Dialogue()
    peer = establish(dialogue)
    peer >> octets
    peer << answer
    assert peer.dropped
    assert dialogue.expect(Down).sent == answer


@pytest.mark.parametrize("code", [*range(10), 255])
def test_any_notification_closes_in_any_state(code: int) -> None:
    """B-11."""
    for upto in range(3):
        dialogue = Dialogue().start()
        peer = dialogue.connects()
        if upto > 0:
            peer >> peer_open()
        if upto > 1:
            peer >> Keepalive()
        peer >> Notification(code, 2, b"\xff\xfe\x80 not utf-8")
        assert peer.dropped
        assert dialogue.session.state is State.IDLE


def test_shutdown_text_is_clamped_and_readable() -> None:
    """B-11."""
    assert Notification(CEASE, 2, b"\x05hello world").shutdown_text == "hello"
    assert Notification(CEASE, 2, b"\xffab\xff").shutdown_text == "ab\ufffd"
    assert "'hello'" in str(Notification(CEASE, 2, b"\x05hello"))


# --- collisions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("peer_id", "keeps"), [((10, 0, 0, 9), "in"), ((9, 0, 0, 1), "out")])
def test_connection_of_the_higher_identifier_stays(peer_id: tuple[int, ...], keeps: str) -> None:
    """B-12."""
    for first in ("in", "out"):
        dialogue = Dialogue().start()
        talks = {"out": dialogue.connects("out"), "in": dialogue.accepts("in")}
        for talk in talks.values():
            talk << Open
        talks[first] >> peer_open(router_id=bytes(peer_id))
        loser = talks["out" if keeps == "in" else "in"]
        loser << Notification(CEASE, 7)
        assert "collision" in loser.dropped
        winner = talks[keeps]
        if first != keeps:
            winner >> peer_open(router_id=bytes(peer_id))
        winner << Keepalive()
        winner >> Keepalive()
        assert dialogue.session.state is State.ESTABLISHED


def test_second_connection_does_not_disturb_an_established_one() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue)
    other = dialogue.accepts()
    other << Open
    other >> peer_open()
    other << Notification(CEASE, 7)
    assert other.dropped
    assert not peer.dropped
    assert dialogue.idle


def test_restarted_neighbour_takes_over_its_routes() -> None:
    restart = GracefulRestart(120, ((INET_VPN, True),))
    dialogue = Dialogue()
    peer = establish(dialogue, peer_open(restart=restart))
    again = dialogue.accepts()
    again << Open
    back = GracefulRestart(120, ((INET_VPN, True),), restarting=True)
    again >> peer_open(restart=back) << Keepalive()
    assert "restarted" in peer.dropped
    assert dialogue.expect(Down).keep == {INET_VPN}
    again >> Keepalive()
    dialogue.expect(Up)


def test_newer_incoming_connection_replaces_one_that_says_nothing() -> None:
    dialogue = Dialogue(passive=True).start()
    first = dialogue.accepts("first")
    second = dialogue.accepts("second")
    assert "newer" in first.dropped
    second << Open
    second >> peer_open() << Keepalive()


def test_dial_that_succeeds_late_is_dropped_unused() -> None:
    dialogue = Dialogue().start()
    peer = dialogue.accepts()
    peer << Open
    peer >> peer_open() << Keepalive()
    late = dialogue.connects()
    assert late.silent
    assert late.dropped
    peer >> Keepalive()
    assert dialogue.session.state is State.ESTABLISHED


# --- losing a session ---------------------------------------------------------------------------


def test_idle_hold_doubles_until_a_session_stays_up() -> None:
    """B-13."""
    dialogue = Dialogue()
    peer = establish(dialogue)
    rests = []
    for _ in range(9):
        peer >> b"\0" * 19
        before = dialogue.now
        dialogue.actions.clear()
        dialogue.wait(dialogue.session.deadline - dialogue.now)
        rests.append(dialogue.now - before)
        dialogue.expect(Dial)
        peer = dialogue.connects(len(rests))
        peer >> peer_open() >> Keepalive()
    assert rests == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    for _ in range(11):
        dialogue.wait(30)
        peer >> Keepalive()
    peer >> b"\0" * 19
    assert dialogue.session.deadline - dialogue.now == 1


def test_connection_during_idle_hold_is_rejected() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue)
    peer >> b"\0" * 19
    stranger = dialogue.accepts()
    stranger << Notification(CEASE, 5)
    assert stranger.dropped


def test_stopped_neighbour_is_told_and_rejected_until_started() -> None:
    """B-12."""
    dialogue = Dialogue()
    peer = establish(dialogue)
    dialogue.stop()
    peer << Notification(CEASE, 2)
    assert peer.dropped
    dialogue.expect(Down)
    refused = dialogue.accepts()
    refused << Notification(CEASE, 5)
    dialogue.wait(1000)
    assert dialogue.session.deadline == float("inf")
    dialogue.actions.clear()
    dialogue.start()
    dialogue.expect(Dial)


RESTART = GracefulRestart(120, ((INET_VPN, True),))
RESTART_N = GracefulRestart(120, ((INET_VPN, True),), notification=True)


def test_lost_connection_keeps_routes_of_a_neighbour_that_can_restart() -> None:
    dialogue = Dialogue()
    establish(dialogue, peer_open(restart=RESTART)).hangs_up()
    down = dialogue.expect(Down)
    assert down.keep == {INET_VPN}
    assert down.keep_time == 120


@pytest.mark.parametrize(
    ("restart", "said", "kept"),
    [
        (None, None, False),
        (RESTART, Notification(CEASE, 4), False),
        (RESTART_N, Notification(CEASE, 4), True),
        (RESTART_N, Notification(CEASE, 9), False),
        (RESTART_N, Notification(CEASE, 3), False),
        (RESTART_N, Notification(4), True),
    ],
)
def test_when_routes_are_kept(
    restart: GracefulRestart | None, said: Notification | None, kept: bool
) -> None:
    dialogue = Dialogue()
    peer = establish(dialogue, peer_open(restart=restart))
    if said is None:
        peer.hangs_up()
    else:
        peer >> said
    assert bool(dialogue.expect(Down).keep) == kept


def test_helper_can_be_off() -> None:
    dialogue = Dialogue(helper=False)
    establish(dialogue, peer_open(restart=RESTART)).hangs_up()
    assert not dialogue.expect(Down).keep


def test_neighbour_that_reads_nothing_is_closed_by_the_send_hold_timer() -> None:
    """B-05."""
    dialogue = Dialogue(least_send_hold=20.0)
    peer = establish(dialogue, peer_open(hold=9))
    dialogue.take(dialogue.session.blocked(dialogue.now, "out"))
    for _ in range(7):
        dialogue.wait(2.9)
        if not peer.dropped:
            peer >> Keepalive()
    assert "send hold" in peer.dropped
    assert dialogue.expect(Down).sent == Notification(8)


def test_withdrawal_of_a_broken_route_keeps_the_session() -> None:
    dialogue = Dialogue()
    peer = establish(dialogue)
    no_preference = PathAttributes(next_hop=bytes((192, 0, 2, 7)))
    peer >> Update(reach=(Reach(INET_VPN, no_preference, (ROUTE,)),))
    message = dialogue.expect(Received).message
    assert isinstance(message, Update)
    assert message.unreach == (Unreach(INET_VPN, (ROUTE,)),)
    assert dialogue.session.state is State.ESTABLISHED
