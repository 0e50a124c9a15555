"""``tungsten get|describe|create|delete``: the objects of the model, through the API.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. What goes wrong is told on stderr.
"""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
import yaml

from tungsten.cli.nouns import UnclearName, find_object, find_type, full_name, matching, new_name
from tungsten.cli.tables import object_table, terminal_width, text
from tungsten.client import ApiError, BlockingClient, ClientError
from tungsten.model import (
    ModelError,
    Resource,
    ResourceType,
    decode,
    resource_type,
    to_fields,
    type_of,
)

DEFAULT_URL = "http://127.0.0.1:8082"
DEFAULT_PROJECT = "default-domain:default-project"


class Output(StrEnum):
    """How objects are printed."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"
    name = "name"


UrlOption = Annotated[
    str, typer.Option("--url", envvar="TUNGSTEN_API", help="The API server.", show_default=True)
]
Noun = Annotated[str, typer.Argument(help="A type or its short name: vn, vmi, vm, sg, ri...")]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the output.")]
ProjectOption = Annotated[
    str | None, typer.Option("-p", "--project", help="Only what is in this project.")
]


class Refused(Exception):
    """A file or option that cannot be used; the text says what is accepted."""


@contextmanager
def _session(url: str) -> Iterator[BlockingClient]:
    """A client; what it, the model or a name refuses ends the command with the reason."""
    try:
        with BlockingClient(url) as client:
            yield client
    except ApiError as error:
        _fail(f"{error.text} (HTTP {error.status})")
    except ClientError as error:
        _fail(f"{error}\nIs the API server running there? See --url.")
    except (ModelError, UnclearName, Refused) as error:
        _fail(str(error))


def _fail(reason: str) -> NoReturn:
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(1)


def get(
    noun: Noun,
    names: Annotated[list[str] | None, typer.Argument(help="Names, or tails of names.")] = None,
    output: OutputOption = Output.table,
    project: ProjectOption = None,
    everything: Annotated[
        bool, typer.Option("-A", "--all-projects", help="Of all projects (the default).")
    ] = False,
    sort_by: Annotated[str, typer.Option(help="A property to sort by; else by name.")] = "",
    url: UrlOption = DEFAULT_URL,
) -> None:
    """List objects of a type, or show some of them."""
    with _session(url) as client:
        type_ = find_type(noun)
        found = client.list(type_.name)
        if names:
            found = [one for name in names for one in _some(found, type_, name)]
        if project is not None and not everything:
            found = [each for each in found if _is_below(each, project)]
        show(sorted(found, key=_sort_key(type_, sort_by)), output, one=_is_one(names, found))


def _some(found: Sequence[Resource], type_: ResourceType, name: str) -> list[Resource]:
    """The objects of a name; several with one tail are all shown."""
    some = matching(found, name)
    if not some:
        raise UnclearName(f"there is no {type_.name} {name!r}")
    return some


def _is_one(names: Sequence[str] | None, found: Sequence[Resource]) -> bool:
    return names is not None and len(names) == 1 and len(found) == 1


def _is_below(each: Resource, project: str) -> bool:
    parts = project.split(":")
    return each.fq_name[: len(parts)] == parts or each.fq_name[1 : 1 + len(parts)] == parts


def _sort_key(type_: ResourceType, by: str) -> Any:
    if not by:
        return full_name
    if by not in type_.properties and by not in ("uuid", "fq_name"):
        raise Refused(
            f"a {type_.name} has no property {by!r}; it has {', '.join(sorted(type_.properties))}"
        )
    return lambda each: msgspec.json.encode(getattr(each, by))


def show(found: Sequence[Resource], output: Output, *, one: bool = False) -> None:
    """Print objects. ``one``: JSON and YAML of the object itself, not of a list."""
    match output:
        case Output.name:
            typer.echo("".join(f"{full_name(each)}\n" for each in found), nl=False)
        case Output.json:
            documents = [_document(each) for each in found]
            typer.echo(_json(documents[0] if one else documents))
        case Output.yaml:
            documents = [_document(each) for each in found]
            typer.echo(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), nl=False)
        case _:
            width = terminal_width(sys.stdout.isatty()) if output is Output.table else None
            typer.echo(object_table(found, wide=output is Output.wide, width=width), nl=False)


def _document(each: Resource) -> dict[str, Any]:
    """``{type: fields}``, the REST form."""
    return {type_of(each).name: msgspec.to_builtins(to_fields(each))}


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def describe(noun: Noun, name: str, url: UrlOption = DEFAULT_URL) -> None:
    """Everything about an object: its fields, children, and who refers to it."""
    with _session(url) as client:
        type_ = find_type(noun)
        found = find_object(client, type_, name)
        fields = client.read_fields(type_.name, found.uuid, computed=True)
        typer.echo(description(type_, fields), nl=False)


def description(type_: ResourceType, fields: dict[str, Any]) -> str:
    """An object's fields as indented text: what it is first, then what it points at."""
    first = ("fq_name", "uuid", "display_name", "parent_type", "parent_uuid")
    head = [f"Type:  {type_.name}\n"]
    head += [_entry(name, fields[name]) for name in first if name in fields]
    rest = [
        _entry(name, fields[name])
        for name in sorted(fields)
        if name not in (*first, "href", "parent_href", "name")
    ]
    return "".join(head + rest)


def _entry(name: str, value: Any) -> str:
    title = name.replace("_", " ")
    title = title[0].upper() + title[1:]
    if name == "fq_name":
        return f"Name:  {':'.join(value)}\n"
    if isinstance(value, list) and value and all(_is_ref(each) for each in value):
        return f"{title}:\n" + "".join(_ref_text(each) for each in value)
    if isinstance(value, dict | list) and value:
        body = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)
        return f"{title}:\n" + "".join(f"  {line}\n" for line in body.splitlines())
    return f"{title}:  {text(value) if value not in ([], {}) else '-'}\n"


def _is_ref(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("to"), list)


def _ref_text(value: dict[str, Any]) -> str:
    line = f"  {':'.join(value['to'])}\n"
    if value.get("attr"):
        body = yaml.safe_dump(value["attr"], sort_keys=False, default_flow_style=False)
        line += "".join(f"    {each}\n" for each in body.splitlines())
    return line


# --- changes


def create(
    noun: Annotated[str | None, typer.Argument(help="A type or its short name.")] = None,
    name: Annotated[str | None, typer.Argument(help="The new object's name.")] = None,
    file: Annotated[
        str | None, typer.Option("-f", "--filename", help="YAML or JSON; - for standard input.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="property=value; the value may be JSON.")
    ] = None,
    refs: Annotated[
        list[str] | None, typer.Option("--ref", help="type=name of an object to refer to.")
    ] = None,
    subnets: Annotated[
        list[str] | None, typer.Option("--subnet", help="For networks: address/length.")
    ] = None,
    project: Annotated[str, typer.Option("-p", "--project", help="Where it is created.")] = (
        DEFAULT_PROJECT
    ),
    dry_run: Annotated[bool, typer.Option(help="Show what would be created, and stop.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Create an object, by name or from a file of objects."""
    if (file is None) == (noun is None or name is None):
        typer.echo("tungsten: give either TYPE and NAME, or -f FILE", err=True)
        raise typer.Exit(2)
    with _session(url) as client:
        if file is not None:
            made = list(read_documents(_read(file)))
        else:
            type_ = find_type(noun or "")
            fq_name, parent_type = new_name(type_, name or "", project)
            fields: dict[str, Any] = {"fq_name": fq_name}
            if parent_type:
                fields["parent_type"] = parent_type
            fields |= dict(_assignment(type_, each) for each in sets or ())
            _add_references(client, type_, fields, refs or ())
            _add_subnets(type_, fields, subnets or ())
            made = [decode(type_.name, fields)]
        if dry_run:
            show(made, Output.yaml)
            return
        for resource in made:
            client.create(resource)
            typer.echo(f"{type_of(resource).name} {full_name(resource)} created")


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file}: {error}") from error


def read_documents(content: str) -> Iterator[Resource]:
    """The objects of a YAML or JSON text: one object a document, as ``{type: fields}``."""
    try:
        documents = list(yaml.safe_load_all(content))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused(f"the file is not YAML: {error}") from error
    for document in documents:
        for entry in document if isinstance(document, list) else [document]:
            if entry is not None:
                yield _resource(entry)


def _resource(entry: Any) -> Resource:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise Refused("an object of the file is not of the form `type: fields`")
    ((type_name, fields),) = entry.items()
    if not isinstance(type_name, str) or not isinstance(fields, dict):
        raise Refused(f"the fields of {type_name!r} are not a mapping")
    resource_type(type_name)
    return decode(type_name, fields)


def _assignment(type_: ResourceType, said: str) -> tuple[str, Any]:
    name, equals, value = said.partition("=")
    if not equals or name not in type_.properties:
        raise Refused(
            f"--set {said!r} is not property=value; properties of a {type_.name} are "
            f"{', '.join(sorted(type_.properties))}"
        )
    try:
        return name, msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return name, value


def _add_references(
    client: BlockingClient, type_: ResourceType, fields: dict[str, Any], refs: Iterable[str]
) -> None:
    for said in refs:
        noun, equals, name = said.partition("=")
        target = find_type(noun)
        field = next((r.field for r in type_.references.values() if r.target == target.name), "")
        if not equals or not field:
            targets = sorted({r.target for r in type_.references.values()})
            raise Refused(
                f"--ref {said!r} is not type=name; a {type_.name} refers to {', '.join(targets)}"
            )
        found = find_object(client, target, name)
        fields.setdefault(field, []).append({"to": found.fq_name, "attr": None})


DEFAULT_IPAM = ["default-domain", "default-project", "default-network-ipam"]


def _add_subnets(type_: ResourceType, fields: dict[str, Any], subnets: Sequence[str]) -> None:
    if not subnets:
        return
    if "network_ipam_refs" not in type_.references:
        raise Refused(f"a {type_.name} has no subnets")
    attribute = {"ipam_subnets": [{"subnet": _subnet(each)} for each in subnets]}
    refs = fields.setdefault("network_ipam_refs", [{"to": DEFAULT_IPAM}])
    refs[0]["attr"] = attribute


def _subnet(said: str) -> dict[str, Any]:
    prefix, slash, length = said.partition("/")
    if not slash or not (length.isascii() and length.isdigit() and len(length) <= 3):
        raise Refused(f"--subnet {said!r} is not address/length")
    return {"ip_prefix": prefix, "ip_prefix_len": int(length)}


def delete(
    noun: Noun,
    names: Annotated[list[str], typer.Argument(help="Names, or tails that are of one object.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what would be deleted, and stop.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Delete objects. Shows which, and asks."""
    with _session(url) as client:
        type_ = find_type(noun)
        found = [find_object(client, type_, name) for name in names]
        for each in found:
            typer.echo(f"{type_.name} {full_name(each)}", err=True)
        if dry_run:
            return
        if not yes and not typer.confirm(f"Delete {len(found)} {type_.name}(s)?", err=True):
            typer.echo("Nothing was deleted.", err=True)
            raise typer.Exit(1)
        for each in found:
            client.delete(type_.name, each.uuid)
            typer.echo(f"{type_.name} {full_name(each)} deleted")
