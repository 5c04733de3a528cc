"""Workers on this machine: starts them, replaces those that die, gives up where they all die.

Each is a process of its own that imports nothing from the folder it is started in. Knows nothing of
models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO

from med2e3 import errors
from med2e3.errors import Med2E3Error, ResourceError
from med2e3.search_path import trusted
from med2e3.study.folder import StudyFolder
from med2e3.study.giving_up import give_up
from med2e3.study.leases import Leases
from med2e3.study.options import Options, Report

#: How the interpreter is called to become a worker; `-P` keeps its folder off the import path.
WORKER = ("-P", "-m", "med2e3.study.worker")

#: Seconds between two looks at the workers.
WATCH_SECONDS = 0.2

#: Workers that may die at one unit before it is given up: a volume that breaks a decoder or takes
#: all memory would end one after the other.
DEATHS = 3


def run_in_processes(folder: StudyFolder, leases: Leases, options: Options, report: Report) -> None:
    """Answer every open unit by `options.processes` workers. Raises the error of one that fails."""
    _Team(folder, leases, options, report).run()


@dataclass(eq=False)
class _Member:
    """A worker's process, and the file that takes all that it says."""

    number: int
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def error(self) -> Med2E3Error | None:
        """The error with which it failed; None where it died without a word."""
        for line in self._lines():
            try:
                told = json.loads(line)
                return _own_error(told["error"])(told["sentence"])
            except (ValueError, KeyError, TypeError):
                continue
        return None

    def last_words(self) -> str:
        """The last line that it said, or how it ended."""
        lines = self._lines()
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def _lines(self) -> list[str]:
        self.said.seek(0)
        return self.said.read().decode(errors="replace").strip().splitlines()

    def end(self) -> None:
        """End the process and close what belongs to it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.said.close()


class _Team:
    """The workers of one run on this machine."""

    def __init__(
        self, folder: StudyFolder, leases: Leases, options: Options, report: Report
    ) -> None:
        self.folder, self.leases, self.options, self.report = folder, leases, options, report
        self.members: list[_Member] = []
        self.deaths: dict[str, int] = {}

    def run(self) -> None:
        """Until every unit has a result. Raises the error of a worker that failed."""
        count = min(self.options.processes, len(self.leases.open))
        try:
            for number in range(count):
                self.members.append(self._start(number))
            while self._is_at_work():
                self._tell()
                time.sleep(WATCH_SECONDS)
            self._tell()
        finally:
            for member in self.members:
                member.end()

    def _start(self, number: int) -> _Member:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_Member.end`
        process = subprocess.Popen(
            [
                sys.executable, *WORKER, str(self.folder.path.absolute()), str(number),
                str(os.getpid()), str(self.options.lease),
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(trusted())},
        )  # fmt: skip
        return _Member(number, process, said)

    def _is_at_work(self) -> bool:
        """Whether a worker goes on, or one in its place. Raises the error of one that failed."""
        going = [self._goes_on(member) for member in list(self.members)]
        return any(going)

    def _goes_on(self, member: _Member) -> bool:
        code = member.process.poll()
        if code is None:
            return True
        if code == 0:
            return False
        if (error := member.error()) is not None:
            raise error
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
