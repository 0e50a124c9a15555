"""Requests: what can be asked of a process, and how a URL becomes one.

A *form* is a frozen struct whose fields are the request's parameters, in the order clients
know them; its class name is the request's name (``Snh_<name>`` in a URL). A :class:`Request`
joins a form with the function that answers it and the *group* it is listed under (upstream:
one group per .sandesh file).

The query string is read the way the C++ processes of Tungsten Fabric read it, since scripts
depend on it, with their accidents removed:

1. tokens are split at ``&``, and a token without a value is "not given";
2. a token goes to the field of its exact name; failing that to the first declared field whose
   name is a prefix of the token's name;
3. **a token that matches no field is stored in the first field**, unless that was given: this
   is what makes ``?x=value`` work everywhere, and old names in old scripts;
4. strings are percent-decoded (``+`` is a plus, since clients encode spaces only); numbers
   and booleans are read as integers, and what is not a number leaves the default;
5. a value keeps every ``=`` after the first.

An absent parameter is the field's default, always.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints
from urllib.parse import unquote

import msgspec

from tungsten.introspect.wire import Message

MAX_TOKENS = 64
MAX_VALUE = 8192


class Form(msgspec.Struct, frozen=True):
    """The parameters of a request; every field has a default (``str``, ``int`` or ``bool``)."""


F = TypeVar("F", bound=Form)


@dataclass(frozen=True)
class Series:
    """An answer of several messages, produced while it is sent, so never whole in memory."""

    messages: Iterable[Message]


Answer = Message | Series


class RequestError(Exception):
    """A request that cannot be answered, with the HTTP status and the text to say so."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True)
class Request(Generic[F]):
    """A request a process answers. ``answer`` may be a coroutine function."""

    form: type[F]
    answer: Callable[[F], Answer | Awaitable[Answer]]
    group: str

    @property
    def name(self) -> str:
        """The name after ``Snh_``."""
        return self.form.__name__


AnyRequest = Request[Any]


def _tokens(query: str) -> Sequence[tuple[str, str]]:
    found = []
    for token in query.split("&")[:MAX_TOKENS]:
        name, _, raw = token.partition("=")
        # Empty pieces between separators are dropped: "=v" is a value without a name, "a==v"
        # is "a=v".
        value = unquote(raw.lstrip("="), errors="replace")[:MAX_VALUE]
        if value:
            found.append((unquote(name, errors="replace"), value))
    return found


def _field_of(names: Sequence[str], token: str) -> str | None:
    if token in names:
        return token
    return next((name for name in names if token.startswith(name)), None)


def _convert(kind: type, value: str) -> str | int | bool | None:
    """``value`` as ``kind``; None when it is not a number and ``kind`` wants one."""
    if kind is str:
        return value
    if kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    text = value.strip()
    sign, digits = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        return None
    number = -int(digits) if sign == "-" else int(digits)
    return number != 0 if kind is bool else number


def parse_query(form: type[F], query: str) -> F:
    """The form that a query string fills in. Never fails: what cannot be read is not given."""
    names = form.__struct_fields__
    if not names:
        return form()
    kinds = get_type_hints(form)
    given: dict[str, str] = {}
    fallback: str | None = None
    for token, value in _tokens(query):
        name = _field_of(names, token)
        if name is None:
            fallback = fallback if fallback is not None else value
        else:
            given.setdefault(name, value)
    if fallback is not None:
        given.setdefault(names[0], fallback)
    values: dict[str, Any] = {}
    for name, text in given.items():
        converted = _convert(kinds[name], text)
        if converted is not None:
            values[name] = converted
    return form(**values)
