"""Bytes to elements: dialects that are taken, limits, and what is refused at once."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.framing import FrameKind, FrameReader, Limits

HEADER = b'<stream:stream from="c1" xmlns:stream="http://etherx.jabber.org/streams"  >'


def kinds(data: bytes, step: int = 0) -> list[FrameKind]:
    reader = FrameReader()
    frames = []
    size = step or len(data)
    for at in range(0, len(data), size):
        frames += reader.feed(data[at : at + size])
    return [frame.kind for frame in frames]


def refusal(data: bytes, limits: Limits | None = None, step: int = 65536) -> ProtocolError:
    reader = FrameReader(limits)
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
    except ProtocolError as error:
        return error
    raise AssertionError("was not refused")


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7])
def test_any_cut_of_the_bytes_gives_the_same_stanzas(step: int) -> None:
    data = (
        b'<?xml version="1.0"?>'
        + HEADER
        + b'<iq id="1"><a>x&lt;/iq&gt;</a></iq>'
        + b'<?xml version="1.0"?>\n<iq id="2"><a/></iq>'
        + b"<message><![CDATA[<?xml </message>]]></message></stream:stream>"
    )
    found = [kind for kind in kinds(data, step) if kind is not FrameKind.KEEPALIVE]
    assert found == [FrameKind.HEADER, *[FrameKind.ELEMENT] * 3, FrameKind.END]


@pytest.mark.parametrize("keepalive", [b"\xc8\x80", b" ", b"\n\r\t ", b"\xc8\x80\xc8\x80 "])
def test_keepalive_of_either_kind_counts_once_a_run(keepalive: bytes) -> None:
    assert kinds(HEADER + keepalive + b"<iq/>") == [
        FrameKind.HEADER,
        FrameKind.KEEPALIVE,
        FrameKind.ELEMENT,
    ]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "restricted-xml"),
        (HEADER + b"<iq>&nbsp;</iq>", "not-well-formed"),
        (HEADER + b"<iq><?php x?></iq>", "restricted-xml"),
        (HEADER + b"<!-- x -->", "restricted-xml"),
        (b'<?xml version="1.0" encoding="latin-1"?>' + HEADER, "unsupported-encoding"),
        (HEADER + b'<?xml version="1.0" encoding="utf-16"?><iq/>', "unsupported-encoding"),
        (HEADER.decode().encode("utf-16"), "not-well-formed"),
        (b"\xef\xbb\xbf" + HEADER, "not-well-formed"),
        (HEADER + b"<iq>\xff</iq>", "not-well-formed"),
        (HEADER + b"<iq>\x00</iq>", "not-well-formed"),
        (HEADER + b"<iq a='1' a='2'/>", "not-well-formed"),
        (HEADER + b"text<iq/>", "not-well-formed"),
        (HEADER + b"</stream:stream><iq/>", "not-well-formed"),
        (HEADER + b"</iq>", "not-well-formed"),
    ],
)
def test_refused_with_its_condition(data: bytes, condition: str) -> None:
    assert refusal(data).condition == condition


@pytest.mark.parametrize(
    "data",
    [
        HEADER + b"<a>" * 40,
        HEADER + b"<iq " + b" ".join(b"a%d='1'" % n for n in range(65)) + b"/>",
        HEADER + b"<" + b"a" * 300 + b"/>",
        HEADER + b"<iq a='" + b"x" * 70000 + b"'/>",
        HEADER + b"<iq>" + b"<a/>" * 70000,
        HEADER + b"<iq>" + b"x" * (9 << 20),
        b"<stream:stream a='" + b"x" * 70000,
        b" " * 70000,
    ],
    ids=["depth", "attributes", "name", "value", "elements", "stanza", "header", "blank"],
)
def test_over_a_limit_is_a_policy_violation(data: bytes) -> None:
    assert refusal(data).condition == "policy-violation"


def test_token_without_end_is_refused_without_quadratic_work() -> None:
    started = time.process_time()
    error = refusal(HEADER + b"<iq a='" + b"x" * (4 << 20), step=1024)
    assert error.condition == "policy-violation"
    assert time.process_time() - started < 0.5


def test_limit_counts_since_the_last_stanza_only() -> None:
    reader = FrameReader(Limits(stanza_bytes=1000))
    reader.feed(HEADER)
    for _ in range(100):
        assert reader.feed(b"<iq>" + b"x" * 500 + b"</iq>")[0].kind is FrameKind.ELEMENT


_PIECES = st.sampled_from(
    [
        HEADER,
        b"</stream:stream>",
        b"<iq>",
        b"</iq>",
        b"<?xml version='1.0'?>",
        b"<?xm",
        b"\xc8\x80",
        b"&amp;",
        b"<![CDATA[",
        b"]]>",
        b"<a b='c'/>",
        b"<",
        b">",
        b" ",
        b"x",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.binary(max_size=8)), max_size=30))
@example([HEADER, b"<?xml version='1.0'?>", b"<?xml version='1.0'?>", b"<iq>", b"</iq>"])
def test_no_bytes_raise_anything_but_a_protocol_error(pieces: list[bytes]) -> None:
    reader = FrameReader(Limits(stanza_bytes=500, header_bytes=500, token_bytes=300))
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            reader.feed(piece)
