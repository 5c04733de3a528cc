"""Figures of several runs, kept in a file, and which of them have become worse since.

A figure is worse where its median is, by more than the range of the kept runs and of those now:
less is noise. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.files import whole_file

#: Runs that a table is kept of and compared by.
RUNS = 5


@dataclass(frozen=True)
class Figure:
    """What was measured in each run; `more_is_better` for rates, not for times."""

    runs: tuple[float, ...]
    unit: str
    more_is_better: bool = False

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.runs)

    @property
    def best(self) -> float:
        """The least disturbed run."""
        return max(self.runs) if self.more_is_better else min(self.runs)

    @property
    def noise(self) -> float:
        """The range of the runs."""
        return max(self.runs) - min(self.runs)


@dataclass(frozen=True)
class Table:
    """Figures by name, with when, where and of which state of the code they are."""

    date: str
    machine: str
    commit: str
    load: str
    figures: Mapping[str, Figure]


def table_now(figures: Mapping[str, Figure]) -> Table:
    """A table of figures measured just now."""
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else ""
    return Table(time.strftime("%Y-%m-%d %H:%M"), machine, commit(), load, figures)


def commit() -> str:
    """The short name of the checkout's commit; "" outside of one."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def keep_table(table: Table, path: Path) -> None:
    """Write a table as JSON. Raises `InputError` where the file cannot be written."""
    plain = {
        "date": table.date, "machine": table.machine, "commit": table.commit, "load": table.load,
        "figures": {
            name: {
                "runs": list(f.runs), "unit": f.unit, "more_is_better": f.more_is_better
            }
            for name, f in table.figures.items()
        },
    }  # fmt: skip
    try:
        with whole_file(path) as draft:
            draft.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise InputError(
            f"The table cannot be written to {path}: {error.strerror or error}. Name a file in a "
            "folder that can be written."
        ) from error


def read_table(path: Path) -> Table:
    """A table that `keep_table` wrote. Raises `InputError` for any other file."""
    try:
        held = json.loads(path.read_text("utf-8"))
        figures = {
            str(name): Figure(
                tuple(float(run) for run in row["runs"]), str(row["unit"]),
                bool(row["more_is_better"]),
            )
            for name, row in held["figures"].items()
        }  # fmt: skip
        if not figures or not all(figure.runs for figure in figures.values()):
            raise ValueError("it has no figures")
        words = {key: str(held[key]) for key in ("date", "machine", "commit", "load")}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no table of a benchmark ({error}). `--keep FILE` writes one."
        ) from error
    return Table(words["date"], words["machine"], words["commit"], words["load"], figures)


def worse_lines(kept: Table, now: Mapping[str, Figure]) -> list[str]:
    """What has become worse, and what is no longer measured, one line each."""
    lines = []
    for name, old in kept.figures.items():
        new = now.get(name)
        if new is None:
            lines.append(f"{name}: not measured now")
        elif is_worse(old, new):
            lines.append(
                f"{name}: {old.median:.4g} → {new.median:.4g} {new.unit}".rstrip()
                + f" ({new.median / old.median:.2f} ×; noise ±{max(old.noise, new.noise):.2g})"
            )
    return lines


def is_worse(old: Figure, new: Figure) -> bool:
    """Whether the median is worse by more than the larger range of the runs."""
    lost = old.median - new.median if new.more_is_better else new.median - old.median
    return lost > max(old.noise, new.noise)


def comparison(kept: Table, now: Mapping[str, Figure]) -> str:
    """The lines for people, under what they are compared with."""
    head = f"Beside {kept.date}, {kept.commit or 'no commit'}, {kept.machine}:"
    worse = worse_lines(kept, now)
    return "\n".join([head, *(f"  slower: {line}" for line in worse or [])]) + (
        "" if worse else "\n  nothing is slower by more than the noise"
    )


def as_plain(table: Table) -> dict[str, Any]:
    """A table for a machine, with the medians."""
    return {
        "date": table.date, "machine": table.machine, "commit": table.commit, "load": table.load,
        "medians": {name: figure.median for name, figure in table.figures.items()},
    }  # fmt: skip
