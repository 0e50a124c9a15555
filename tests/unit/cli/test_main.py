"""The command line as a whole: what there is before any command runs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

CALL = "import sys; from tungsten.main import main; sys.argv[0] = 'tungsten'; main()"


def tungsten(*words: str) -> str:
    """What a command says, run as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_version_is_told() -> None:
    assert tungsten("--version") == f"tungsten {version('tungsten')}\n"


@pytest.mark.parametrize("words", [("-h",), ("--help",)])
def test_help_names_every_command(words: tuple[str, ...]) -> None:
    told = tungsten(*words)
    for command in ("get", "apply", "history", "backup", "api", "agent", "ctr", "vr", "db", "lab"):
        assert f"│ {command} " in told, command


@pytest.mark.parametrize("group", ["get", "api", "lab", "ctr", "db"])
def test_a_short_option_asks_for_help_of_every_command(group: str) -> None:
    assert f"Usage: tungsten {group}" in tungsten(group, "-h")


def test_a_question_to_the_api_loads_no_server() -> None:
    code = (
        "from tungsten.main import application; application('get'); import sys; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not {"uvicorn", "structlog", "prometheus_client"} & {*loaded}
