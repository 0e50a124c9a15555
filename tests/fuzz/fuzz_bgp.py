"""Coverage-guided fuzzing of the BGP library: ``python tests/fuzz/fuzz_bgp.py [CORPUS] [-flags]``.

The first octet of the input chooses what is fed and how the peer is configured; the rest is the
octets of the peer. Everything must end in a value or in a ProtocolError; what was decoded must
survive being encoded and decoded again. Flags are libFuzzer's (``-max_total_time=60``).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tungsten.bgp"]):
    from tungsten.bgp.attributes import AttributeStore, Context
    from tungsten.bgp.capabilities import decode_capability
    from tungsten.bgp.errors import ProtocolError
    from tungsten.bgp.families import FAMILIES, INET, INET_VPN
    from tungsten.bgp.messages import (
        Framer,
        Keepalive,
        Open,
        decode_message,
        encode_message,
    )
    from tungsten.bgp.negotiation import SessionConfig, our_open
    from tungsten.bgp.nlri import decode_nlri, encode_nlri, nlri_text
    from tungsten.bgp.session import Session
    from tungsten.bgp.update import Reach, Unreach, Update

ALL = frozenset(FAMILIES.values())
FAMILY_LIST = sorted(ALL)
OUR_ID, PEER_ID = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def config(router_id: bytes, internal: bool) -> SessionConfig:
    """One side of a session."""
    return SessionConfig(
        name="fuzz",
        local_as=64512,
        peer_as=64512 if internal else 64513,
        router_id=router_id,
        families=ALL,
    )


def check_update(update: Update) -> None:
    """What was decoded can be shown, and encoded again to the same value."""
    parts: list[Reach | Unreach] = [*update.reach, *update.unreach]
    for part in parts:
        for route in part.routes:
            nlri_text(part.family, route)
            again = decode_nlri(part.family, encode_nlri(route), withdraw=True)
            assert again.routes == [route], (route, again)
    for reach in update.reach:
        said = Update(reach=(Reach(reach.family, reach.attributes, reach.routes[:1]),))
        if reach.family == INET and len(reach.attributes.next_hop) != 4:
            continue
        encode_message(said)


def fuzz_body(choice: int, data: bytes) -> None:
    """One message of a negotiated session."""
    context = Context(bool(choice & 1), bool(choice & 2))
    type_ = 1 + (choice >> 2) % 5
    if type_ in (3, 5) and len(data) < 4:
        return
    message = decode_message(type_, data, context, ALL, AttributeStore())
    if isinstance(message, Update):
        check_update(message)
    elif isinstance(message, Open):
        ((_, body),) = Framer().feed(encode_message(message))
        again = decode_message(1, body, context, ALL, AttributeStore())
        assert again == message, (message, again)
    else:
        str(message)


def fuzz_session(choice: int, data: bytes) -> None:
    """A stream of octets into a session in some state."""
    internal = bool(choice & 1)
    session = Session(config(OUR_ID, internal), AttributeStore(), draw=lambda: 0.0)
    session.start(0.0)
    session.connected(0.0, "link")
    if choice & 2:
        theirs = SessionConfig(
            name="fuzz",
            local_as=64512 if internal else 64513,
            peer_as=64512,
            router_id=PEER_ID,
            families=frozenset({INET, INET_VPN}),
        )
        session.received(0.0, "link", encode_message(our_open(theirs)))
    if choice & 4:
        session.received(0.0, "link", encode_message(Keepalive()))
    half = len(data) // 2
    session.received(1.0, "link", data[:half])
    session.received(2.0, "link", data[half:])
    session.timeout(session.deadline if session.deadline != float("inf") else 3.0)
    session.stop(4.0)
    assert not session.links


def test_one_input(data: bytes) -> None:
    """Entry point of the fuzzer."""
    if not data:
        return
    choice, rest = data[0] & 31, data[1:]
    target = data[0] >> 5
    try:
        if target < 3:
            fuzz_body(choice, rest)
        elif target < 6:
            fuzz_session(choice, rest)
        elif target == 6:
            family = FAMILY_LIST[choice % len(FAMILY_LIST)]
            for route in decode_nlri(family, rest, withdraw=bool(choice & 16)).routes:
                nlri_text(family, route)
        elif rest:
            decode_capability(rest[0], rest[1:])
    except ProtocolError:
        return


def main() -> None:
    """Run the fuzzer."""
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
