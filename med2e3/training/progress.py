"""Progress of a run on a terminal: a bar for each stage with loss and time left.

Knows nothing of what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from med2e3.training.distributed import is_rank_zero
from med2e3.training.trainer import Report

#: Makes the report function of one stage, by its name.
StageReports = Callable[[str], Report]


@contextmanager
def stage_reports(report: Report | None) -> Iterator[StageReports]:
    """Gives each stage its report: the caller's, or a bar on stderr in the main process."""
    if report is not None or not is_rank_zero():
        yield lambda _: report or _report_nothing
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def report_of(stage: str) -> Report:
            task = bars.add_task(stage, total=None, numbers="")

            def show(step: int, steps: int, numbers: dict[str, float]) -> None:
                said = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
                bars.update(task, completed=step, total=steps, numbers=said)

            return show

        yield report_of


def _report_nothing(step: int, steps: int, numbers: dict[str, float]) -> None:
    """The report of the processes that are not the main one."""
