"""UPDATE messages in runs: whoever takes them undecoded gets all of them, whole and in order."""

from __future__ import annotations

import random

import pytest
from tests.unit.bgp.bgp_dialogue import config, peer_open

from tungsten.bgp.attributes import AttributeStore
from tungsten.bgp.errors import ErrorCode, ProtocolError
from tungsten.bgp.families import INET_VPN
from tungsten.bgp.fsm import Action, Down, Drop, Received, ReceivedRun, State, Up, Write
from tungsten.bgp.messages import (
    Framer,
    Keepalive,
    Notification,
    RouteRefresh,
    encode_message,
)
from tungsten.bgp.session import Session
from tungsten.bgp.update import MARKER, UPDATE_TYPE, frame

KEEPALIVE = encode_message(Keepalive())
REFRESH = encode_message(RouteRefresh(INET_VPN))


def find_run(data: bytes, at: int) -> int:
    """The end of the whole UPDATE messages from a position on."""
    while len(data) - at >= 19 and data[at : at + 16] == MARKER and data[at + 18] == UPDATE_TYPE:
        size = int.from_bytes(data[at + 16 : at + 18], "big")
        if not 23 <= size <= len(data) - at:
            break
        at += size
    return at


def update(number: int) -> bytes:
    """A message that can be told from others; nobody here looks inside."""
    return frame(UPDATE_TYPE, number.to_bytes(4, "big") + bytes(number % 7))


def opened() -> Session:
    """A session that waits for the last KEEPALIVE."""
    session = Session(config(), AttributeStore(), draw=lambda: 0.0, find_run=find_run)
    session.start(0.0)
    session.connected(0.0, "link")
    session.received(0.0, "link", encode_message(peer_open()))
    assert session.state is State.OPEN_CONFIRM
    return session


def runs(actions: list[Action]) -> list[bytes]:
    return [action.octets for action in actions if isinstance(action, ReceivedRun)]


def test_what_follows_the_last_keepalive_at_once_comes_after_up() -> None:
    actions = opened().received(
        0.0, "link", KEEPALIVE + update(1) + update(2) + REFRESH + update(3)
    )
    kinds = [type(action) for action in actions if not isinstance(action, Write)]
    assert kinds[0] is Up
    assert kinds[-3:] == [ReceivedRun, Received, ReceivedRun]
    assert runs(actions) == [update(1) + update(2), update(3)]


@pytest.mark.parametrize("seed", range(20))
def test_however_the_stream_is_cut_all_messages_come_in_order(seed: int) -> None:
    draw = random.Random(seed)
    session = opened()
    session.received(0.0, "link", KEEPALIVE)
    sent = [update(number) for number in range(60)]
    stream = b"".join(each + (KEEPALIVE if draw.random() < 0.2 else b"") for each in sent)
    heard = b""
    while stream:
        size = draw.choice([1, 5, 19, 24, 200])
        heard += b"".join(runs(session.received(1.0, "link", stream[:size])))
        stream = stream[size:]
    assert heard == b"".join(sent)
    assert [body for _, body in Framer().feed(heard)] == [each[19:] for each in sent]


def test_update_before_the_session_is_up_is_out_of_place() -> None:
    session = opened()
    actions = session.received(0.0, "link", frame(UPDATE_TYPE, bytes(4)))
    assert not runs(actions)
    (said,) = [action for action in actions if isinstance(action, Write)]
    assert said.data == encode_message(Notification(ErrorCode.FSM, 2))


def test_error_in_a_run_closes_its_link_with_what_it_says() -> None:
    session = opened()
    session.received(0.0, "link", KEEPALIVE)
    (run,) = runs(session.received(0.0, "link", update(1)))
    assert run == update(1)
    actions = session.refuse(0.0, "link", ProtocolError(ErrorCode.UPDATE, 9, "bad", b"\1\2"))
    assert [type(action) for action in actions] == [Write, Drop, Down]
    assert actions[0] == Write("link", encode_message(Notification(ErrorCode.UPDATE, 9, b"\1\2")))
    assert not session.has("link")
    assert session.refuse(0.0, "link", ProtocolError(ErrorCode.UPDATE, 9, "late")) == []


def test_garbage_after_a_run_closes_the_link_and_the_run_is_not_lost() -> None:
    session = opened()
    session.received(0.0, "link", KEEPALIVE)
    actions = session.received(0.0, "link", update(1) + bytes(19))
    assert runs(actions) == [update(1)]
    assert any(isinstance(action, Down) for action in actions)
