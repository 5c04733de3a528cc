"""When the reader's reports are saved and read again: as they are typed, and as a series opens.

Only text that the reader has written or changed is kept, with the versions that were replaced; the
model can draft again. Nothing is written for a series before its file was read: it could not be
told what would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.report.draft import Draft
from app.viewmodels.report.report import Report

#: Seconds from a change to its file: a file a letter would be too many.
PAUSE = 0.4

#: Stands in the name of a report's file that is kept beside that of another window.
BESIDE = ".beside-"


@dataclass(frozen=True)
class SavedReport:
    """What was found for a series: its report, if any; where a damaged file was put.

    `beside` are reports that another window wrote at the same time.
    """

    draft: Draft | None = None
    kept_aside: Path | None = None
    beside: tuple[Path, ...] = ()


class ReportStorage(Protocol):
    """Where reports are kept."""

    def load(self, key: str) -> Job[SavedReport]:
        """Read the report of a series; a damaged file is put aside, never lost."""
        ...

    def save(self, key: str, about: Mapping[str, str], draft: Draft | None) -> Job[Path]:
        """Replace the report of a series, whole or not at all; None removes it.

        The path has `BESIDE` in its name where another window's report is in the place of this one.
        """
        ...


class ReportAutosave:
    """Keeps what the reader writes into the `Report`."""

    def __init__(
        self,
        report: Report,
        store: ReportStorage,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._report = report
        self._store = store
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._about: dict[str, dict[str, str]] = {}
        self._kept: dict[str, Draft | None] = {}
        self._failed: dict[str, str] = {}
        self._told: set[str] = set()
        self._reading: set[asyncio.Task[object]] = set()
        self._being_read: set[str] = set()
        self._saving: set[asyncio.Task[object]] = set()
        self._waiting = False
        report.changed.connect(self._follow)

    async def saved(self) -> None:
        """Wait until everything that was typed is in its file, or was reported."""
        await asyncio.gather(*self._reading, return_exceptions=True)
        self._write()
        await asyncio.gather(*self._saving)

    @property
    def saving(self) -> bool:
        """Whether something that was typed is not in its file yet."""
        return bool(self._reading or self._waiting or self._saving or self._failed) or bool(
            self._never_read()
        )

    @property
    def unkept(self) -> Mapping[str, str]:
        """What could not be saved when that was tried last: series by name, each with the cause."""
        failed = {self._name(key): cause for key, cause in self._failed.items()}
        cause = "the report that was saved before could not be read and is not replaced"
        return failed | {self._name(key): cause for key in self._never_read()}

    def _never_read(self) -> list[str]:
        """Series whose file could not be read: what is written on them has no place."""
        read = {*self._kept, *self._being_read}
        return [key for key in self._about if key not in read and self._worth(key) is not None]

    def _name(self, key: str) -> str:
        return self._about[key]["description"]

    def _follow(self) -> None:
        volume, key = self._report.volume, self._report.key
        if volume is None:
            return
        if key not in self._about:
            info = volume.info
            self._about[key] = {
                "series_uid": info.series_uid,
                "study_uid": info.study_uid,
                "description": volume.name,
            }
            self._being_read.add(key)
            task = self._tasks.start(self._read(key))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        elif key in self._kept and self._differs(key):
            self._write_soon()

    def _differs(self, key: str) -> bool:
        return self._worth(key) != self._kept[key] or key in self._failed

    def _worth(self, key: str) -> Draft | None:
        """A copy of the report, if there is anything in it that only the reader has."""
        draft = self._report.draft(key)
        return replace(draft) if draft.worth_keeping else None

    async def _read(self, key: str) -> None:
        outcome = await self._store.load(key)
        self._being_read.discard(key)
        if isinstance(outcome, Failed):
            cause = self._explain(outcome.error)
            self._notices.show(
                Message(
                    "The saved report of this series could not be read. What is written now is "
                    "kept only while the program runs, for it would replace the saved one; “Save…” "
                    f"writes it to a file. {cause.sentence}",
                    cause.details,
                )
            )
        elif isinstance(outcome, Done):
            self._take(key, outcome.value)

    def _take(self, key: str, found: SavedReport) -> None:
        self._kept[key] = found.draft
        if found.draft is not None:
            self._report.restore(key, found.draft)
        if found.kept_aside is not None:
            self._notices.show(
                Message(
                    "The saved report of this series could not be read; the file was kept as "
                    f"“{found.kept_aside.name}”, and a new report starts from nothing.",
                    str(found.kept_aside),
                )
            )
        elif found.beside:
            names = ", ".join(f"“{path.name}”" for path in found.beside)
            self._notices.show(
                Message(
                    "Two windows wrote a report on this series at the same time. This is the one "
                    f"that was saved first; the other was kept beside it as {names}.",
                    "\n".join(str(path) for path in found.beside),
                )
            )
        if self._differs(key):  # typed before its file was read
            self._write_soon()

    def _write_soon(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._tasks.start(self._write_later())

    async def _write_later(self) -> None:
        await asyncio.sleep(PAUSE)
        self._waiting = False
        self._write()

    def _write(self) -> None:
        for key in tuple(self._kept):
            if self._differs(key):
                draft = self._kept[key] = self._worth(key)
                job = self._store.save(key, self._about[key], draft)
                task = self._tasks.start(self._watch(key, job))
                self._saving.add(task)
                task.add_done_callback(self._saving.discard)

    async def _watch(self, key: str, job: Job[Path]) -> None:
        outcome = await job
        self._failed.pop(key, None)
        if isinstance(outcome, Done) and BESIDE in outcome.value.name and key not in self._told:
            self._told.add(key)
            self._notices.show(
                Message(
                    "Another window has changed the report of this series. What is written here is "
                    f"kept beside it as “{outcome.value.name}”; “Save…” writes it to a file of "
                    "your own.",
                    str(outcome.value),
                )
            )
        elif isinstance(outcome, Failed):
            cause = self._explain(outcome.error)
            self._failed[key] = cause.sentence
            self._notices.show(
                Message(
                    "The report of this series could not be saved; it is kept while the program "
                    "runs. Free some space or check the folder, then change it; or write it to "
                    "another place with “Save…”.",
                    f"{cause.sentence}\n{cause.details}".strip(),
                )
            )
