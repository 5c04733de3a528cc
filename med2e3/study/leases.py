"""Who works at which unit of a study: one file a unit, which is a lease, then the unit's result.

A unit is one volume before one model. A lease names its owner, and its file's time of change is the
owner's sign of life. A lease is over when its owner has ended, where that can be seen, or has shown
no sign of life for some time by the clock of who looks. Leases only spare work: two workers at one
unit compute the same, and the name of its part says so. Knows nothing of volumes and models.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from med2e3.errors import ResourceError
from med2e3.files import locked, write_whole

#: Seconds without a sign of life after which a unit is taken over, unless another time is asked
#: for. Reading a large volume from a slow disk shows none for a minute.
LEASE_SECONDS = 300.0

#: Seconds that the lock of all leases is waited for; it is held for milliseconds.
LOCK_PATIENCE = 60.0

LOCK = ".lock"


@dataclass(frozen=True)
class Owner:
    """A process: its machine, its id there, and when it started, for ids are used again."""

    machine: str
    pid: int
    started: float

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended; False also where that cannot be seen from here."""
        if self.machine != machine():
            return False
        try:
            return psutil.Process(self.pid).create_time() != self.started
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


@dataclass(frozen=True)
class Result:
    """A unit's part by its name, what was there to be read, and whether it was readable."""

    part: str
    signature: str
    failed: bool


def own_process() -> Owner:
    """The process that calls this."""
    return Owner(machine(), os.getpid(), psutil.Process().create_time())


@cache
def machine() -> str:
    """Where ids of processes mean the same: a start of a computer, within one container."""
    namespace, start = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")
    inside = str(namespace.readlink()) if namespace.exists() else ""
    booted = start.read_text().strip() if start.exists() else f"{psutil.boot_time():.0f}"
    return f"{platform.node()} {booted} {inside}".strip()


class Leases:
    """The leases of all units in a folder, as one worker sees them."""

    def __init__(
        self, folder: Path, units: Sequence[str], *, seconds: float = LEASE_SECONDS
    ) -> None:
        self.folder, self.seconds = folder, seconds
        self.me = own_process()
        self.open = list(units)
        # Time of change of others' leases, and when it was first seen by our own clock.
        self._seen: dict[str, tuple[int, float]] = {}

    def claim(self) -> str | None:
        """A unit that is now ours; None where all that is open is leased to others."""
        for unit in list(self.open):
            if self.result(unit) is not None:
                self.open.remove(unit)
            elif self._is_free(unit) and self._take(unit):
                return unit
        return None

    def beat(self, unit: str) -> bool:
        """Show a sign of life; False where the unit was taken over."""
        if self.owner(unit) != self.me:
            return False
        try:
            os.utime(self._path(unit))
        except FileNotFoundError:
            return False
        return True

    def finish(self, unit: str, result: Result) -> None:
        """Put the unit's result in place of its lease."""
        self._write(unit, {"result": asdict(result)})
        if unit in self.open:
            self.open.remove(unit)

    def release(self, unit: str) -> None:
        """Give up a unit that is ours and not finished."""
        if self.owner(unit) == self.me:
            self._path(unit).unlink(missing_ok=True)

    def reopen(self, unit: str) -> None:
        """Forget a unit's result."""
        self._path(unit).unlink(missing_ok=True)
        if unit not in self.open:
            self.open.append(unit)

    def result(self, unit: str) -> Result | None:
        """The unit's result, if it has one."""
        said = self._read(unit).get("result")
        return Result(**said) if said else None

    def owner(self, unit: str) -> Owner | None:
        """Who has leased the unit."""
        said = self._read(unit).get("owner")
        return Owner(**said) if said else None

    def _is_free(self, unit: str) -> bool:
        """Whether a unit without a result has no lease, or one that is over."""
        owner = self.owner(unit)
        if owner is None:
            return True
        if owner == self.me:
            return False
        return owner.is_gone or self._is_silent(unit)

    def _is_silent(self, unit: str) -> bool:
        """Whether a lease has not changed for `seconds` since it was first seen so.

        Only times of our own clock are compared: those of other machines may be wrong.
        """
        try:
            changed = self._path(unit).stat().st_mtime_ns
        except FileNotFoundError:
            return True
        seen = self._seen.get(unit)
        if seen is None or seen[0] != changed:
            seen = self._seen[unit] = (changed, time.monotonic())
        return time.monotonic() - seen[1] >= self.seconds

    def _take(self, unit: str) -> bool:
        """Lease the unit, unless somebody else has done so since it was looked at."""
        try:
            with locked(self.folder / LOCK, LOCK_PATIENCE):
                if self.result(unit) is not None or not self._is_free(unit):
                    return False
                self._write(unit, {"owner": asdict(self.me)})
        except TimeoutError as error:
            raise ResourceError(
                f"{self.folder / LOCK} was held by another process for {LOCK_PATIENCE:.0f} s. "
                "Look for a study that hangs, or name a folder on a disk that can lock files."
            ) from error
        return True

    def _path(self, unit: str) -> Path:
        return self.folder / f"{unit}.json"

    def _read(self, unit: str) -> dict[str, Any]:
        """What a unit's file says; nothing for one that is missing or not ours."""
        try:
            said = json.loads(self._path(unit).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _write(self, unit: str, said: dict[str, Any]) -> None:
        write_whole(self._path(unit), json.dumps(said))
