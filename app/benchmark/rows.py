"""What a benchmark measures, as rows of a table: figure, slow end, bound, and whether it is kept.

Knows nothing of what is measured. Groups of rows stand in `app.benchmark.run.GROUPS`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.benchmark.heartbeat import Heartbeat
from app.benchmark.series import write_series
from med2e3.speed_tables import Figure

if TYPE_CHECKING:
    from app.application import Application
    from app.viewmodels.window.workspace import Workspace

#: How often a quick piece of work is measured, where a group does not say otherwise.
REPEATS = 60

#: The longest that the window may ever stand still, in ms: a blink is longer, a stutter shorter.
STALL_MS = 50.0


@dataclass(frozen=True)
class Row:
    """One measured figure: the median of its repeats, `slow` what 19 of 20 stay below.

    `value` None: it was not run, and `note` says why. `bound` is an upper one, a lower one with
    `at_least`. `note` may also say what the figure was measured against.
    """

    name: str
    value: float | None
    unit: str
    bound: float | None = None
    slow: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the bound is "ok" or "missed"; empty where nothing was promised or run."""
        if self.value is None or self.bound is None:
            return ""
        kept = self.value >= self.bound if self.at_least else self.value <= self.bound
        return "ok" if kept else "missed"


@dataclass(eq=False)
class Bench:
    """What the groups share: the running application, its options, and a folder that is deleted."""

    application: Application
    options: argparse.Namespace
    folder: Path
    _series: dict[tuple[int, int, int], Path] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        """The view-models of the window that is measured."""
        return self.application.workspace

    def series(self, shape: tuple[int, int, int]) -> Path:
        """A synthetic uncompressed series of that shape, written once, and warm in the cache."""
        if shape not in self._series:
            self._series[shape] = write_series(shape, self.folder / "x".join(map(str, shape)))
        return self._series[shape]


async def timed(
    name: str,
    work: Callable[[int], object],
    bound_ms: float | None = None,
    repeats: int = REPEATS,
    note: str = "",
) -> Row:
    """A row of ms: `work(k)` for k = 0, 1, …, each in its own turn of the loop.

    The note also says the processor time of the thread, which a busy machine does not change much.
    """
    times, busy = [], []
    work(0)  # the first time fills caches that a user's first look has filled too
    for k in range(1, repeats + 1):
        began, computed = time.perf_counter(), time.thread_time()
        work(k)
        times.append((time.perf_counter() - began) * 1000)
        busy.append((time.thread_time() - computed) * 1000)
        await asyncio.sleep(0)
    slow = float(np.percentile(times, 95))
    processor = f"{statistics.median(busy):.1f} ms of processor time"
    notes = "; ".join(part for part in (processor, note) if part)
    return Row(name, statistics.median(times), "ms", bound_ms, slow, note=notes)


def ratio(name: str, seconds: float, against: float, what: str, bound: float | None = None) -> Row:
    """A row that says how many times as long something took as something else in the same run."""
    note = f"{seconds:.2f} s against {against:.2f} s: {what}"
    return Row(name, seconds / against, "×", bound, note=note)


@contextmanager
def stalls(rows: list[Row], what: str) -> Iterator[None]:
    """Append a row with the longest stall of the window while the block runs."""
    heartbeat = Heartbeat()
    heartbeat.start()
    try:
        yield
    finally:
        longest = heartbeat.stop()
    rows.append(Row(f"longest stall, {what}", longest, "ms", STALL_MS))


def table(rows: list[Row]) -> str:
    """The rows for a terminal."""
    heads = ("", "median", "95 %", "bound", "")
    cells = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(heads))]
    lines = []
    for line, note in zip(cells, ["", *(row.note for row in rows)], strict=True):
        name, *figures = line
        text = "  ".join(
            [name.ljust(widths[0]), *(f.rjust(w) for f, w in zip(figures, widths[1:], strict=True))]
        )
        lines.append(f"{text}  {note}".rstrip())
    return "\n".join(lines)


#: Units of rates, of which more is better also where nothing is promised.
RATES = ("frames/s", "files/s", "files a CPU second")


def figures_of(runs: Sequence[Sequence[Row]]) -> dict[str, Figure]:
    """The times and rates of several runs by the rows' names, of rows that ran."""
    values: dict[str, list[float]] = {}
    kinds: dict[str, tuple[str, bool]] = {}
    for row in (row for run in runs for row in run):
        if row.value is not None and row.unit:
            values.setdefault(row.name, []).append(row.value)
            kinds[row.name] = (row.unit, row.at_least or row.unit in RATES)
    return {name: Figure(tuple(found), *kinds[name]) for name, found in values.items()}


def plain(row: Row) -> dict[str, Any]:
    """A row for a machine."""
    return {**asdict(row), "verdict": row.verdict}


def _cells(row: Row) -> tuple[str, ...]:
    value = "not run" if row.value is None else f"{row.value:.3g} {row.unit}".strip()
    slow = "" if row.slow is None else f"{row.slow:.3g} {row.unit}".strip()
    sign = "≥" if row.at_least else "≤"
    bound = "" if row.bound is None else f"{sign} {row.bound:g} {row.unit}".strip()
    return row.name, value, slow, bound, row.verdict
