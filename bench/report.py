"""What a benchmark leaves behind: a table for people and ``bench/results/NAME.json``.

A measure is the median of several rounds; peers are measured in the same rounds, and ratios are
the medians of the per-round ratios, since a shared machine is noisy between rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric: our rounds and, by name, the peers' rounds of the same run."""

    metric: str
    unit: str
    ours: Sequence[float]
    peers: Mapping[str, Sequence[float]]

    def ratio(self, peer: str) -> float:
        """The median of ours / peer over the rounds."""
        pairs = zip(self.ours, self.peers[peer], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def row(self) -> dict[str, object]:
        """The form of the result files."""
        return {
            "metric": self.metric,
            "ours": statistics.median(self.ours),
            "unit": self.unit,
            "peers": {name: statistics.median(rounds) for name, rounds in self.peers.items()},
            "ratios": {name: round(self.ratio(name), 3) for name in self.peers},
            "rounds": len(self.ours),
        }


def publish(name: str, measures: Sequence[Measure]) -> Path:
    """Print the table and write the result file; returns its path."""
    table = Table(title=f"{name}: medians of {len(measures[0].ours)} rounds")
    for column in ("metric", "unit", "ours", "peer", "its value", "ours / peer"):
        table.add_column(column, justify="left" if column in ("metric", "peer") else "right")
    for measure in measures:
        ours = f"{statistics.median(measure.ours):,.2f}"
        table.add_row(measure.metric, measure.unit, ours, "", "", "")
        for peer, rounds in measure.peers.items():
            value = f"{statistics.median(rounds):,.2f}"
            table.add_row("", "", "", peer, value, f"{measure.ratio(peer):.2f}")
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    rows = [measure.row() for measure in measures]
    target.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    return target
