from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.introspect.paging import (
    decode_cursor,
    encode_cursor,
    form_of,
    format_key,
    parse_key,
)
from tungsten.introspect.request import Form, RequestError, parse_query


class RouteReq(Form, frozen=True):
    vrf_index: int = 0
    src_ip: str = ""
    prefix: str = ""
    prefix_len: int = -1
    stale: bool = False


class SearchReq(Form, frozen=True):
    search_string: str = ""


class NoFields(Form, frozen=True):
    pass


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", RouteReq()),
        ("vrf_index=3&src_ip=10.0.0.1", RouteReq(vrf_index=3, src_ip="10.0.0.1")),
        ("x=7", RouteReq(vrf_index=7)),
        ("vrf_index=&src_ip=&stale=", RouteReq()),
        ("vrf_index=None", RouteReq()),
        ("vrf_index=99999999999999999999999999", RouteReq()),
        ("prefix_len=24", RouteReq(prefix_len=24)),
        ("prefix_longer=abc", RouteReq(prefix="abc")),
        ("src_ip=a%2Fb+c", RouteReq(src_ip="a/b+c")),
        ("src_ip=a=b=c", RouteReq(src_ip="a=b=c")),
        ("stale=1", RouteReq(stale=True)),
        ("stale=true", RouteReq(stale=True)),
        ("stale=0", RouteReq()),
        ("prefix_len=-1", RouteReq(prefix_len=-1)),
        ("vrf_index=1&vrf_index=2", RouteReq(vrf_index=1)),
        ("%ff=%ff", RouteReq()),
    ],
)
def test_query_is_read_as_clients_expect(query: str, expected: RouteReq) -> None:
    assert parse_query(RouteReq, query) == expected


@pytest.mark.parametrize(
    "query", ["x=peer1", "name=peer1", "domain=&ip_address=peer1", "search_string=peer1", "=peer1"]
)
def test_value_under_any_name_reaches_the_first_field(query: str) -> None:
    assert parse_query(SearchReq, query) == SearchReq(search_string="peer1")


def test_named_value_wins_over_a_stray_one() -> None:
    assert parse_query(SearchReq, "x=b&search_string=a") == SearchReq(search_string="a")


def test_form_without_fields_ignores_everything() -> None:
    assert parse_query(NoFields, "x=1&y=2") == NoFields()


@given(st.text())
def test_no_query_string_fails(query: str) -> None:
    assert isinstance(parse_query(RouteReq, query), RouteReq)


@given(st.lists(st.text(alphabet=st.characters(blacklist_categories=["Cs"])), max_size=6))
def test_cursor_survives_a_url_and_comes_back(parts: list[str]) -> None:
    cursor = encode_cursor(*parts)
    assert not set(cursor) & set("&=+#% ")
    assert decode_cursor(cursor, len(parts)) == tuple(parts)


@given(st.text())
def test_foreign_cursor_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(RequestError):
        decode_cursor(text, 12345)


@given(
    st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=1),
    st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=1),
)
def test_page_key_survives_its_text(table: str, value: str) -> None:
    key = parse_key(format_key(100, 199, table, {"name": value}))
    assert (key.begin, key.end, key.table, key.filters) == (100, 199, table, {"name": value})


def test_page_key_typed_by_hand() -> None:
    key = parse_key("begin:-1,end:-1,table:db.interface.0")
    assert key.whole
    assert key.table == "db.interface.0"
    assert form_of(RouteReq, {"vrf_index": "4"}) == RouteReq(vrf_index=4)
    assert form_of(RouteReq, {"nonsense": "4"}) is None
    assert form_of(RouteReq, {"vrf_index": "four"}) is None


@given(st.text())
def test_foreign_page_key_is_refused_and_nothing_else(text: str) -> None:
    with contextlib.suppress(RequestError):
        parse_key(text)
