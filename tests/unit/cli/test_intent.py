"""``tungsten apply|diff|plan|edit|history|watch`` and ``delete -f``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.running import Run

from tungsten.cli.changes import diff
from tungsten.cli.documents import as_yaml, parse, read_files
from tungsten.cli.intent import edited
from tungsten.cli.session import Refused
from tungsten.model import resource_type

PARENT = "default-domain:default-project"

FILE = """
instance-ip:
  fq_name: [shop-address]
  virtual_network_refs: [{to: [default-domain, default-project, shop]}]
  virtual_machine_interface_refs: [{to: [default-domain, default-project, till]}]
---
virtual-machine-interface:
  fq_name: [default-domain, default-project, till]
  parent_type: project
  virtual_network_refs: [{to: [default-domain, default-project, shop]}]
  security_group_refs: [{to: [default-domain, default-project, web]}]
  virtual_machine_interface_mac_addresses: {mac_address: [10:20:30:40:50:11]}
---
virtual-network:
  fq_name: [default-domain, default-project, shop]
  parent_type: project
  network_ipam_refs:
  - to: [default-domain, default-project, default-network-ipam]
    attr: {ipam_subnets: [{subnet: {ip_prefix: 10.1.1.0, ip_prefix_len: 24}}]}
---
security-group:
  fq_name: [default-domain, default-project, web]
  parent_type: project
  security_group_entries:
    policy_rule:
    - direction: '>'
      protocol: tcp
      ethertype: IPv4
      src_addresses: [{security_group: local}]
      dst_addresses: [{subnet: {ip_prefix: 0.0.0.0, ip_prefix_len: 0}}]
      src_ports: [{start_port: 0, end_port: 65535}]
      dst_ports: [{start_port: 443, end_port: 443}]
"""


@pytest.fixture
def shop(run: Run) -> Iterator[str]:
    """The file's objects, there."""
    run("apply", "-f", "-", given=FILE)
    yield FILE
    run("delete", "-f", "-", "--yes", given=FILE)


def test_a_file_is_applied_in_the_order_of_need_and_deleted_in_the_other(run: Run) -> None:
    kinds = ["security-group", "virtual-network", "virtual-machine-interface", "instance-ip"]
    planned = run("apply", "-f", "-", "--dry-run", given=FILE).output.splitlines()
    assert all(line.endswith("created (dry run)") for line in planned)
    assert "there is no" in run("get", "vn", "shop", code=1).output
    done = run("apply", "-f", "-", given=FILE).output.splitlines()
    assert sorted(line.split()[0] for line in done) == sorted(kinds)
    assert {line.split()[-1] for line in done} == {"created"}
    assert run("get", "vmi", "till").output.splitlines()[1].split()[1] == "10:20:30:40:50:11"
    again = run("apply", "-f", "-", given=FILE).output.splitlines()
    assert {line.split()[-1] for line in again} == {"unchanged"}
    asked = run("delete", "-f", "-", code=2, given=FILE).output
    assert "add --yes" in asked
    gone = run("delete", "-f", "-", "--yes", given=FILE).output
    assert gone.count("deleted\n") == 4
    assert run("delete", "-f", "-", "--yes", given=FILE).output.count("is not there") == 4


@pytest.mark.parametrize("noun", ["vn", "vmi", "sg", "iip", "project", "ipam", "gsc", "domain"])
def test_what_get_prints_applies_as_nothing(run: Run, shop: str, noun: str) -> None:
    for form in ("yaml", "json"):
        shown = run("get", noun, "-o", form).output
        done = run("apply", "-f", "-", given=shown).output.splitlines()
        assert done
        assert {line.split()[-1] for line in done} == {"unchanged"}
        assert run("diff", "-f", "-", "--detailed-exitcode", given=shown).output == ""


def test_diff_shows_lines_that_go_and_come(run: Run, shop: str) -> None:
    changed = shop.replace("443", "8443").replace("[shop-address]", "[other-address]")
    text = run("diff", "-f", "-", given=changed).output
    assert "+ create instance-ip other-address\n" in text
    assert f"~ update security-group {PARENT}:web\n" in text
    assert "    -    - start_port: 443\n" in text
    assert "    +    - start_port: 8443\n" in text
    assert "id_perms" not in text
    assert "\x1b" not in text
    run("diff", "-f", "-", "--detailed-exitcode", code=2, given=changed)
    assert run("diff", "-f", "-", given=shop).output == ""
    gone = run("diff", "-f", "-", "--delete", given=shop).output
    assert gone.count("- delete ") == 4


def test_plan_shows_what_is_compiled_and_writes_nothing(run: Run) -> None:
    text = run("plan", "-f", "-", given=FILE).output
    intent, _, derived = text.partition("\nCompiled from it:\n")
    assert intent.count("+ create ") == 4
    assert f"+ create routing-instance {PARENT}:shop:shop  (from virtual-network " in derived
    assert "+ create route-target target:64512:8" in derived
    assert f"+ create access-control-list {PARENT}:web:egress-access-control-list" in derived
    assert f"~ update virtual-machine-interface {PARENT}:till" in derived
    assert "+routing_instance_refs:" in derived
    assert derived.endswith("Nothing was written.\n")
    assert "there is no" in run("get", "vn", "shop", code=1).output
    raw = msgspec.json.decode(run("plan", "-f", "-", "-o", "json", given=FILE).output)
    assert len(raw["intent"]) == 4
    run("plan", "-f", "-", "--detailed-exitcode", code=2, given=FILE)


def test_a_refusal_names_the_object_and_leaves_everything(run: Run) -> None:
    wrong = FILE.replace("ip_prefix_len: 24", "ip_prefix_length: 24")
    for command in ("apply", "plan", "diff"):
        text = run(command, "-f", "-", code=1, given=wrong).output
        assert f"virtual-network {PARENT}:shop: " in text
        assert "ip_prefix_length" in text
    assert "there is no" in run("get", "sg", "web", code=1).output


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "no object"),
        ("a: [", "not YAML"),
        ("just text", "of the form"),
        ("virtual-network: 5", "not a mapping"),
        ("a: {}\nb: {}", "of the form"),
        ("nothing: {fq_name: [a]}", "nothing"),
    ],
)
def test_files_that_say_no_objects_are_refused(run: Run, content: str, word: str) -> None:
    assert word in run("apply", "-f", "-", code=1, given=content).output


def test_a_file_that_is_not_there_is_refused(run: Run) -> None:
    assert "/no/such.yaml" in run("apply", "-f", "/no/such.yaml", code=1).output


def editor(path: Path, script: str) -> str:
    """An editor that changes the text by a Python expression of it."""
    program = path / "edit.py"
    program.write_text(
        "import pathlib, sys\np = pathlib.Path(sys.argv[-1])\ntext = p.read_text()\n"
        f"p.write_text({script})\n"
    )
    return f"{sys.executable} {program}"


def test_edit_changes_what_the_editor_changed(
    run: Run, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor(tmp_path, "text"))
    assert run("edit", "vn", "shop").output == "Nothing was changed.\n"
    monkeypatch.setenv("EDITOR", editor(tmp_path, "text.replace('name: shop', 'name: Shop')"))
    assert "updated" in run("edit", "vn", "shop").output
    assert "Display name:  Shop\n" in run("describe", "vn", "shop").output
    monkeypatch.setenv("EDITOR", editor(tmp_path, "text + '  nothing: 1\\n'"))
    refused = run("edit", "vn", "shop", code=1).output
    assert "nothing" in refused
    (kept,) = (line for line in refused.splitlines() if line.startswith("What you wrote is in"))
    Path(kept.split()[-1]).unlink()
    monkeypatch.setenv("EDITOR", "false")
    assert "status 1" in run("edit", "vn", "shop", code=1).output


def test_what_was_taken_out_in_the_editor_is_taken_away() -> None:
    type_ = resource_type("virtual-network")
    before = {"virtual-network": {"fq_name": ["a", "b"], "uuid": "u", "x": 1, "y": 2}}
    after = as_yaml([{"virtual-network": {"fq_name": ["a", "b"], "uuid": "u", "y": 3}}])
    assert edited(type_, before, after) == {
        "virtual-network": {"fq_name": ["a", "b"], "y": 3, "x": None}
    }
    with pytest.raises(Refused, match="uuid of an object"):
        edited(type_, before, after.replace("uuid: u", "uuid: v"))
    with pytest.raises(Refused, match="not one virtual-network"):
        edited(type_, before, "project: {}")


def test_history_and_the_past_are_shown(run: Run, shop: str) -> None:
    run("apply", "-f", "-", given=shop.replace("443", "8443"))
    lines = run("history", "sg", "web").output.splitlines()
    assert lines[0].split() == ["REVISION", "WHEN", "USER", "ACTION", "TYPE", "NAME", "CHANGED"]
    revision, when, user, action, kind, name, changed = lines[1].split()
    assert user == "-"  # the server does not ask who its users are
    assert (action, kind, name) == ("update", "security-group", f"{PARENT}:web")
    assert changed == "security_group_entries"
    assert when.endswith("Z")
    assert "    -    - start_port: 443\n" in run("history", "sg", "web", "--diff").output
    now = run("get", "sg", "web", "-o", "yaml").output
    then = run("get", "sg", "web", "-o", "yaml", "--at", str(int(revision) - 1)).output
    assert "8443" in now
    assert "8443" not in then
    assert yaml.safe_load(then)["security-group"]["fq_name"][-1] == "web"
    run("delete", "-f", "-", "--yes", given=shop)
    gone = run("history", "sg", f"{PARENT}:web", "-n", "1").output.splitlines()[1].split()
    assert gone[3] == "delete"
    assert gone[1].endswith("Z")
    wide = run("history", "sg", f"{PARENT}:web", "-n", "1", "-o", "wide").output.splitlines()
    assert wide[0].split()[-2:] == ["REQUEST", "FROM"]
    assert wide[1].split()[-3:] == ["POST", "/apply", "127.0.0.1"]
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ", wide[1])
    assert "web" in run("history", "sg", "--since", "10m").output
    none = run("history", "sg", "never-there")
    assert (none.stdout, none.stderr) == ("", "There is no such change of that name.\n")
    assert run("history", "sg", "--until", "1d").stderr == "There is no such change.\n"
    assert f"{PARENT}:web" not in run("get", "sg", "-o", "name", "--at", "0s").output
    assert (
        "Name:  default-domain:default-project:web"
        in run("describe", "sg", "web", "--at", revision).output
    )
    run("history", "--since", "noon", code=1)
    assert f"{PARENT}:web" in run("get", "sg", "-o", "name", "--at", revision).output
    raw = msgspec.json.decode(run("history", "-o", "json").output)
    assert len(raw["changes"]) == 20
    late = run("get", "sg", "--at", "999999", code=1).output
    assert "stands at revision" in late


def test_watch_shows_what_is_there_and_then_changes(run: Run, api: str) -> None:
    # As in a terminal: what was started in the background ignores SIGINT, and so do its children.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "tungsten"]
    command += ["watch", "sg", "vn", "--url", api]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert watching.stdout is not None
    try:
        first = watching.stdout.readline().split()
        assert first[0] == "init"
        time.sleep(0.1)
        run("create", "sg", "seen")
        run("delete", "sg", "seen", "--yes")
        lines: list[list[str]] = []
        while not lines or lines[-1][0] != "delete":
            lines.append(watching.stdout.readline().split())
        assert lines[-2:] == [
            ["create", "security-group", f"{PARENT}:seen"],
            ["delete", "security-group", f"{PARENT}:seen"],
        ]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12)
    | st.sampled_from(["10:20:30:40:50:11", "no", "1e3", "2026-11-27", "0x10", "010", "~", "1_0"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.text(min_size=1, max_size=8), values))
def test_what_is_written_as_yaml_reads_back(fields: dict[str, object]) -> None:
    assert parse(as_yaml([{"virtual-network": fields}])) == [{"virtual-network": fields}]


@given(text=st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except Refused:
        return


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("virtual-netwrk: {fq_name: [a]}", "did you mean virtual-network"),
        ("vn: {fq_name: [a]}", "'vn' is said virtual-network in a file"),
        ("project: {fq_nme: [a]}", "the project has no fq_name"),
        ("project: {fq_name: 'default-domain:a'}", "has the fq_name 'default-domain:a'"),
        ("project: {fq_name: [default-domain, 1]}", "has the fq_name"),
    ],
)
def test_an_object_that_has_no_name_to_tell_it_by_is_told_by_its_place(
    tmp_path: Path, wrong: str, said: str
) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(f"project: {{fq_name: [default-domain, shop]}}\n---\n{wrong}\n")
    with pytest.raises(Refused, match=r"object 2 of .*/shop\.yaml: ") as refused:
        read_files([str(file)])
    assert said in str(refused.value)


def test_plain_scalars_are_what_json_would_make_of_them() -> None:
    (document,) = parse(
        "a: {mac: 10:20:30:40:50:11, off: no, on: true, day: 2026-11-27, hex: 0x10, n: 7, z: ~,"
        " e: , f: 1.5, ip: 10.1.1.0, oct: 010}"
    )
    assert document["a"] == {
        "mac": "10:20:30:40:50:11", "off": "no", "on": True, "day": "2026-11-27", "hex": "0x10",
        "n": 7, "z": None, "e": None, "f": 1.5, "ip": "10.1.1.0", "oct": "010",
    }  # fmt: skip


def test_a_change_that_is_only_of_times_and_uuids_shows_no_lines() -> None:
    ref = {"to": ["a"], "uuid": "1", "attr": None}
    change = {
        "action": "update",
        "type": "project",
        "fq_name": ["a"],
        "before": {"id_perms": {"enable": True, "created": "1"}, "x_refs": [ref]},
        "after": {"id_perms": {"enable": True, "created": "2"}, "x_refs": [{**ref, "uuid": "2"}]},
    }
    assert diff(change) == []
