"""``tungsten get|describe|create|delete``: the objects of the model, through the API."""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer
import yaml

from tungsten.cli import plain, watch
from tungsten.cli.columns import text
from tungsten.cli.completion import complete_name, complete_noun
from tungsten.cli.documents import document, parse, read_file, read_files
from tungsten.cli.nouns import (
    UnclearName,
    find_all,
    find_object,
    find_type,
    full_name,
    matching,
    new_name,
    plural,
)
from tungsten.cli.outputs import Form, Output, OutputOption, check_columns, form, show
from tungsten.cli.session import DEFAULT_URL, Refused, UrlOption, misused, session
from tungsten.cli.times import revision_or_moment
from tungsten.client import BlockingClient, NotOffered
from tungsten.model import (
    Resource,
    ResourceType,
    decode,
    resource_type,
    type_of,
)

DEFAULT_PROJECT = "default-domain:default-project"


Noun = Annotated[
    str,
    typer.Argument(
        help="A type or its short name: vn, vmi, vm, sg, ri...", autocompletion=complete_noun
    ),
]
AtOption = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="REVISION|TIME",
        help="As it was then: a revision of `history`, 10m (ago), 2026-11-27T14:00.",
    ),
]
ProjectOption = Annotated[
    str | None, typer.Option("-p", "--project", help="Only what is in this project.")
]


def get(
    noun: Noun,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names, or tails of names.", autocompletion=complete_name),
    ] = None,
    output: OutputOption = "table",
    project: ProjectOption = None,
    everything: Annotated[
        bool, typer.Option("-A", "--all-projects", help="Of all projects (the default).")
    ] = False,
    sort_by: Annotated[str, typer.Option(help="A property to sort by; else by name.")] = "",
    at: AtOption = "",
    watching: Annotated[
        bool, typer.Option("-w", "--watch", help="Then each change, until Ctrl-C.")
    ] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """List objects of a type, or show some of them."""
    with session(url) as client:
        type_ = find_type(noun)
        check_columns(form(output), type_)
        if project is not None and not everything:
            _check_project(client, project)
        if not watching:
            then = revision_or_moment(at, "--at") if at else None
            if names and then is None:
                found = [one for name in names for one in _by_name(client, type_, name)]
            else:
                found = (
                    client.list(type_.name) if then is None else [*client.past(type_.name, then)]
                )
                if names:
                    found = [one for name in names for one in _some(found, type_, name)]
            if project is not None and not everything:
                found = [each for each in found if _is_below(each, project)]
            wanted_form = form(output)
            ordered = sorted(found, key=_sort_key(type_, sort_by))
            show(ordered, wanted_form, one=_is_one(names, found))
            if not found and wanted_form.output in (Output.table, Output.wide):
                where = f" in {project}" if project is not None and not everything else ""
                typer.echo(f"There are no {plural(type_)}{where}.", err=True)
            return
    wanted = _Chosen(names or [], None if everything else project)
    watch.rows(url, type_, _watch_form(output, at, sort_by), wanted.has)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which objects of a type a watch shows."""

    names: Sequence[str]
    project: str | None

    def has(self, each: Resource) -> bool:
        """Whether an object is one of them."""
        if self.project is not None and not _is_below(each, self.project):
            return False
        return not self.names or any(matching([each], name) for name in self.names)


def _watch_form(output: str, at: str, sort_by: str) -> Form:
    wanted = form(output)
    if at or sort_by or wanted.output is Output.yaml:
        misused("--watch goes with -o table, wide, name, json, custom-columns, -p and names only")
    return wanted


def _check_project(client: BlockingClient, project: str) -> None:
    """Refuse a project that does not exist: one without objects would look the same."""
    names = [each.fq_name for each in client.list("project", names_only=True)]
    parts = project.split(":")
    if not any(parts in (name, name[1:]) for name in names):
        raise UnclearName(
            f"there is no project {project!r}; `tungsten get project` lists those there are"
        )


def _by_name(client: BlockingClient, type_: ResourceType, name: str) -> list[Resource]:
    """The objects of a name, as they are now; several with one tail are all shown."""
    some = find_all(client, type_, name)
    if not some:
        raise UnclearName(f"there is no {type_.name} {name!r}")
    return some


def _some(found: Sequence[Resource], type_: ResourceType, name: str) -> list[Resource]:
    """The objects of a name among some; several with one tail are all shown."""
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


def describe(
    noun: Noun,
    name: Annotated[
        str,
        typer.Argument(
            help="A name, or a tail that is of one object.", autocompletion=complete_name
        ),
    ],
    at: AtOption = "",
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Everything about an object: its fields, children, and who refers to it."""
    with session(url) as client:
        type_ = find_type(noun)
        if at:
            stood = client.past(type_.name, revision_or_moment(at, "--at"))
            for one in _some(stood, type_, name):
                typer.echo(description(type_, document(one)[type_.name]), nl=False)
            return
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
        misused("give either TYPE and NAME, or -f FILE")
    with session(url) as client:
        if file is not None:
            made = list(read_documents(read_file(file)))
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
            show(made, Form(Output.yaml))
            return
        for resource in made:
            client.create(resource)
            typer.echo(f"{type_of(resource).name} {full_name(resource)} created")


def read_documents(content: str) -> Iterator[Resource]:
    """The objects of a YAML or JSON text: one object a document, as ``{type: fields}``."""
    for entry in parse(content):
        ((type_name, fields),) = entry.items()
        resource_type(type_name)
        yield decode(type_name, fields)


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
    noun: Annotated[str | None, typer.Argument(help="A type or its short name.")] = None,
    names: Annotated[
        list[str] | None, typer.Argument(help="Names, or tails that are of one object.")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("-f", "--filename", help="Files that name the objects; - for stdin."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what would be deleted, and stop.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Delete objects, all or none of them. Shows which, and asks."""
    if (files is None) != (noun is not None and names is not None):
        misused("give either TYPE and NAMES, or -f FILE")
    if files and "-" in files and not (yes or dry_run):
        misused("with objects on standard input nobody can be asked: add --yes")
    with session(url) as client:
        asked = read_files(files) if files else _named(client, find_type(noun or ""), names or [])
        found = _told(client, asked)
        for each in found:
            gone = " is not there" if each["result"] == "absent" else ""
            typer.echo(f"{each['type']} {':'.join(each['fq_name'])}{gone}", err=True)
        count = sum(each["result"] == "deleted" for each in found)
        if dry_run or not count:
            return
        types = {each["type"] for each in found}
        kind = types.pop() if len(types) == 1 else "object"
        if not yes and not typer.confirm(f"Delete {count} {kind}(s)?", err=True):
            typer.echo("Nothing was deleted.", err=True)
            raise typer.Exit(1)
        for each in _deleted(client, asked):
            if each["result"] == "deleted":
                typer.echo(f"{each['type']} {':'.join(each['fq_name'])} deleted")


def _told(client: BlockingClient, asked: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """What would become of objects that are to be deleted."""
    try:
        found: Sequence[dict[str, Any]] = client.plan([], delete=asked, compiling=False)["objects"]
    except NotOffered:
        return [*plain.delete(client, asked, dry_run=True)]
    return found


def _deleted(client: BlockingClient, asked: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    try:
        return client.apply([], delete=asked)
    except NotOffered:
        return plain.delete(client, asked, dry_run=False)


def _named(
    client: BlockingClient, type_: ResourceType, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Objects by name, as documents; one that is named twice is one."""
    found = {each.uuid: each for each in (find_object(client, type_, name) for name in names)}
    return [{type_.name: {"fq_name": each.fq_name}} for each in found.values()]
