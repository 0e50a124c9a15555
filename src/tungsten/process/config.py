"""Reads settings: a TOML file, then the environment, then ``--set``; the later wins.

* file: sections as in :mod:`tungsten.process.settings`; unknown sections and keys are refused;
* environment: ``TUNGSTEN_SECTION__KEY=value`` (``TUNGSTEN_STORE__URL``);
* command line: ``--set section.key=value``.

Values from the environment and the command line are read as TOML values where they are such
(``5``, ``true``, ``["a", "b"]``), else as plain strings, so nobody has to quote a path.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from tungsten.process.settings import Settings

ENVIRONMENT_PREFIX = "TUNGSTEN_"


#: Variables that are read elsewhere and are no settings.
OTHER_VARIABLES = frozenset(
    {
        "TUNGSTEN_API",
        "TUNGSTEN_BPF_DIR",
        "TUNGSTEN_CONTROL_CORE",
        "TUNGSTEN_FAULT_POINT",
    }
)


class ConfigError(Exception):
    """A setting that cannot be used: says where it came from, which key, and why."""


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
) -> Settings:
    """Settings from all three sources.

    ``overrides`` are ``section.key=value`` strings. Raises ConfigError.
    """
    tree: dict[str, Any] = _read(file) if file is not None else {}
    origin: dict[str, str] = {}
    for name, value in sorted((environment or {}).items()):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
            _assign(tree, f"{section}.{key}", value, f"environment variable {name}", origin)
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: expected section.key=value")
        _assign(tree, path.strip(), value, f"--set {path}", origin)
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), file, origin)) from None


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that look like ours and that nothing reads, each with the nearest that is read.

    The nearest is empty where none is near. Those with ``__`` are settings: :func:`load` refuses
    them when they are unknown.
    """
    settings = {
        f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()
        for section, kind in get_type_hints(Settings).items()
        for key in get_type_hints(kind)
    }
    found: dict[str, str] = {}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" not in name and name not in OTHER_VARIABLES:
            near = difflib.get_close_matches(name, [*sorted(settings), *sorted(OTHER_VARIABLES)], 1)
            found[name] = near[0] if near else ""
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None


def _assign(
    tree: dict[str, Any], path: str, text: str, source: str, origin: dict[str, str]
) -> None:
    section, dot, key = path.partition(".")
    if not dot or not section or not key:
        raise ConfigError(f"{source}: {path!r} is not of the form section.key")
    known = get_type_hints(Settings)
    if section not in known:
        raise ConfigError(f"{source}: no section {section!r}; there are {', '.join(known)}")
    holder = tree.setdefault(section, {})
    if not isinstance(holder, dict):
        raise ConfigError(f"{section} is a section, not a value")
    wants_text = get_type_hints(known[section]).get(key) is str
    holder[key] = text if wants_text else _value(text)
    origin[f"{section}.{key}"] = source


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(message: str, file: Path | None, origin: Mapping[str, str]) -> str:
    """``msgspec``'s message with its ``$.section.key`` turned into section.key and a source."""
    reason, _, place = message.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.*)`", reason)
    key = f"{path}.{unknown[1]}" if unknown else path
    source = origin.get(key) or str(file or "settings")
    told = f"{reason[0].lower()}{reason[1:]}{_accepted(path, unknown)}"
    return f"{source}: {path or 'top level'}: {told}"


def _accepted(path: str, unknown: re.Match[str] | None) -> str:
    """What would have been accepted at a place: sections, keys, or words."""
    section, _, key = path.partition(".")
    sections = get_type_hints(Settings)
    if unknown and not section:
        return f"; sections are {', '.join(sections)}"
    if section not in sections:
        return ""
    keys = get_type_hints(sections[section])
    if unknown:
        near = difflib.get_close_matches(unknown[1], keys, 1)
        return f"; did you mean {near[0]}?" if near else f"; keys are {', '.join(keys)}"
    words = get_args(keys.get(key)) if get_origin(keys.get(key)) is Literal else ()
    return f"; accepted are {', '.join(map(str, words))}" if words else ""


def example() -> str:
    """A commented TOML file with every key, its meaning and its default."""
    lines = [
        "# Tungsten settings. Every key is shown with its default; remove the # to change one.",
    ]
    for section, kind in get_type_hints(Settings).items():
        first = (kind.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"# {first}", f"[{section}]"]
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            meta = [
                note.description
                for note in getattr(hints[field.name], "__metadata__", ())
                if isinstance(note, msgspec.Meta) and note.description
            ]
            lines += [f"# {text}" for text in meta]
            lines.append(f"#{field.name} = {_toml(_default(field))}")
    return "\n".join(lines) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return ""


def _toml(value: Any) -> str:
    value = msgspec.to_builtins(value)
    if value is None:
        return '""  # not set'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return str(value)
