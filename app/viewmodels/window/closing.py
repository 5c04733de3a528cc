"""What must be on the disk before the window closes, and what would be lost. Knows no dialogs."""

from __future__ import annotations

from app.viewmodels.annotation.books import Books
from app.viewmodels.core.settings import Settings
from app.viewmodels.report.autosave import ReportAutosave


class Closing:
    """Saves what is not saved yet, and names what cannot be."""

    def __init__(self, books: Books, reports: ReportAutosave, settings: Settings) -> None:
        self._books = books
        self._reports = reports
        self._settings = settings

    @property
    def is_pending(self) -> bool:
        """Whether anything is not on the disk yet."""
        return self._books.saving or self._reports.saving or bool(self._settings.unkept)

    async def keep(self) -> str:
        """Save all that can be saved; returns a question about the rest, empty where all is kept.

        What is said names each series with the cause.
        """
        await self._books.saved()
        await self._reports.saved()
        if self._settings.unkept:
            self._settings.save()
        lost = [(f"the measurements of “{one.volume.name}”", one.cause)
                for one in self._books.unkept]  # fmt: skip
        lost += [(f"the report on “{name}”", why) for name, why in self._reports.unkept.items()]
        if self._settings.unkept:
            lost.append(("the preferences", self._settings.unkept))
        if not lost:
            return ""
        what = ", ".join(name for name, _ in lost)
        causes = " ".join(f"{cause.rstrip('.')}." for cause in dict.fromkeys(c for _, c in lost))
        return (
            f"Not saved: {what}. {causes} Closing now loses it. Free some space or check the "
            "folder, and save again."
        )
