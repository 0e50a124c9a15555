"""Parsers of what clients send: any input is read or refused, with nothing else raised."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.api.bodies import MAX_DEPTH, fq_name, parse
from tungsten.api.errors import BadRequest
from tungsten.api.resources import route_targets


def nested(levels: int) -> bytes:
    return (
        b'{"a":[' * (levels // 2)
        + b"[" * (levels % 2)
        + b"]" * (levels % 2)
        + b"]}" * (levels // 2)
    )


def test_what_nests_too_deep_is_refused() -> None:
    parse(rb'{"a": [1, "' + b"[" * 1000 + b'", {"b": 1}]}')
    parse(nested(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, MAX_DEPTH + 2, 900, 100_000):
        with pytest.raises(BadRequest, match="deeper"):
            parse(nested(levels))
        with pytest.raises(BadRequest, match=r"deeper|not valid JSON"):
            parse(b"[" * levels)


def test_a_body_of_brackets_is_read_in_a_moment() -> None:
    began = time.process_time()
    parse(b"[" + b"[]," * 330_000 + b"[]]")
    with pytest.raises(BadRequest):
        parse(b"[" * 1_000_000)
    with pytest.raises(BadRequest):
        parse(b'"' * 1_000_000)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        value = parse(data)
    except BadRequest:
        return
    assert isinstance(value, dict | list | str | int | float | bool | None)


@given(st.text(max_size=40))
def test_any_route_target_is_read_or_refused(text: str) -> None:
    try:
        target = route_targets.parse(text)
    except BadRequest:
        return
    assert route_targets.parse(str(target)) == target


@given(
    st.sampled_from([64512, 65535, 65536, 4200000000]), st.integers(0, 2**33), st.sampled_from("L ")
)
def test_route_targets_that_are_accepted_fit_their_encoding(
    asn: int, number: int, suffix: str
) -> None:
    try:
        target = route_targets.parse(f"target:{asn}{suffix.strip()}:{number}")
    except BadRequest:
        return
    wide = asn > 0xFFFF or suffix == "L"
    assert target.number <= (0xFFFF if wide else 0xFFFF_FFFF)


@given(st.lists(st.text()) | st.text() | st.none() | st.lists(st.integers()))
def test_any_name_is_printable_or_refused(value: Any) -> None:
    try:
        name = fq_name(value)
    except BadRequest:
        return
    for element in name:
        element.encode()
        assert element
        assert "\x00" not in element
