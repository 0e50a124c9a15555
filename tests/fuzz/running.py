"""Runs a fuzz target for a bounded time, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SECONDS = 8
#: Seconds that one input may take, octets that it may have, and megabytes of the process.
LIMITS = ("-timeout=5", "-max_len=1024", "-rss_limit_mb=1024")


def run(target: str, seeds: Iterable[bytes], directory: Path) -> None:
    """Run the target of this name beside this file, from the seeds; it must find nothing."""
    corpus = directory / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    program = Path(__file__).with_name(target)
    argv = [sys.executable, str(program), str(corpus), f"-max_total_time={SECONDS}", *LIMITS]
    argv += [f"-artifact_prefix={directory}/", "-print_final_stats=1"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
