"""Coverage-guided fuzzing of the XMPP library: ``fuzz_xmpp.py [CORPUS] [-flags]``.

The first octet of the input chooses which end of the session reads, whether with TLS, and where the
rest of it, octets of the remote, is cut. Everything must end in events or in a ProtocolError. A
stanza that was understood must mean the same when it has been written and read again. Flags are
libFuzzer's (``-max_total_time=60``).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tungsten.xmpp"]):
    from tungsten.xmpp.errors import ProtocolError
    from tungsten.xmpp.framing import Limits
    from tungsten.xmpp.stanzas import (
        ITEMS_PER_RETRACT,
        ITEMS_PER_UPDATE,
        RouteRetract,
        RouteUpdate,
        Stanza,
        StanzaDecoder,
        Unknown,
        encode,
    )
    from tungsten.xmpp.stream import (
        CONTROL_JID,
        Closed,
        Event,
        Role,
        Session,
        SessionOptions,
        StanzaReceived,
        StartTls,
        State,
    )

SERVER_HEADER = (
    b'<stream:stream from="' + CONTROL_JID.encode() + b'" to="c1" id="++123" version="1.0" '
    b'xml:lang="en" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"  >'
)
CLIENT_HEADER = (
    b'<stream:stream from="c1" to="' + CONTROL_JID.encode() + b'" version="1.0" '
    b'xml:lang="en" xmlns="" xmlns:stream="http://etherx.jabber.org/streams"  >'
)
LIMITS = Limits(stanza_bytes=65536)


def reread(stanza: Stanza, role: Role) -> list[Stanza]:
    """What comes of a stanza that is written and read."""
    reader = Session(role, "c2" if role is Role.CLIENT else CONTROL_JID)
    reader.start(0.0)
    decoder = StanzaDecoder()
    header = CLIENT_HEADER if role is Role.SERVER else SERVER_HEADER
    written = encode(stanza, "c1", CONTROL_JID, 1)
    found = [
        decoder.decode(event.element)
        for event in reader.receive(header + written, 0.0)
        if isinstance(event, StanzaReceived)
    ]
    return [each for each in found if each is not None]


def is_sayable(stanza: Stanza) -> bool:
    """Whether it has no more parts than we say at once, and not none."""
    match stanza:
        case Unknown():
            return False
        case RouteUpdate():
            return 0 < len(stanza.items) <= ITEMS_PER_UPDATE
        case RouteRetract():
            return 0 < len(stanza.ids) <= ITEMS_PER_RETRACT
        case _:
            return True


def check(stanza: Stanza, role: Role) -> None:
    """What was understood can be said again."""
    if is_sayable(stanza):
        again = reread(stanza, role)
        # An end-of-RIB is said in two forms, one for each kind of peer.
        assert again, stanza
        assert all(each == stanza for each in again), (stanza, again)


def take(events: list[Event], session: Session, decoder: StanzaDecoder) -> None:
    """What a connection does with the events of its session."""
    for event in events:
        if isinstance(event, StartTls):
            session.secured(1.0)
        elif isinstance(event, StanzaReceived):
            try:
                stanza = decoder.decode(event.element)
            except ProtocolError as error:
                take(session.fail(error), session, decoder)
                return
            if stanza is not None:
                check(stanza, session.role)
        elif isinstance(event, Closed):
            str(event)


def test_one_input(data: bytes) -> None:
    """Entry point of the fuzzer."""
    if not data:
        return
    choice, rest = data[0], data[1:]
    role = Role.SERVER if choice & 1 else Role.CLIENT
    options = SessionOptions(tls=bool(choice & 2), limits=LIMITS)
    session = Session(role, CONTROL_JID if choice & 1 else "c1", options)
    session.start(0.0)
    decoder = StanzaDecoder()
    if choice & 4:
        header = CLIENT_HEADER if role is Role.SERVER else SERVER_HEADER
        take(session.receive(header, 0.5), session, decoder)
    cut = len(rest) * (choice >> 3) // 31
    for part in (rest[:cut], rest[cut:]):
        take(session.receive(part, 1.0), session, decoder)
    take(session.tick(1000.0), session, decoder)
    session.take_output()
    assert session.state is State.CLOSED


def main() -> None:
    """Run the fuzzer."""
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
