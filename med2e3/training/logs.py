"""What a stage reports of every step: a CSV file always, TensorBoard where it is wanted.

Knows nothing of what the numbers mean.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from med2e3.errors import InputError

#: Where TensorBoard finds a run's events, below the run's folder.
TENSORBOARD_FOLDER = "tensorboard"


def check_tensorboard() -> None:
    """Raises `InputError` unless tensorboard can be imported."""
    _summary_writer()


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed. Install it (pip install tensorboard), or leave "
            "--tensorboard out: the same numbers are in the CSV files of the run."
        ) from error
    return SummaryWriter


class Log:
    """One stage's numbers; rows of steps from `first` on, which an earlier run left, are dropped.

    The columns are those of the first row.
    """

    def __init__(self, folder: Path, stage: str, first: int, *, tensorboard: bool = False) -> None:
        path = folder / f"{stage}.csv"
        kept = _rows_before(path, first)
        self._stream = path.open("w", newline="", encoding="utf-8")
        self._writer: csv.DictWriter[str] | None = None
        for row in kept:
            self._write_row(row)
        self._events: Any = None
        if tensorboard:
            events = folder / TENSORBOARD_FOLDER / stage
            self._events = _summary_writer()(str(events), purge_step=first or None)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        if self._events is not None:
            self._events.close()

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One step."""
        rounded = {name: float(f"{value:.6g}") for name, value in numbers.items()}
        self._write_row({"step": step, **rounded})
        self._stream.flush()
        if self._events is not None:
            for name, value in numbers.items():
                if value == value:  # a number that a step has no opinion on is NaN
                    self._events.add_scalar(name, value, step)

    def _write_row(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._stream, list(row), extrasaction="ignore")
            self._writer.writeheader()
        self._writer.writerow(row)


def _rows_before(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of an earlier log whose step is below; none where there is no log."""
    if not step or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if (row.get("step") or "").isdigit()]
    return [row for row in rows if int(row["step"]) < step and None not in row.values()]
