"""``tungsten get|describe|create|delete`` against a real API server on a real store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.running import Run
from typer.testing import CliRunner

from tungsten.cli.app import app
from tungsten.cli.nouns import SHORT_NAMES, UnclearName, find_type, matching, new_name
from tungsten.cli.objects import read_documents
from tungsten.cli.session import Refused
from tungsten.client import Client
from tungsten.model import RESOURCE_TYPES, ModelError, Resource, VirtualNetwork


@pytest.fixture
def networks(run: Run) -> Iterator[None]:
    for project in ("default-project", "other"):
        if project == "other":
            run("create", "project", "other")
        for name in ("blue", "green") if project == "other" else ("blue",):
            parent = f"default-domain:{project}"
            run("create", "vn", name, "-p", parent, "--subnet", "10.1.1.0/24")
    yield
    run("delete", "vn", "default-project:blue", "other:blue", "green", "--yes")
    run("delete", "project", "other", "--yes")


@pytest.mark.usefixtures("networks")
def test_objects_are_listed_by_name_in_plain_columns(run: Run) -> None:
    lines = run("get", "vn").output.splitlines()
    assert lines[0].split() == ["NAME", "ID", "SUBNETS", "POLICIES"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert rows["default-domain:other:green"][2:] == ["10.1.1.0/24", "-"]
    assert list(rows) == sorted(rows)
    wide = run("get", "vn", "green", "-o", "wide").output.splitlines()
    assert wide[0].split()[-3:] == ["UUID", "CREATED", "MODIFIED"]
    names = run("get", "vn", "-p", "default-domain:other", "-o", "name").output
    assert names == "default-domain:other:blue\ndefault-domain:other:green\n"


@pytest.mark.usefixtures("networks")
def test_a_unique_tail_is_a_name_and_an_ambiguous_one_is_not(run: Run) -> None:
    assert "default-domain:other:green" in run("describe", "vn", "green").output
    ambiguous = run("describe", "vn", "blue", code=1).output
    assert "'blue' is the name of 2 virtual-networks" in ambiguous
    assert "\n  default-domain:other:blue\n" in ambiguous
    assert "default-domain:other:blue" in run("describe", "vn", "other:blue").output
    assert len(run("get", "vn", "blue", "-o", "name").output.splitlines()) == 2


@pytest.mark.usefixtures("networks")
def test_structured_output_can_be_read_back(run: Run) -> None:
    one = msgspec.json.decode(run("get", "vn", "green", "-o", "json").output)
    assert one["virtual-network"]["fq_name"] == ["default-domain", "other", "green"]
    several = msgspec.json.decode(run("get", "vn", "-o", "json").output)
    assert {next(iter(each)) for each in several} == {"virtual-network"}
    text = run("get", "vn", "green", "-o", "yaml").output
    assert yaml.safe_load(text) == one
    (resource,) = read_documents(text)
    assert isinstance(resource, VirtualNetwork)
    assert resource.fq_name == ["default-domain", "other", "green"]


@pytest.mark.usefixtures("networks")
def test_describe_shows_fields_and_references(run: Run) -> None:
    output = run("describe", "vn", "green").output
    assert output.startswith("Type:  virtual-network\nName:  default-domain:other:green\n")
    assert "Network ipam refs:\n  default-domain:default-project:default-network-ipam\n" in output
    assert "    ipam_subnets:\n" in output


def test_objects_are_created_from_a_file(run: Run) -> None:
    content = (
        "virtual-network:\n  fq_name: [default-domain, default-project, red]\n"
        "  parent_type: project\n---\n"
        "security-group:\n  fq_name: [default-domain, default-project, web]\n"
        "  parent_type: project\n"
    )
    shown = run("create", "-f", "-", "--dry-run", given=content).output
    assert "red" in shown
    assert "there is no" in run("get", "vn", "red", code=1).output
    made = run("create", "-f", "-", given=content).output
    assert made == (
        "virtual-network default-domain:default-project:red created\n"
        "security-group default-domain:default-project:web created\n"
    )
    run("delete", "vn", "red", "--yes")
    run("delete", "sg", "web", "-y")


def test_properties_and_references_are_set_by_options(run: Run) -> None:
    run("create", "sg", "group1")
    run("create", "vn", "net1", "--subnet", "10.9.0.0/24", "--set", "flood_unknown_unicast=true")
    run("create", "vmi", "port1", "--ref", "vn=net1", "--ref", "sg=group1")
    shown = run("get", "vmi", "port1").output.splitlines()[1].split()
    assert shown[0] == "default-domain:default-project:port1"
    assert shown[2:] == ["net1", "-", "group1"]
    refused = run("delete", "vn", "net1", "--yes", code=1).output
    assert "[virtual-machine-interface default-domain:default-project:port1] (HTTP 409)" in refused
    run("delete", "vmi", "port1", "--yes")
    run("delete", "vn", "net1", "--yes")
    run("delete", "sg", "group1", "--yes")


def test_delete_asks_and_a_no_leaves_everything(run: Run) -> None:
    run("create", "sg", "keep")
    refused = run("delete", "sg", "keep", code=1, given="n\n").output
    assert "Delete 1 security-group(s)?" in refused
    assert "Nothing was deleted." in refused
    assert "keep" in run("delete", "sg", "keep", "--dry-run").output
    assert run("get", "sg", "keep", "-o", "name").output.endswith(":keep\n")
    run("delete", "sg", "keep", given="y\n")
    run("get", "sg", "keep", code=1)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["get", "widget"], 2, "'widget' is not a type; `tungsten schema` lists them"),
        (["get", "vn", "--url", "bogus"], 2, "accepted is http://HOST:PORT"),
        (["get", "vn", "nothing"], 1, "there is no virtual-network 'nothing'"),
        (["get", "vn", "--sort-by", "size"], 1, "has no property 'size'; it has "),
        (["get", "vn", "-o", "xml"], 2, "xml"),
        (["describe", "vn", "00000000-0000-4000-8000-000000000000"], 1, "HTTP 404"),
        (["create", "vn"], 2, "give either TYPE and NAME, or -f FILE"),
        (["create", "vn", "x", "--set", "size=3"], 1, "properties of a virtual-network are "),
        (["create", "vn", "x", "--set", "mtu=70000"], 1, "mtu"),
        (["create", "vn", "x", "--ref", "project=y"], 1, "refers to "),
        (["create", "vn", "x", "--subnet", "10.0.0.0"], 1, "is not address/length"),
        (["create", "sg", "x", "--subnet", "10.0.0.0/8"], 1, "a security-group has no subnets"),
        (["create", "-f", "/nonexistent"], 1, "/nonexistent"),
        (["create", "ri", "x"], 1, "a routing-instance is below a virtual-network"),
    ],
)
def test_what_is_refused_says_why(run: Run, words: list[str], code: int, expected: str) -> None:
    assert expected in run(*words, code=code).output


def test_that_there_is_nothing_is_said_and_is_no_row(run: Run) -> None:
    shown = run("get", "fr")
    assert (shown.stdout, shown.stderr) == ("", "There are no firewall-rules.\n")
    shown = run("get", "np", "-p", "default-project", "-o", "wide")
    assert shown.stderr == "There are no network-policies in default-project.\n"
    for form, empty in (("json", "[]\n"), ("name", ""), ("yaml", "")):
        shown = run("get", "fr", "-o", form)
        assert (shown.stdout, shown.stderr) == (empty, "")


def test_a_server_of_another_kind_is_said_to_be_none() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = CliRunner().invoke(app, ["get", "vn", "--url", url])
        server.shutdown()
    assert result.exit_code == 1
    said = "tungsten: Not Found (HTTP 404); is it the API server that runs there? See --url\n"
    assert result.output == said


def test_unreachable_server_is_said_plainly() -> None:
    result = CliRunner().invoke(app, ["get", "vn", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "is the API server running there?" in result.output


def test_every_short_name_and_plural_means_a_type() -> None:
    for short, name in SHORT_NAMES.items():
        assert find_type(short).name == name
        assert find_type(f"{short}s").name == name
    for name, type_ in RESOURCE_TYPES.items():
        for noun in (name, f"{name}s", name.replace("-", "_"), name.upper()):
            assert find_type(noun) is type_
    for noun in ("network-policies", "Firewall_Policies", "routing-policies"):
        assert find_type(noun).plural == noun.lower().replace("_", "-").replace("ies", "ys")


def test_tails_match_whole_parts_only() -> None:
    blue = VirtualNetwork(uuid="u1", fq_name=["d", "p", "blue"])
    dark = VirtualNetwork(uuid="u2", fq_name=["d", "p", "dark-blue"])
    assert matching([blue, dark], "blue") == [blue]
    assert matching([blue, dark], "p:dark-blue") == [dark]
    assert matching([blue, dark], "u2") == [dark]
    assert matching([blue, dark], "lue") == []


def test_single_words_are_put_where_the_type_lives() -> None:
    project = "default-domain:demo"

    def placed(noun: str, name: str) -> tuple[str, str]:
        parts, parent = new_name(find_type(noun), name, project)
        return "|".join(parts), parent

    assert placed("vn", "x") == ("default-domain|demo|x", "project")
    assert placed("vn", "a:b:x") == ("a|b|x", "project")
    assert placed("vmi", "vm1:x") == ("vm1|x", "virtual-machine")
    assert placed("vr", "x") == ("default-global-system-config|x", "global-system-config")
    assert placed("project", "x") == ("default-domain|x", "domain")
    assert placed("domain", "x") == ("x", "config-root")
    assert placed("rt", "target:64512:1") == ("target:64512:1", "")
    with pytest.raises(UnclearName, match="give its whole name"):
        new_name(find_type("fip"), "x", project)


@given(st.text())
def test_files_are_objects_or_refused_and_nothing_else(content: str) -> None:
    with suppress(Refused, ModelError):
        list(read_documents(content))


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize(
    "words",
    [
        ("get", "vn", "green"),
        ("get", "vn", "blue", "-p", "default-domain:other"),
        ("get", "vn", "default-domain:other:green"),
        ("describe", "vn", "green"),
        ("history", "vn", "green"),
    ],
)
def test_a_name_is_found_without_reading_all_of_its_type(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    whole: list[str] = []
    listed = Client.list

    async def counted(self: Client, type_: str, **how: Any) -> list[Resource]:
        if not how["names_only"] and how["uuids"] is None:
            whole.append(type_)
        return await listed(self, type_, **how)

    monkeypatch.setattr(Client, "list", counted)
    said = run(*words).output
    assert "green" in said or "other:blue" in said
    assert whole == []


@pytest.mark.usefixtures("networks")
def test_a_whole_name_is_asked_for_and_no_names_are_listed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(self: Client, type_: str, **how: Any) -> list[Resource]:
        raise AssertionError(f"names of {type_} were listed")

    monkeypatch.setattr(Client, "list", refused)
    assert "other:green" in run("describe", "vn", "default-domain:other:green").output
