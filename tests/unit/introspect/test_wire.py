from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.introspect.wire import (
    I32,
    PROLOG,
    U64,
    DeclarationError,
    Field,
    Message,
    Struct,
    XmlText,
    encode_answer,
    encode_message,
    encode_series,
    escape,
)


class Inner(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Field(1, link="InnerReq")]
    count: Annotated[U64, Field(3)] = 0


class Everything(Message, frozen=True, kw_only=True):
    title: Annotated[str, Field(9)] = ""
    number: Annotated[I32, Field(2)] = -1
    share: Annotated[float, Field(3)] = 0.25
    ready: Annotated[bool, Field(4)] = True
    absent: Annotated[str | None, Field(5)] = None
    inner: Annotated[Inner | None, Field(6)] = None
    inners: Annotated[Sequence[Inner], Field(7)] = ()
    words: Annotated[Sequence[str], Field(8)] = ()
    by_name: Annotated[Mapping[str, Inner], Field(10)] = {}
    texts: Annotated[Mapping[str, str], Field(11)] = {}
    raw: Annotated[XmlText | None, Field(12)] = None


class Uve(Message, frozen=True, kw_only=True):
    trailer = False
    data: Annotated[Inner, Field(1)]


def test_answer_has_the_stylesheet_first_and_no_encoding_declaration() -> None:
    text = encode_answer(Everything())
    assert text.startswith(PROLOG + "<Everything ")
    assert "<?xml " not in text


def test_every_form_of_field_is_encoded_in_declaration_order() -> None:
    message = Everything(
        title="a",
        inner=Inner(name="n"),
        inners=[Inner(name="x", count=2), Inner(name="y")],
        words=["one", "two"],
        by_name={"k": Inner(name="v")},
        texts={"a": "b"},
        raw="<b/>",
    )
    assert encode_message(message) == (
        '<Everything type="sandesh">'
        '<title type="string" identifier="9">a</title>'
        '<number type="i32" identifier="2">-1</number>'
        '<share type="double" identifier="3">0.25</share>'
        '<ready type="bool" identifier="4">true</ready>'
        '<inner type="struct" identifier="6"><Inner>'
        '<name type="string" identifier="1" link="InnerReq">n</name>'
        '<count type="u64" identifier="3">0</count></Inner></inner>'
        '<inners type="list" identifier="7"><list type="struct" size="2">'
        '<Inner><name type="string" identifier="1" link="InnerReq">x</name>'
        '<count type="u64" identifier="3">2</count></Inner>'
        '<Inner><name type="string" identifier="1" link="InnerReq">y</name>'
        '<count type="u64" identifier="3">0</count></Inner></list></inners>'
        '<words type="list" identifier="8"><list type="string" size="2">'
        "<element>one</element><element>two</element></list></words>"
        '<by_name type="map" identifier="10"><map key="string" value="struct" size="1">'
        '<element>k</element><Inner><name type="string" identifier="1" link="InnerReq">v</name>'
        '<count type="u64" identifier="3">0</count></Inner></map></by_name>'
        '<texts type="map" identifier="11"><map key="string" value="string" size="1">'
        "<element>a</element><element>b</element></map></texts>"
        '<raw type="xml" identifier="12"><![CDATA[<b/>]]></raw>'
        '<more type="bool" identifier="0">false</more></Everything>'
    )


def test_empty_list_keeps_its_inner_element_with_size() -> None:
    root = ElementTree.fromstring(encode_message(Everything()))
    inner = root.find("words")
    assert inner is not None
    assert [(child.tag, child.get("size")) for child in inner] == [("list", "0")]


def test_containers_have_no_text_of_their_own() -> None:
    message = Everything(inner=Inner(name="n"), inners=[Inner(name="x")], words=["w"])
    root = ElementTree.fromstring(encode_message(message))
    for element in root.iter():
        if len(element):
            assert element.text is None
        assert element.tail is None


def test_series_is_one_root_with_more_on_all_but_the_last() -> None:
    text = "".join(encode_series([Everything(), Everything(), Uve(data=Inner(name="z"))]))
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("type")) == ("__Everything_list", "slist")
    assert [child.findtext("more") for child in root] == ["true", "true", None]


def test_series_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        "".join(encode_series([]))


def test_struct_with_a_field_without_id_is_refused_by_name() -> None:
    class Wrong(Message, frozen=True, kw_only=True):
        name: str = ""

    with pytest.raises(DeclarationError, match=r"Wrong\.name"):
        encode_message(Wrong())


@given(st.text())
def test_text_survives_a_round_trip_but_for_code_points_illegal_in_xml(text: str) -> None:
    root = ElementTree.fromstring(f"<a>{escape(text)}</a>".encode())
    expected = "".join(c for c in text if _legal(ord(c)))
    # A parser turns line ends into \n (XML 1.0, 2.11).
    assert (root.text or "") == expected.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_cdata_survives_a_round_trip(text: str) -> None:
    root = ElementTree.fromstring(encode_message(Everything(raw=text)).encode())
    expected = "".join(c for c in text if _legal(ord(c)))
    assert (root.findtext("raw") or "") == expected.replace("\r\n", "\n").replace("\r", "\n")


def _legal(point: int) -> bool:
    return (
        point in (9, 10, 13)
        or 0x20 <= point <= 0xD7FF
        or 0xE000 <= point <= 0xFFFD
        or point >= 0x10000
    )
