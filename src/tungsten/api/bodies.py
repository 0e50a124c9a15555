"""Reading request bodies: JSON within limits, and the envelope around an object.

Bodies come from anyone. What is not an object of the expected form is a
:class:`~tungsten.api.errors.BadRequest` that says where; nothing else is raised.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from tungsten.api.errors import BadRequest, echo

Json = dict[str, Any]

MAX_DEPTH = 64
MAX_NAME_BYTES = 255

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_CONTAINERS = frozenset({dict, list})
_UNFIT = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")


def nests_deeper(value: Any, limit: int) -> bool:
    """Whether lists and dicts nest more than ``limit`` levels."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
        if not level:
            return False
    return bool(level)


def parse(data: bytes) -> Any:
    """JSON text as Python values."""
    too_deep = BadRequest(f"Bad Request, the body nests deeper than {MAX_DEPTH} levels")
    if not data.strip():
        raise BadRequest("Bad Request, the body is empty; JSON is expected")
    try:
        value = msgspec.json.decode(data)
    except RecursionError as error:
        raise too_deep from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"Bad Request, the body is not valid JSON: {error}") from error
    if nests_deeper(value, MAX_DEPTH):
        raise too_deep
    return value


def parse_object(data: bytes) -> Json:
    """JSON text that must be an object."""
    value = parse(data)
    if not isinstance(value, dict):
        raise BadRequest(f"Bad Request, the body must be a JSON object, not {echo(value)}")
    return value


def unwrap(body: Mapping[str, Any], type_: str) -> Json:
    """The object inside ``{"<type>": {...}}``."""
    inner = body.get(type_)
    if not isinstance(inner, dict):
        raise BadRequest(f'Bad Request, the body must be {{"{type_}": {{...}}}}')
    return inner


def text(body: Mapping[str, Any], key: str) -> str | None:
    """A value that is a string or absent."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"Bad Request, {key} must be a string, not {echo(value)}")
    return value


def flag(body: Mapping[str, Any], key: str) -> bool:
    """A value that is true or false; absent is false. Strings are read as queries are."""
    value = body.get(key)
    return "true" in value.lower() if isinstance(value, str) else bool(value)


def is_uuid(value: str) -> bool:
    """Whether a string is a uuid in its canonical form."""
    return _UUID.fullmatch(value) is not None


def uuid(value: str) -> str:
    """A uuid in canonical form; others are refused."""
    if not is_uuid(value):
        raise BadRequest(f"Invalid UUID format: {echo(value)}")
    return value


def fq_name(value: Any) -> tuple[str, ...]:
    """A fully qualified name: a list of non-empty strings without control characters."""
    if not isinstance(value, list) or not value:
        raise BadRequest(f"Bad Request, fq_name must be a list of names, not {echo(value)}")
    for element in value:
        if not isinstance(element, str) or not element:
            raise BadRequest(f"Bad Request, fq_name has an element that is no name: {echo(value)}")
        if not is_printable(element):
            raise BadRequest("Bad Request, name has illegal xml characters")
        if len(element.encode()) > MAX_NAME_BYTES:
            raise BadRequest(
                f"Bad Request, name is longer than {MAX_NAME_BYTES} bytes: {echo(element)}"
            )
    return tuple(value)


def is_printable(name: str) -> bool:
    """Whether a name can stand in XML and in a line of text.

    No control characters, lone surrogates, noncharacters of XML, line separators, or marks that
    turn the direction of the text around them.
    """
    if name.isascii():
        return name.isprintable()
    return not any(unicodedata.category(char) in ("Cc", "Cs") or char in _UNFIT for char in name)
