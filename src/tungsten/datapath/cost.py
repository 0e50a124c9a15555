"""What the programs cost to load: ``python -m tungsten.datapath.cost`` prints a table.

The verifier walks every path of a program once, at load. Its bounds are a million
instructions and 512 bytes of stack; far below them, the cost is time at the start of the
agent. Numbers are those the verifier itself reports (``BPF_LOG_STATS``).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tungsten.datapath.contract import OBJECT
from tungsten.datapath.libbpf import Object


@dataclass(frozen=True, slots=True)
class Cost:
    """One program: instructions walked, bytes of its largest stack frame, milliseconds."""

    program: str
    instructions: int
    stack: int
    milliseconds: float


def costs(object_path: Path = OBJECT) -> list[Cost]:
    """Loads the object once more, on tables of its own, and asks; nothing stays loaded."""
    loading = Object(object_path)
    try:
        loading.resize(dict.fromkeys(("labels", "bridge", "routes_host", "nexthops"), 1024))
        loading.ask_statistics()
        loading.load()
        return [_parse(name, text) for name, text in sorted(loading.statistics().items())]
    finally:
        loading.close()


def _parse(name: str, text: str) -> Cost:
    instructions = re.search(r"processed (\d+) insns", text)
    stack = re.search(r"stack depth ([\d+]+)", text)
    microseconds = re.search(r"verification time (\d+) usec", text)
    if not (instructions and stack and microseconds):
        raise ValueError(f"{name}: the verifier's statistics read {text!r}")
    frames = [int(frame) for frame in stack[1].split("+")]
    return Cost(name, int(instructions[1]), max(frames), int(microseconds[1]) / 1000)


def main() -> int:
    """Prints the table."""
    print(f"{'program':<10}{'instructions':>14}{'stack':>8}{'ms':>8}")
    for cost in costs():
        print(f"{cost.program:<10}{cost.instructions:>14}{cost.stack:>8}{cost.milliseconds:>8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
