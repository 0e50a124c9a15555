"""The XML that introspect speaks: declarations of answers, and their encoding.

An answer is a :class:`Message`: a typed struct whose fields carry the numeric ids and the
annotations that clients of Tungsten Fabric's introspect see as XML attributes. The encoding is
that of Sandesh's XML protocol as its readers know it:

* no XML declaration (readers parse decoded text, where an encoding declaration is an error),
  only the stylesheet line;
* **no white space between tags**: readers test the text of an element to tell a scalar from a
  container, so an indent would be taken for a value;
* a list element holds exactly one ``<list type= size=>`` child, also when it is empty, and a
  struct element exactly one child named after the struct;
* fields come in declaration order, which is the order text dumps show;
* a field that is ``None`` is left out; an empty string is an empty element;
* a message ends with ``<more>``, true while others follow in the same answer.

A declaration reads::

    class ShowRouteTableSummary(Struct, frozen=True, kw_only=True):
        name: Annotated[str, Field(1, link="ShowRouteReq")]
        prefixes: Annotated[U64, Field(3)] = 0

Integers are declared by their wire width (:data:`U32`, :data:`I32`, ...); the value is not
checked against it, since readers take it as text. Code points that XML 1.0 does not allow
(section 2.2: most control characters, surrogates) are dropped from values, so that nothing a
peer or a user named can break an answer.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec

PROLOG = '<?xml-stylesheet type="text/xsl" href="/universal_parse.xsl"?>'


class Wire:
    """The wire name of a scalar type, as metadata of a declared type."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


Byte = Annotated[int, Wire("byte")]
I16 = Annotated[int, Wire("i16")]
I32 = Annotated[int, Wire("i32")]
I64 = Annotated[int, Wire("i64")]
U16 = Annotated[int, Wire("u16")]
U32 = Annotated[int, Wire("u32")]
U64 = Annotated[int, Wire("u64")]
IpAddr = Annotated[str, Wire("ipaddr")]
UuidT = Annotated[str, Wire("uuid_t")]
XmlText = Annotated[str, Wire("xml")]


class Field:
    """The id of a field and the annotations printed after it as attributes.

    ``link`` names the request that the value can be passed to; other annotations
    (``link_title``, ``key``, ``aggtype``, ``tags``...) are given by keyword.
    """

    __slots__ = ("attributes", "id")

    def __init__(self, id: int, **attributes: str) -> None:
        self.id = id
        self.attributes = attributes


class Struct(msgspec.Struct, frozen=True):
    """A value with named, numbered fields. Its wire name is its class name."""


class Message(Struct, frozen=True):
    """A struct that is an answer, or one of the messages of an answer.

    ``trailer`` is false for cached objects (UVEs), which carry no ``<more>``.
    """

    trailer: ClassVar[bool] = True


class DeclarationError(TypeError):
    """A struct declares a field that has no id or no form on the wire."""


_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>']")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;"}


def escape(text: str) -> str:
    """``text`` as element content: markup escaped, code points illegal in XML dropped."""
    if _ILLEGAL.search(text):
        text = _ILLEGAL.sub("", text)
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(lambda found: _ENTITIES[found.group()], text)
    return text


def attribute(text: str) -> str:
    """``text`` as the content of a double-quoted attribute."""
    return escape(text).replace('"', "&quot;")


def _cdata(text: str) -> str:
    clean = _ILLEGAL.sub("", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{clean}]]>"


def _boolean(value: Any) -> str:
    return "true" if value else "false"


def _number(value: Any) -> str:
    return str(int(value))


def _double(value: Any) -> str:
    return format(float(value), "f").rstrip("0").rstrip(".") or "0"


def _text(value: Any) -> str:
    return escape(str(value))


Writer = Callable[[Any, list[str]], None]

_SCALARS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("byte", "i16", "i32", "i64", "u16", "u32", "u64"), _number),
    "string": _text,
    "ipaddr": _text,
    "uuid_t": _text,
    "bool": _boolean,
    "double": _double,
    "xml": _cdata,
}
_PYTHON_SCALARS: dict[Any, str] = {str: "string", bool: "bool", float: "double", int: "i32"}


class _Shape:
    """How values of a declared type look: wire type word, and the writer of the content."""

    __slots__ = ("is_struct", "word", "write")

    def __init__(self, word: str, write: Writer, *, is_struct: bool = False) -> None:
        self.word = word
        self.write = write
        self.is_struct = is_struct


def _unwrap(hint: Any) -> tuple[Any, Wire | None, Field | None]:
    """A hint without ``Annotated`` and ``| None``, with the metadata that was on it."""
    wire: Wire | None = None
    field: Field | None = None
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *metadata = get_args(hint)
            for item in metadata:
                if isinstance(item, Wire):
                    wire = item
                elif isinstance(item, Field):
                    field = item
        elif origin in (Union, types.UnionType):
            others = [arg for arg in get_args(hint) if arg is not type(None)]
            if len(others) != 1:
                raise DeclarationError(f"{hint} has no single wire type")
            hint = others[0]
        else:
            return hint, wire, field


def _shape(hint: Any) -> _Shape:
    hint, wire, _ = _unwrap(hint)
    origin = get_origin(hint) or hint
    if wire is not None or origin in _PYTHON_SCALARS:
        word = wire.name if wire is not None else _PYTHON_SCALARS[origin]
        scalar = _SCALARS[word]
        return _Shape(word, lambda value, out: out.append(scalar(value)))
    if isinstance(origin, type) and issubclass(origin, Struct):
        return _Shape("struct", _write_struct, is_struct=True)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _map_shape(*get_args(hint))
    if isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset):
        word = "set" if issubclass(origin, set | frozenset) else "list"
        return _list_shape(word, get_args(hint)[0])
    raise DeclarationError(f"{hint} has no form in introspect XML")


def _item_writer(shape: _Shape) -> Writer:
    """Writer of one member of a list or map: structs as they are, scalars in ``<element>``."""
    if shape.is_struct:
        return shape.write
    content = shape.write

    def element(value: Any, out: list[str]) -> None:
        out.append("<element>")
        content(value, out)
        out.append("</element>")

    return element


def _list_shape(word: str, item_hint: Any) -> _Shape:
    item = _shape(item_hint)
    write_item = _item_writer(item)

    def write(values: Any, out: list[str]) -> None:
        out.append(f'<{word} type="{item.word}" size="{len(values)}">')
        for value in values:
            write_item(value, out)
        out.append(f"</{word}>")

    return _Shape(word, write)


def _map_shape(key_hint: Any, value_hint: Any) -> _Shape:
    key, item = _shape(key_hint), _shape(value_hint)
    write_key, write_item = _item_writer(key), _item_writer(item)

    def write(values: Any, out: list[str]) -> None:
        out.append(f'<map key="{key.word}" value="{item.word}" size="{len(values)}">')
        for name, value in values.items():
            write_key(name, out)
            write_item(value, out)
        out.append("</map>")

    return _Shape("map", write)


@cache
def _plan(struct: type[Struct]) -> tuple[tuple[str, str, str, Writer], ...]:
    """Per field: attribute name, opening tag, closing tag, content writer. Made once a class."""
    hints = get_type_hints(struct, include_extras=True)
    plan = []
    for name in struct.__struct_fields__:
        _, _, field = _unwrap(hints[name])
        if field is None:
            raise DeclarationError(f"{struct.__name__}.{name} declares no field id")
        shape = _shape(hints[name])
        extra = "".join(f' {key}="{attribute(text)}"' for key, text in field.attributes.items())
        opening = f'<{name} type="{shape.word}" identifier="{field.id}"{extra}>'
        plan.append((name, opening, f"</{name}>", shape.write))
    return tuple(plan)


def _write_fields(value: Struct, out: list[str]) -> None:
    for name, opening, closing, write in _plan(type(value)):
        content = getattr(value, name)
        if content is not None:
            out.append(opening)
            write(content, out)
            out.append(closing)


def _write_struct(value: Struct, out: list[str]) -> None:
    name = type(value).__name__
    out.append(f"<{name}>")
    _write_fields(value, out)
    out.append(f"</{name}>")


def encode_message(message: Message, *, more: bool = False) -> str:
    """One message as an element, without the prolog. ``more``: others follow it."""
    name = type(message).__name__
    out = [f'<{name} type="sandesh">']
    _write_fields(message, out)
    if message.trailer:
        out.append(f'<more type="bool" identifier="0">{_boolean(more)}</more>')
    out.append(f"</{name}>")
    return "".join(out)


def encode_answer(message: Message) -> str:
    """A whole answer of one message, which is then the document's root."""
    return PROLOG + encode_message(message)


def encode_series(messages: Iterable[Message]) -> Iterable[str]:
    """A whole answer of several messages in one root, piece by piece.

    The root is named after the first message; ``messages`` must not be empty.
    """
    pending: Message | None = None
    root = ""
    for message in messages:
        if pending is None:
            root = f"__{type(message).__name__}_list"
            yield f'{PROLOG}<{root} type="slist">'
        else:
            yield encode_message(pending, more=True)
        pending = message
    if pending is None:
        raise ValueError("a series of messages needs at least one")
    yield encode_message(pending)
    yield f"</{root}>"
