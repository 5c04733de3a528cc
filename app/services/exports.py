"""Writes exported texts and pictures to files, and tells the user what was written and what failed.

The sentences are shown as notices. Knows no formats and no dialogs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.services.errors import explain
from app.services.files import TextFiles
from app.viewmodels.core.exporting import Content
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Message, Outcome
from med2e3.words import counted


class Exporter:
    """Starts the writing of exports; nobody waits for it."""

    def __init__(self, files: TextFiles, tasks: Tasks, notices: Notices) -> None:
        self._files = files
        self._tasks = tasks
        self._notices = notices

    def start(self, path: Path, content: Content) -> None:
        """Write a file, replacing one of this name.

        A failure becomes a notice, and so does what the maker of the file has to say.
        """
        self._tasks.start(self._save(path, content))

    def start_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        """Write files into a folder, replacing none; a notice says how many of `what` are there."""
        self._tasks.start(self._save_all(folder, files, what))

    async def _save(self, path: Path, content: Content) -> None:
        outcome = await self._files.save(path, content)
        if isinstance(outcome, Failed):
            self._notices.show(explain(outcome.error))
        elif isinstance(outcome, Done) and outcome.value:
            self._notices.show(Message(outcome.value, is_good=True))

    async def _save_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        jobs = [self._files.save_beside(folder / name, data) for name, data in files.items()]
        outcomes = [await job for job in jobs]
        message = _told(folder, set(files), outcomes, what)
        if message is not None:
            self._notices.show(message)


def _told(
    folder: Path, names: set[str], outcomes: list[Outcome[Path]], what: str
) -> Message | None:
    """What is said of files that were to have `names` in `folder`; None where nothing is."""
    written = [one.value for one in outcomes if isinstance(one, Done)]
    failed = next((one.error for one in outcomes if isinstance(one, Failed)), None)
    count = counted(len(written), f"{what} was", f"{what}s were")
    said = f"{count} written to {folder}."
    if failed is not None:
        cause = explain(failed)
        if not written:
            return cause
        return Message(f"Of {len(names)}, only {said} {cause.sentence}", cause.details)
    if not written:
        return None
    if {path.name for path in written} != names:
        said += " No file there was replaced: where a name was taken, a number was added."
    return Message(said, "\n".join(path.name for path in written), is_good=True)
