"""Lives, logs, silence and kills."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tungsten.testing.faultpoints import NotKilled, kill_at_every
from tungsten.testing.processes import (
    Unwell,
    assert_clean_logs,
    assert_same_lives,
    complaints,
    life,
    lives,
)
from tungsten.testing.silence import NotSilent, assert_silent

SRC = str(Path(__file__).parents[3] / "src")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_runs_on_has_the_same_life(sleeper: subprocess.Popen[bytes]) -> None:
    before = lives({"sleeper": sleeper.pid})
    assert life(sleeper.pid) == before["sleeper"] is not None
    assert_same_lives(before)


def test_a_process_that_ended_is_told_even_while_it_is_a_zombie(
    sleeper: subprocess.Popen[bytes],
) -> None:
    before = lives({"sleeper": sleeper.pid, "other": sleeper.pid})
    sleeper.kill()
    while life(sleeper.pid) is not None:
        pass
    with pytest.raises(Unwell, match=f"sleeper \\(pid {sleeper.pid}\\) ended"):
        assert_same_lives(before)
    assert_same_lives(before, killed=["sleeper", "other"])


def test_a_process_that_never_ran_is_told() -> None:
    with pytest.raises(Unwell, match="not running to begin with"):
        assert_same_lives({"ghost": life(2**22 + 1)})


LOG = """\
2026-01-01T00:00:00Z [info     ] compiled   written=3 error_count=0
2026-01-01T00:00:00Z \x1b[1m[error    ]\x1b[0m query_quarantined uuid=1
{"event": "x", "level": "error"}
{"event": "an error of yours", "level": "info"}
Traceback (most recent call last):
ERROR:    uvicorn says so
"""


def test_errors_and_tracebacks_are_found_in_any_format() -> None:
    found = complaints(LOG)
    assert len(found) == 4
    assert not any("info" in line for line in found)


def test_complaints_that_the_test_asked_for_are_allowed(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(LOG)
    asked = ["query_quarantined", '"event": "x"', "Traceback", "uvicorn"]
    assert_clean_logs({"x": log}, expected=asked)
    with pytest.raises(Unwell, match="x: Traceback"):
        assert_clean_logs({"x": log}, expected=[*asked[:2], "uvicorn"])


async def test_silence_names_what_changed() -> None:
    numbers = count()

    async def still() -> int:
        return 4

    await assert_silent(0.01, still=still, constant=lambda: {"a": 1})
    with pytest.raises(NotSilent, match="numbers: 0 -> 1") as found:
        await assert_silent(0.01, still=still, numbers=lambda: next(numbers))
    assert set(found.value.changed) == {"numbers"}


STEPS = """
import sys
from tungsten.store.faults import point
for step in range(3):
    open(sys.argv[1], "a").write(f"{step}\\n")
    point("step")
if len(sys.argv) > 2:
    raise SystemExit(int(sys.argv[2]))
"""


def steps(path: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", STEPS, str(path), *more]


def test_a_command_is_killed_at_each_hit_and_then_survives(tmp_path: Path) -> None:
    left: dict[int, list[str]] = {}

    def look(n: int) -> None:
        left[n] = (tmp_path / str(n)).read_text().split()

    kills = kill_at_every("step", lambda n: steps(tmp_path / str(n)), look, env={"PYTHONPATH": SRC})
    assert kills == 3
    assert left == {1: ["0"], 2: ["0", "1"], 3: ["0", "1", "2"], 4: ["0", "1", "2"]}


def test_a_command_that_fails_by_itself_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotKilled, match="exited 3"):
        kill_at_every(
            "elsewhere",
            lambda n: steps(tmp_path / str(n), "3"),
            lambda n: None,
            env={"PYTHONPATH": SRC},
        )


def test_a_command_that_never_survives_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotKilled, match="still hit at run 2"):
        kill_at_every(
            "step",
            lambda n: steps(tmp_path / str(n)),
            lambda n: None,
            env={"PYTHONPATH": SRC},
            most=2,
        )
