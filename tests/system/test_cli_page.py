"""The examples of docs/cli.md, run as they stand against a server of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.api_process import ApiProcess
from tests.system.test_api_page import check, examples

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiProcess]:
    process = ApiProcess(tmp_path)
    process.start()
    yield process
    process.stop()


def test_the_examples_of_the_page_are_true(api: ApiProcess, tmp_path: Path) -> None:
    wanted = examples(PAGE.read_text())
    assert len(wanted) > 8
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "TUNGSTEN_API": api.url, "TZ": "UTC"}
    (tmp_path / "work").mkdir()
    check(wanted, env=environment, cwd=tmp_path / "work")
