"""The text of one report with its author, its state, and the versions that it replaced.

What the reader wrote is never only overwritten: `Draft.replace_by` keeps it as an earlier version.
Knows neither files nor the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Earlier versions kept of a report: more than a reader will look through, and a file of at most
#: some ten kilobytes.
MOST_VERSIONS = 10


@dataclass(frozen=True)
class Version:
    """A text of the report as it stood once; the fields are those of `Draft`."""

    text: str = ""
    author: str = ""
    edited: bool = False
    partial: bool = False


@dataclass
class Draft:
    """A report: its text, the model that wrote it first, whether the reader has changed it.

    `partial`: the text is part of a draft that the model did not finish. `earlier` are the texts of
    the reader's that were replaced, the latest last.
    """

    text: str = ""
    author: str = ""
    edited: bool = False
    partial: bool = False
    earlier: tuple[Version, ...] = ()

    @property
    def version(self) -> Version:
        """The text as it stands now."""
        return Version(self.text, self.author, self.edited, self.partial)

    @property
    def worth_keeping(self) -> bool:
        """Whether the reader has written something of it; the model can draft again."""
        return self.edited or bool(self.earlier)

    def replace_by(self, new: Version) -> None:
        """Take another text; the reader's own is kept as an earlier version."""
        old = self.version
        earlier = [v for v in self.earlier if v.text not in (new.text, old.text)]
        if old.edited and old.text != new.text:
            earlier.append(old)
        self.earlier = _latest(earlier)
        self._become(new)

    def take_saved(self, saved: Draft) -> None:
        """Take up what was saved of this report; what was typed meanwhile stays, below it."""
        earlier = [*saved.earlier, *(v for v in self.earlier if v not in saved.earlier)]
        if self.edited and self.text.strip() not in saved.text:
            if saved.text.strip() not in self.text:
                self.text = f"{saved.text.rstrip()}\n{self.text}"
                self.partial = self.partial or saved.partial
                if saved.edited:  # undoing what was typed must not lose what was saved
                    earlier.append(saved.version)
        elif saved.edited or not self.text:
            self._become(saved.version)
        self.earlier = _latest(earlier)

    def _become(self, new: Version) -> None:
        self.text, self.author = new.text, new.author
        self.edited, self.partial = new.edited, new.partial


def _latest(versions: Iterable[Version]) -> tuple[Version, ...]:
    return tuple(versions)[-MOST_VERSIONS:]
