"""A test's bpffs is gone when it ends, and when it was killed the next run removes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.pins import pin_folder, reap_pin_folders


def mounted(path: Path) -> bool:
    return str(path) in Path("/proc/self/mountinfo").read_text()


def test_the_folder_is_gone_at_the_end() -> None:
    with pin_folder() as folder:
        assert mounted(folder)
    assert not mounted(folder)
    assert not folder.exists()


def test_what_a_killed_run_left_is_reaped_and_what_lives_is_not() -> None:
    script = (
        "import os, signal\n"
        "from tests.pins import pin_folder\n"
        "with pin_folder() as folder:\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == -signal.SIGKILL
    left = Path(done.stdout.strip())
    assert mounted(left)
    with pin_folder() as mine:
        assert left in reap_pin_folders()
        assert mounted(mine)
    assert not mounted(left)
    assert not left.exists()
