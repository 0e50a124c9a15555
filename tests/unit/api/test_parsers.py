"""Parsers of what clients send: any input is read or refused, with nothing else raised."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
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
    """Sixteen times as much takes about sixteen times as long, not its square.

    What is compared was measured side by side, by the CPU time of this thread alone.
    """

    def many(size: int) -> None:
        parse(b"[" + b"[]," * (size // 3) + b"[]]")

    def deep(size: int) -> None:
        with pytest.raises(BadRequest):
            parse(b"[" * size)

    def quotes(size: int) -> None:
        with pytest.raises(BadRequest):
            parse(b'"' * size)

    for read in (many, deep, quotes):
        little, much = (
            min(_cost(partial(read, size)) for _ in range(3)) for size in (62_500, 1_000_000)
        )
        # Too quick to be measured is quick enough.
        assert much < 64 * max(little, 0.0005), (read.__name__, little, much)


def _cost(work: Callable[[], None]) -> float:
    """Seconds of CPU of this thread, without collecting what other tests left."""
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        gc.enable()


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
