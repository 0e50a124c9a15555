"""The examples of docs/api.md, run as they stand against a server of their own."""

from __future__ import annotations

import doctest
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.api_process import ApiProcess

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
BLOCKS = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = "http://127.0.0.1:8082"
END = "=== end of example ==="


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiProcess]:
    process = ApiProcess(tmp_path)
    process.start()
    yield process
    process.stop()


def examples(text: str) -> list[tuple[str, str]]:
    """Commands and their output: ``$ `` begins a command, ``> `` continues it."""
    found: list[tuple[list[str], list[str]]] = []
    for block in BLOCKS.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(([line[2:]], []))
            elif line.startswith("> "):
                found[-1][0].append(line[2:])
            else:
                found[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in found]


def test_the_examples_of_the_page_are_true(api: ApiProcess) -> None:
    wanted = examples(PAGE.read_text().replace(DOCUMENTED, api.url))
    assert len(wanted) > 15
    check(wanted)


def check(wanted: list[tuple[str, str]], **options: Any) -> None:
    """Run examples in one shell; each must print what its page says."""
    script = "\n".join(f"{command}\necho; echo '{END}'" for command, _ in wanted)
    done = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        **options,
    )
    outputs = done.stdout.split(f"{END}\n")[:-1]
    assert len(outputs) == len(wanted), done.stdout
    checker = doctest.OutputChecker()
    for (command, expected), output in zip(wanted, outputs, strict=True):
        true = checker.check_output(expected.strip(), output.strip(), doctest.ELLIPSIS)
        assert true, f"{command}\nexpected: {expected}\ngot: {output}"


def test_the_python_of_the_page_compiles() -> None:
    blocks = PYTHON.findall(PAGE.read_text())
    assert blocks
    for block in blocks:
        compile(block, str(PAGE), "exec")
