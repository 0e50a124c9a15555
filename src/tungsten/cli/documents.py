"""Objects as files: YAML, one object a document, ``type: fields`` with the REST names.

JSON is YAML, too. A document that is a list stands for its entries, so what ``get -o json``
prints of several objects can be read as well.

What is plain in a file is read as JSON would write it: numbers are decimal, ``true`` and
``false`` are the booleans, and all else that is not null is text. YAML 1.1 would read a MAC such
as ``10:20:30:40:50:11`` as a number to the base of 60, ``no`` as false and a date as a date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tungsten.cli.nouns import UnknownNoun, find_type
from tungsten.cli.session import Refused
from tungsten.model import Resource, to_fields, type_of

Document = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as the core schema of YAML 1.2 does."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        ["" if c == "\0" else c for c in _first],
    )


def read_file(file: str) -> str:
    """The text of a file; of standard input for ``-``. Raises Refused."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Refused(f"{file}: {reason or error}") from error


def parse(content: str, name: str = "the file") -> list[Document]:
    """The documents of a text. Raises Refused."""
    try:
        documents = list(yaml.load_all(content, _Loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused(f"{name} is not YAML: {_in_one_line(error)}") from error
    entries = [
        entry
        for document in documents
        for entry in (document if isinstance(document, list) else [document])
        if entry is not None
    ]
    return [_checked(entry, f"object {at} of {name}") for at, entry in enumerate(entries, 1)]


def _in_one_line(error: Exception) -> str:
    """What is wrong and where; YAML's own text is a picture of several lines."""
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or error).splitlines()[0]
    return f"line {mark.line + 1}: {said}" if mark is not None else said


def _checked(entry: Any, where: str) -> Document:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise Refused(f"{where} is not of the form `type: fields`")
    ((type_name, fields),) = entry.items()
    if not isinstance(type_name, str) or not isinstance(fields, dict):
        raise Refused(f"{where}: the fields of {type_name!r} are not a mapping")
    try:
        msgspec.json.encode(entry)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"{where}: {type_name} cannot be said in JSON: {error}") from error
    return entry


def _named(entry: Document, where: str) -> Document:
    """An object that has a type that there is, and a name, by which refusals tell it.

    Raises Refused, which says where in which file it is.
    """
    ((type_name, fields),) = entry.items()
    try:
        type_ = find_type(type_name)
    except UnknownNoun as error:
        raise Refused(f"{where}: {error}") from error
    if type_.name != type_name.replace("_", "-"):
        raise Refused(f"{where}: {type_name!r} is said {type_.name} in a file")
    name = fields.get("fq_name")
    if not (isinstance(name, list) and name and all(isinstance(part, str) for part in name)):
        said = "no fq_name" if name is None else f"the fq_name {name!r}"
        raise Refused(
            f"{where}: the {type_name} has {said}; it is the list of the names down to its own,"
            " such as [default-domain, default-project, web]"
        )
    return entry


SUFFIXES = (".yaml", ".yml", ".json")


def read_files(files: Iterable[str]) -> list[Document]:
    """The documents of files and of all such files below directories. Raises Refused.

    It is also refused when there are none.
    """
    found = [
        _named(one, f"object {at} of {file}")
        for file in _expanded(files)
        for at, one in enumerate(parse(read_file(file), file), 1)
    ]
    if not found:
        raise Refused("there is no object in what was given")
    return found


def _expanded(files: Iterable[str]) -> list[str]:
    """Files, with directories replaced by the files below them, by name."""
    found: list[str] = []
    for file in files:
        if file == "-" or not Path(file).is_dir():
            found.append(file)
            continue
        inside = [
            str(one)
            for one in sorted(Path(file).rglob("*"))
            if one.suffix in SUFFIXES and one.is_file()
        ]
        if not inside:
            raise Refused(f"{file} has no files that end in {', '.join(SUFFIXES)}")
        found += inside
    return found


def document(each: Resource) -> Document:
    """``{type: fields}``, the REST form."""
    return {type_of(each).name: msgspec.to_builtins(to_fields(each))}


class _Dumper(yaml.CSafeDumper):
    """Quotes text with line breaks of other alphabets, which YAML would fold.

    libyaml's: it writes the same bytes as PyYAML's own in an eighth of the time.
    """


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
_Dumper.add_representer(str, _text)


def as_yaml(documents: Iterable[Any]) -> str:
    """Documents as YAML."""
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def as_json(value: Any) -> str:
    """A value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
