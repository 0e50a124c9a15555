"""A process that cannot run says in one line what is wrong and where, and ends: no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def refused(*words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and log of a start that must fail."""
    run = subprocess.run(
        [sys.executable, "-m", "tungsten", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "400", **(environment or {})},
    )
    assert run.returncode in (1, 2), run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, run.stderr


def controller(tmp_path: Path, **control: str) -> list[str]:
    values = {"xmpp_listen": "127.0.0.1:0", "introspect_listen": "", **control}
    words = ["controller", "--set", f"store.url=sqlite:{tmp_path}/config.db"]
    words += ["--set", "api.listen=127.0.0.1:0", "--set", "api.introspect_listen="]
    for key, value in values.items():
        words += ["--set", f"control.{key}={value}"]
    return words


@pytest.mark.parametrize("key", ["xmpp_listen", "introspect_listen", "bgp_listen"])
def test_a_controller_names_the_address_it_cannot_listen_on(
    tmp_path: Path, taken: str, key: str
) -> None:
    status, log = refused(*controller(tmp_path, **{key: taken}))
    assert status == 1
    assert taken.partition(":")[2] in log
    assert "already in use" in log
    status, log = refused(*controller(tmp_path, **{key: "bogus"}))
    assert status == 1
    assert "'bogus'" in log
    assert "HOST:PORT" in log


def test_a_controller_names_an_identifier_that_is_none(tmp_path: Path) -> None:
    status, log = refused(*controller(tmp_path, router_id="bogus"))
    assert (status, "control.router_id is 'bogus'" in log) == (1, True)


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("bogus", "api.listen is 'bogus'; expected HOST:PORT"),
        ("127.0.0.1:99999", "api.listen is '127.0.0.1:99999'; expected HOST:PORT"),
        ("name.invalid:8082", "api.listen is 'name.invalid:8082': 'name.invalid' has no address"),
        ("203.0.113.9:8082", "cannot listen on 203.0.113.9:8082"),
    ],
)
def test_an_api_names_the_address_it_cannot_listen_on(
    tmp_path: Path, listen: str, words: str
) -> None:
    status, log = refused("api", "--listen", listen, "--store", f"sqlite:{tmp_path}/config.db")
    assert (status, words in log) == (1, True), log


@pytest.mark.parametrize("process", ["api", "controller"])
def test_what_the_web_ui_cannot_use_is_told_before_the_api_listens(
    tmp_path: Path, taken: str, process: str
) -> None:
    password, empty = tmp_path / "password", tmp_path / "empty"
    for file, text in ((password, "secret\n"), (empty, "")):
        file.write_text(text)
        file.chmod(0o600)
    words = [process, "--set", f"store.url=sqlite:{tmp_path}/config.db"]
    words += ["--set", "api.listen=127.0.0.1:0", "--set", "api.introspect_listen="]
    for settings, said in (
        ({"webui.listen": "bogus"}, "webui.listen is 'bogus'; expected HOST:PORT"),
        ({"webui.listen": taken}, f"cannot listen on {taken}"),
        ({"api.admin_password_file": ""}, "webui.listen needs api.admin_password_file"),
        ({"api.admin_password_file": str(empty)}, f"{empty} is empty"),
        ({"webui.certificate": str(empty)}, "webui.certificate and webui.key are given together"),
    ):
        given = {
            "webui.listen": "127.0.0.1:0",
            "webui.state_directory": str(tmp_path / "state"),
            "api.admin_password_file": str(password),
            **settings,
        }
        sets = [word for pair in given.items() for word in ("--set", "=".join(pair))]
        status, log = refused(*words, *sets)
        assert (status, said in log, "api_started" in log) == (1, True, False), log


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('agent.controls=["bogus:bogus"]', "agent.controls 'bogus:bogus'"),
        ("agent.port_listen=bogus", "agent.port_listen 'bogus'"),
        ("agent.fabric_interface=nope0", "agent.fabric_interface 'nope0'"),
        ('agent.encapsulations=["GENEVE"]', "agent.encapsulations 'GENEVE'"),
        ("agent.bpf_dir=/sys/none/tungsten", "not on a BPF file system; mount one"),
        ("agent.hold_seconds=1", "agent.hold_seconds: expected `int` >= 3"),
    ],
)
def test_an_agent_names_the_setting_it_cannot_use(tmp_path: Path, value: str, words: str) -> None:
    _, log = refused("agent", "--set", f"agent.state_dir={tmp_path}", "--set", value)
    assert words in log


def test_a_store_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database " * 100)
    for url, words in (
        (f"sqlite:{tmp_path}", "is not a regular file"),
        (f"sqlite:{tmp_path}/text", "is not a store or is damaged"),
        (f"sqlite:{tmp_path}/text/config.db", "cannot be opened"),
        ("sqlite:", "expected"),
    ):
        status, log = refused("api", "--listen", "127.0.0.1:0", "--store", url)
        assert (status, words in log, f"store.url {url}" in log) == (1, True, True), log
