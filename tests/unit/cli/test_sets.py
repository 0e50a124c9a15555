"""Sets of files, plans of them, and the forms in which objects are shown and watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.running import Run

from tungsten.cli.completion import complete_noun
from tungsten.client import BlockingClient
from tungsten.model import Resource

PARENT = "default-domain:default-project"
NETWORK = """
virtual-network:
  fq_name: [default-domain, default-project, {name}]
  parent_type: project
  display_name: {title}
"""


@pytest.fixture
def directory(run: Run, tmp_path: Path) -> Iterator[Path]:
    """A directory of files, one a network, and one that is no file of objects."""
    (tmp_path / "more").mkdir()
    (tmp_path / "a.yaml").write_text(NETWORK.format(name="set-a", title="A"))
    (tmp_path / "more" / "b.yml").write_text(NETWORK.format(name="set-b", title="B"))
    (tmp_path / "README.md").write_text("no: [object")
    yield tmp_path
    for name in ("set-a", "set-b"):
        if name in run("get", "vn", "-o", "name").output:
            run("delete", "vn", name, "--yes")


def test_a_directory_is_applied_and_what_left_it_is_pruned(run: Run, directory: Path) -> None:
    words = ["-f", str(directory), "--owner", "shop", "--prune"]
    assert run("apply", *words).output.count(" created") == 2
    (directory / "more" / "b.yml").unlink()
    planned = run("plan", *words, "--detailed-exitcode", code=2).output
    assert f"- delete virtual-network {PARENT}:set-b" in planned
    assert "set-b pruned (dry run)" in run("apply", *words, "--dry-run").output
    assert f"- delete virtual-network {PARENT}:set-b" in run("diff", *words).output
    assert f"virtual-network {PARENT}:set-b pruned" in run("apply", *words).output
    assert "set-b" not in run("get", "vn", "-o", "name").output
    run("plan", *words, "--detailed-exitcode")
    assert (
        "belongs to the set shop"
        in run("apply", "-f", str(directory), "--owner", "office", code=1).output
    )
    assert "--prune needs --owner" in run("apply", "-f", "-", "--prune", code=2).output


def test_a_directory_without_files_is_refused(run: Run, tmp_path: Path) -> None:
    assert "has no files that end in .yaml" in run("apply", "-f", str(tmp_path), code=1).output


def test_operations_are_planned(run: Run, tmp_path: Path) -> None:
    new = {"fq_name": ["default-domain", "default-project", "op"], "parent_type": "project"}
    one = {"operation": "create", "type": "security-group", "object": new}
    file = tmp_path / "operations.json"
    file.write_text(json.dumps({"operations": [one]}))
    planned = run("plan", "--operations", str(file), "-o", "json").output
    assert msgspec.json.decode(planned)["intent"][0]["fq_name"] == new["fq_name"]
    assert "give either" in run("plan", code=2).output
    file.write_text("3")
    assert "has no operations" in run("plan", "--operations", str(file), code=1).output


def test_columns_of_ones_own_are_shown(run: Run) -> None:
    run("create", "vn", "own", "--subnet", "10.9.0.0/24")
    columns = "NAME:name,IPAM:network_ipam_refs.to,NET:network_ipam_refs.attr.ipam_subnets.subnet"
    shown = run(
        "get", "vn", "own", "-o", f"custom-columns={columns}.ip_prefix,NONE:mtu"
    ).output.splitlines()
    assert shown[0].split() == ["NAME", "IPAM", "NET", "NONE"]
    ipam = "default-domain:default-project:default-network-ipam"
    assert shown[1].split() == ["own", ipam, "10.9.0.0", "-"]
    run("delete", "vn", "own", "--yes")
    for wrong in ("custom-columns", "custom-columns=A", "csv", "json=x"):
        run("get", "vn", "-o", wrong, code=2)


@pytest.mark.parametrize("watched", [(), ("--watch",)])
def test_a_column_of_a_member_that_is_not_there_is_refused(
    run: Run, watched: tuple[str, ...]
) -> None:
    for column, said in (
        ("A:mut", "column A: virtual-network has no field 'mut' (did you mean mtu?); it has "),
        ("A:mut", ", uuid, parent_type"),
        ("A:name,B:network_ipam_refs.attr.subnets", "it has ipam_subnets, host_routes"),
        ("A:name.first", "virtual-network has no field 'name'"),
        ("A:mtu.x", "virtual-network.mtu has no field 'x'; it has no fields"),
    ):
        refused = run("get", "vn", "-o", f"custom-columns={column}", *watched, code=1)
        assert said in refused.output


def test_a_project_that_is_not_there_is_said(run: Run) -> None:
    assert "there is no project 'NOSUCH'" in run("get", "vn", "-p", "NOSUCH", code=1).output
    run("get", "vn", "-p", "default-project")
    run("get", "vn", "-p", PARENT)


def test_changes_are_watched_as_rows_and_as_json(run: Run, api: str) -> None:
    run("create", "vn", "seen")
    rows = _watching(api, "vn", "seen")
    lines = _watching(api, "vn", "seen", "-o", "json")
    try:
        assert rows.stdout is not None
        assert lines.stdout is not None
        assert rows.stdout.readline().split()[:3] == ["EVENT", "NAME", "ID"]
        assert rows.stdout.readline().split()[:2] == ["init", f"{PARENT}:seen"]
        events = [msgspec.json.decode(lines.stdout.readline())]
        run("delete", "vn", "seen", "--yes")
        assert rows.stdout.readline().split()[:2] == ["delete", f"{PARENT}:seen"]
        events.append(msgspec.json.decode(lines.stdout.readline()))
        assert [one["event"] for one in events] == ["init", "delete"]
        assert events[0]["object"]["fq_name"][-1] == "seen"
        rows.send_signal(signal.SIGINT)
        assert rows.wait(60) == 0
    finally:
        for one in (rows, lines):
            one.kill()
            one.communicate()
    assert "--watch goes with" in run("get", "vn", "-w", "-o", "yaml", code=2).output


def _watching(api: str, *words: str) -> subprocess.Popen[str]:
    # As in a terminal: what was started in the background ignores SIGINT, and so do its children.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "tungsten"]
    command += ["get", *words, "--watch", "--url", api]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_an_edit_does_not_write_over_what_others_wrote(
    run: Run, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("create", "sg", "edited")
    editor = tmp_path / "editor"
    apply = f"{sys.executable} -m tungsten apply --url {api} -f {tmp_path}/other.yaml"
    editor.write_text(f"#!/bin/sh\nsed -i 's/display_name: .*/display_name: Mine/' $1\n{apply}\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    other = "security-group: {fq_name: [default-domain, default-project, edited], %s: %s}"
    (tmp_path / "other.yaml").write_text(other % ("display_name", "Theirs"))
    said = run("edit", "sg", "edited", code=1).output
    assert "somebody else changed display_name meanwhile" in said
    assert "Theirs" in run("get", "sg", "edited", "-o", "yaml").output
    (tmp_path / "other.yaml").write_text(other % ("configured_security_group_id", "77"))
    run("edit", "sg", "edited")
    shown = run("get", "sg", "edited", "-o", "yaml").output
    assert "display_name: Mine" in shown
    assert "configured_security_group_id: 77" in shown
    run("delete", "sg", "edited", "--yes")


def test_an_edit_sees_what_others_write_at_the_last_moment(
    run: Run, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("create", "sg", "raced")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/display_name: .*/display_name: Mine/' $1\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    read = BlockingClient.read_tagged
    others: list[dict[str, object]] = [{"configured_security_group_id": 77}]

    def read_and_wait(client: BlockingClient, type_: str, which: str) -> tuple[Resource, str]:
        seen = read(client, type_, which)
        if others:  # who is quicker than this client
            client.update(type_, which, others.pop())
        return seen

    monkeypatch.setattr(BlockingClient, "read_tagged", read_and_wait)
    run("edit", "sg", "raced")
    shown = run("get", "sg", "raced", "-o", "yaml").output
    assert "display_name: Mine" in shown
    assert "configured_security_group_id: 77" in shown
    editor.write_text("#!/bin/sh\nsed -i 's/display_name: .*/display_name: Again/' $1\n")
    others.append({"display_name": "Theirs"})
    said = run("edit", "sg", "raced", code=1).output
    assert "somebody else changed display_name meanwhile" in said
    assert "display_name: Theirs" in run("get", "sg", "raced", "-o", "yaml").output
    run("delete", "sg", "raced", "--yes")


def test_a_shell_is_offered_types() -> None:
    assert dict(complete_noun("vn")) == {"vn": "virtual-network"}
    assert dict(complete_noun("virtual-net")) == {"virtual-network": "virtual-network"}
