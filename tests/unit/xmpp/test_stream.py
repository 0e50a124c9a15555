"""Sessions as dialogues: what goes in, what must come out, when."""

from __future__ import annotations

import pytest

from tungsten.xmpp.errors import UsageError
from tungsten.xmpp.stream import (
    CONTROL_JID,
    KEEPALIVE,
    Closed,
    Established,
    Event,
    Role,
    Session,
    SessionOptions,
    StanzaReceived,
    State,
)

UPSTREAM_CLIENT = (
    b'<?xml version="1.0"?><stream:stream from="compute-7" '
    b'to="network-control@contrailsystems.com" version="1.0" xml:lang="en" xmlns="" '
    b'xmlns:stream="http://etherx.jabber.org/streams"  >'
)
UPSTREAM_SERVER = (
    b'<stream:stream from="network-control@contrailsystems.com" to="compute-7" id="++123" '
    b'version="1.0" xml:lang="en" xmlns="jabber:client" '
    b'xmlns:stream="http://etherx.jabber.org/streams"  >'
)


def server(**options: float) -> Session:
    session = Session(Role.SERVER, CONTROL_JID, SessionOptions(**options))  # type: ignore[arg-type]
    session.start(0.0)
    return session


def client() -> Session:
    session = Session(Role.CLIENT, "compute-7")
    session.start(0.0)
    return session


def pair() -> tuple[Session, Session]:
    one, two = client(), server()
    two.receive(one.take_output(), 0.0)
    one.receive(two.take_output(), 0.0)
    two.receive(one.take_output(), 0.0)
    return one, two


def shut(events: list[Event]) -> Closed:
    assert isinstance(events[-1], Closed)
    return events[-1]


def test_client_header_ends_with_the_streams_namespace() -> None:
    header = client().take_output()
    assert header.endswith(b'xmlns:stream="http://etherx.jabber.org/streams"  >')
    assert b'from="compute-7" to="network-control@contrailsystems.com"' in header


def test_upstream_agent_is_answered_as_upstream_does() -> None:
    session = server()
    assert session.receive(UPSTREAM_CLIENT, 0.0) == [Established("compute-7", "")]
    assert session.take_output() == UPSTREAM_SERVER


def test_client_sends_a_keepalive_right_after_the_answer() -> None:
    session = client()
    session.take_output()
    assert session.receive(UPSTREAM_SERVER, 0.0) == [Established(CONTROL_JID, "jabber:client")]
    assert session.take_output() == KEEPALIVE
    assert session.state is State.ESTABLISHED


def test_keepalive_goes_out_each_third_of_the_hold_time_whatever_else_flows() -> None:
    _, session = pair()
    session.take_output()
    assert session.deadline() == 30.0
    session.receive(b"<iq></iq>", 20.0)
    assert session.tick(29.0) == []
    assert session.take_output() == b""
    assert session.tick(30.0) == []
    assert session.take_output() == KEEPALIVE


def test_silence_for_the_hold_time_ends_the_session_with_the_reason() -> None:
    _, session = pair()
    session.receive(b" ", 50.0)
    for now in range(60, 140, 10):
        assert session.tick(float(now)) == []
    assert shut(session.tick(140.0)).condition == "connection-timeout"
    assert b"hold time of 90 s" in session.take_output()


def test_header_that_does_not_come_ends_the_session() -> None:
    session = server()
    assert session.deadline() == 15.0
    assert shut(session.tick(15.0)).text == "no stream header within 15 s"
    assert session.take_output().endswith(b"</stream:stream>")


def test_header_byte_by_byte_does_not_extend_the_time() -> None:
    session = server()
    for at, byte in enumerate(UPSTREAM_CLIENT[:14]):
        session.receive(bytes([byte]), float(at))
    assert shut(session.tick(15.0)).condition == "connection-timeout"


@pytest.mark.parametrize(
    "name", ["", "a b", "x&#10;y", "../etc", "a/config", "ä", "x" * 254, "control-node/config"]
)
def test_identity_that_is_no_host_name_is_refused(name: str) -> None:
    session = server()
    events = session.receive(UPSTREAM_CLIENT.replace(b"compute-7", name.encode()), 0.0)
    assert shut(events).condition == "improper-addressing"
    assert session.take_output().startswith(b"<stream:stream from=")


def test_other_first_element_is_refused() -> None:
    session = server()
    assert shut(session.receive(b"<iq>", 0.0)).condition == "bad-format"


def test_client_that_meets_itself_gives_up() -> None:
    session = client()
    assert shut(session.receive(session.take_output(), 0.0)).condition == "improper-addressing"


def test_malformed_bytes_close_with_the_cause_and_nothing_more_is_read() -> None:
    _, session = pair()
    session.take_output()
    events = session.receive(b"<iq></message>", 1.0)
    assert shut(events).condition == "not-well-formed"
    assert shut(events).ours
    out = session.take_output()
    assert out.startswith(b"<stream:error><not-well-formed")
    assert out.endswith(b"</stream:error></stream:stream>")
    assert session.receive(b"<iq></iq>", 2.0) == []


def test_error_of_the_remote_tells_why() -> None:
    one, two = pair()
    two.take_output()
    two.close("policy-violation", "route for <x>, which is not subscribed")
    events = one.receive(two.take_output(), 1.0)
    assert events == [
        Closed("policy-violation", "route for <x>, which is not subscribed", ours=False)
    ]


def test_stanzas_before_an_error_are_still_delivered() -> None:
    one, two = pair()
    two.send(b"<message><a>1</a></message>")
    two.close()
    events = one.receive(two.take_output(), 1.0)
    assert isinstance(events[0], StanzaReceived)
    assert events[0].element.findtext("a") == "1"
    assert isinstance(events[1], Closed)


def test_end_of_file_closes() -> None:
    _, session = pair()
    assert shut(session.eof()).ours is False
    assert session.eof() == []


def test_hold_time_changes_in_place() -> None:
    _, session = pair()
    session.set_hold_time(9.0, 10.0)
    assert session.deadline() == 13.0
    session.tick(13.0)
    assert shut(session.tick(19.0)).condition == "connection-timeout"


def test_wrong_use_is_our_error() -> None:
    session = Session(Role.CLIENT, "c")
    with pytest.raises(UsageError):
        session.send(b"<iq></iq>")
    with pytest.raises(UsageError):
        session.receive(b"", 0.0)
    session.start(0.0)
    with pytest.raises(UsageError):
        session.start(0.0)
