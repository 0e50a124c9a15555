"""Runs ``contrail-api-cli`` as it was installed, in the environment that it needs.

It lives in an environment of its own (``make install-test`` makes it) and was written for an older
Python, which ``shims/old_python`` stands in for.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".build/api-cli/bin/contrail-api-cli"
SHIM = ROOT / "tests/interop/shims/old_python"


@dataclass(frozen=True)
class Answer:
    """What one run of the program said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def words(self) -> list[list[str]]:
        """The output as a table."""
        return [line.split() for line in self.lines]


class Cli:
    """The program against one server, with ``options`` before each command."""

    def __init__(self, port: int, home: Path, *options: str) -> None:
        assert PROGRAM.exists(), f"{PROGRAM} is missing: 'make install-test' makes it"
        self._argv = [str(PROGRAM), "--host", "127.0.0.1", "--port", str(port), *options]
        self._environment = {
            **os.environ,
            "HOME": str(home),
            "PYTHONPATH": str(SHIM),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *argv: str, editor: Path | None = None) -> Answer:
        environment = dict(self._environment)
        if editor is not None:
            environment["EDITOR"] = str(editor)
        done = subprocess.run(
            [*self._argv, *argv], capture_output=True, text=True, timeout=60, env=environment
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def __call__(self, *argv: str, editor: Path | None = None) -> Answer:
        """Run a command that is to succeed."""
        answer = self.run(*argv, editor=editor)
        assert answer.status == 0, answer.err
        return answer

    def cat(self, path: str) -> Any:
        return json.loads(self("cat", path).out)
