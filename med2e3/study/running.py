"""Runs a study on this machine: starts workers, replaces those that die, joins what they wrote.

A second run in the same folder helps: its workers take what is open, and both end with the table.
Knows nothing of models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from med2e3 import errors
from med2e3.errors import Med2E3Error, ResourceError
from med2e3.search_path import trusted
from med2e3.study.extras import check_packages
from med2e3.study.folder import StudyFolder
from med2e3.study.leases import LEASE_SECONDS, Leases
from med2e3.study.plan import Plan

#: Called with a share (0 to 1) and what is being done.
Report = Callable[[float, str], None]

#: Seconds between two looks at the workers.
WATCH_SECONDS = 0.2

#: Workers that may die at one unit before it is given up: a volume that breaks a decoder or takes
#: all memory would end one after the other.
DEATHS = 3

ENGINES = ("processes", "ray")


@dataclass(frozen=True)
class Options:
    """How a study is run on this computer: nothing here changes its table.

    `lease` are seconds without a sign of life after which a unit is taken over. `again` reads anew
    what could not be read before. `address` is of a Ray cluster that runs; without it one is
    started here.
    """

    processes: int = 1
    engine: str = "processes"
    lease: float = LEASE_SECONDS
    again: bool = False
    address: str | None = None


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
        if chosen.engine == "ray":
            from med2e3.study.ray_engine import run_on_ray

            run_on_ray(folder, leases, chosen, tell)
        else:
            _Team(folder, leases, chosen, tell).run()
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


@dataclass(eq=False)
class _Member:
    """A worker's process, and the file that holds what it wrote to stderr."""

    number: int
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]

    def sentence(self) -> tuple[str, str]:
        """The kind of error and the sentence with which it failed; empty where it said none."""
        assert self.process.stdout is not None
        for line in self.process.stdout.read().decode(errors="replace").splitlines():
            try:
                said = json.loads(line)
                return str(said["error"]), str(said["sentence"])
            except (ValueError, KeyError, TypeError):
                continue
        return "", ""

    def last_words(self) -> str:
        """The last line on stderr, or how the process ended."""
        self.complaints.seek(0)
        lines = self.complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def end(self) -> None:
        """End the process and close what belongs to it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.complaints.close()


class _Team:
    """The workers of one run on this machine."""

    def __init__(
        self, folder: StudyFolder, leases: Leases, options: Options, report: Report
    ) -> None:
        self.folder, self.leases, self.options, self.report = folder, leases, options, report
        self.members: list[_Member] = []
        self.deaths: dict[str, int] = {}
        self.idle_deaths = 0

    def run(self) -> None:
        """Until every unit has a result. Raises the error of a worker that failed."""
        count = min(self.options.processes, len(self.leases.open))
        try:
            for number in range(count):
                self.members.append(self._start(number))
            while any(self._is_at_work(member) for member in list(self.members)):
                self._tell()
                time.sleep(WATCH_SECONDS)
        finally:
            for member in self.members:
                member.end()

    def _start(self, number: int) -> _Member:
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_Member.end`
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "med2e3.study.worker", str(self.folder.path.absolute()),
                str(number), str(os.getpid()), str(self.options.lease),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(trusted())},
        )  # fmt: skip
        return _Member(number, process, complaints)

    def _is_at_work(self, member: _Member) -> bool:
        """Whether a worker, or the one in its place, goes on. Raises its error."""
        code = member.process.poll()
        if code is None:
            return True
        if code == 0:
            return False
        kind, sentence = member.sentence()
        if sentence:
            raise _own_error(kind)(sentence)
        self._count_death(member)
        self.members.remove(member)
        member.end()
        self.members.append(self._start(member.number))
        return True

    def _count_death(self, member: _Member) -> None:
        """A worker died without a word: at a unit, or before it had one."""
        last = member.last_words()
        unit = self._unit_of(member.process.pid)
        deaths = self.deaths[unit] = self.deaths.get(unit, 0) + 1
        if deaths < DEATHS:
            return
        if not unit:
            raise ResourceError(
                f"{deaths} workers ended before they had begun to answer: {last}. Try fewer "
                "processes, or a smaller model."
            )
        self._give_up(unit, last)

    def _unit_of(self, pid: int) -> str:
        """The unit that a worker of this machine holds; empty for none."""
        me = self.leases.me
        for unit in self.leases.open:
            owner = self.leases.owner(unit)
            if owner is not None and (owner.machine, owner.pid) == (me.machine, pid):
                return unit
        return ""

    def _give_up(self, unit: str, last: str) -> None:
        """Record a unit at which workers die, so that the rest goes on."""
        from med2e3.study.giving_up import give_up

        reason = (
            f"{DEATHS} workers ended while they were at this volume ({last}): it takes more memory "
            "than there is, or breaks a decoder. Try it alone with med2e3 ask."
        )
        self.leases.finish(unit, give_up(self.folder, unit, reason))

    def _tell(self) -> None:
        parts = sum(1 for _ in self.folder.parts.glob("*.parquet"))
        units = len(self.folder.plan.volumes) * len(self.folder.plan.models)
        self.report(min(parts / units, 1.0), f"{parts} of {units} volumes")


def _own_error(name: str) -> type[Med2E3Error]:
    """The error of this project that has the name."""
    known = getattr(errors, name, None)
    return known if isinstance(known, type) and issubclass(known, Med2E3Error) else ResourceError
