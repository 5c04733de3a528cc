"""Runs a study from a plan to a table and a report, by workers on this machine or by Ray.

A second run in the same folder helps: its workers take what is open, and both end with the table.
Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.study.extras import check_packages
from med2e3.study.folder import StudyFolder
from med2e3.study.leases import Leases
from med2e3.study.options import Options, Report
from med2e3.study.plan import Plan
from med2e3.study.team import run_in_processes


def _run_on_ray(folder: StudyFolder, leases: Leases, options: Options, report: Report) -> None:
    from med2e3.study.ray_engine import run_on_ray

    run_on_ray(folder, leases, options, report)


#: Who answers the open units, by the names that the command line uses.
ENGINES: dict[str, Callable[[StudyFolder, Leases, Options, Report], None]] = {
    "processes": run_in_processes,
    "ray": _run_on_ray,
}


@dataclass(frozen=True)
class Outcome:
    """What a study came to: its files, and its rows counted; `reasons` have why some are empty."""

    table: Path
    report: Path
    volumes: int
    answers: int
    errors: int
    reasons: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The outcome for JSON; `reasons` by volume."""
        return {
            "table": str(self.table), "report": str(self.report), "volumes": self.volumes,
            "answers": self.answers, "errors": self.errors, "reasons": self.reasons,
        }  # fmt: skip


def run(
    plan: Plan, out: Path, options: Options | None = None, report: Report | None = None
) -> Outcome:
    """Answer every question of a plan in the folder `out`, going on from what is there.

    Raises `InputError` where the folder is of another study, `CheckpointError` for a model that is
    not there, and `ResourceError` where a package is missing or the disk is full; what was finished
    before stays.
    """
    check_packages()
    chosen, tell = options or Options(), report or (lambda fraction, what: None)
    folder = StudyFolder.begin(out, plan)
    leases = folder.leases(chosen.lease)
    folder.reopen_changed(leases, failed=chosen.again)
    if leases.open:
        ENGINES[chosen.engine](folder, leases, chosen, tell)
    tell(1.0, "Writing the table and the report")
    return conclude(folder)


def conclude(folder: StudyFolder) -> Outcome:
    """Write table and report of a study whose units all have results."""
    from med2e3.study.report import write_report

    table = folder.join()
    write_report(folder.plan, table, folder.report)
    reasons: dict[str, str] = {}
    said = table["error"].to_pylist()
    for volume, reason in zip(table["volume"].to_pylist(), said, strict=True):
        if reason:
            reasons.setdefault(volume, reason)
    failed = sum(1 for reason in said if reason)
    return Outcome(
        folder.table, folder.report, len(folder.plan.volumes), len(said) - failed, failed, reasons
    )
