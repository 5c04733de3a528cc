"""The draft report of the open volume: text from the model, corrected by the reader. No widgets.

A report belongs to one series: opening another one puts it away, opening the first again brings it
back. Text that the reader has changed is never replaced without being asked, and stays with a
series that has grown since, as one does whose folder was still being scanned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.viewmodels.assistant.answers import Turn, TurnState
from app.viewmodels.core.identity import Stack, series_key
from app.viewmodels.core.signal import Signal
from med2e3.volume import Volume

#: Stands over every exported report.
HEADING = "DRAFT — NOT SIGNED. Text by a research model; it must be checked against the images."


@dataclass
class Draft:
    """A report: its text, the model that wrote it first, whether the reader has changed it."""

    text: str = ""
    author: str = ""
    edited: bool = False


class Report:
    """The text of the draft report and where it comes from."""

    def __init__(self) -> None:
        self._drafts: dict[str, Draft] = {}
        self._draft = Draft()
        self._volume: Volume | None = None
        self.key = ""
        self._left: tuple[Stack, Draft] = (Stack(), self._draft)
        self.offered: Turn | None = None
        self.changed: Signal[[]] = Signal()

    @property
    def volume(self) -> Volume | None:
        """What the report is about; None: no series is open."""
        return self._volume

    @property
    def text(self) -> str:
        """The report as it stands."""
        return self._draft.text

    @property
    def edited(self) -> bool:
        """Whether the reader has changed the model's text."""
        return self._draft.edited

    @property
    def author(self) -> str:
        """Who wrote it, e.g. "draft by demo, edited, unsigned"; empty without text."""
        if not self._draft.text:
            return ""
        if not self._draft.author:
            return "written here, unsigned"
        edited = ", edited" if self._draft.edited else ""
        return f"draft by {self._draft.author}{edited}, unsigned"

    def enter(self, volume: Volume | None) -> None:
        """Put the report away and take up the one of another volume."""
        if self._volume is not None:
            self._left = (Stack.of(self._volume), self._draft)
        self._volume, self.offered = volume, None
        key = self.key = "" if volume is None else _key(volume)
        stack, draft = self._left
        grown = volume is not None and stack.grown_into(volume)
        if grown and draft.edited and key not in self._drafts:
            self._drafts[key] = replace(draft)
        self._draft = self._drafts.setdefault(key, Draft())
        self.changed.emit()

    def draft(self, key: str) -> Draft:
        """The report of a series that is or was open, by its key."""
        return self._drafts[key]

    def restore(self, key: str, kept: Draft) -> None:
        """Take up what was kept of a series; what the reader has typed meanwhile stays, below."""
        draft = self._drafts[key]
        if not draft.edited or draft.text.strip() in kept.text:
            draft.text, draft.author, draft.edited = kept.text, kept.author, kept.edited
        elif kept.text.strip() not in draft.text:
            draft.text = f"{kept.text.rstrip()}\n{draft.text}"
        self.changed.emit()

    def follow(self, turn: Turn) -> None:
        """Take over a report as it streams in; offer it only, if the reader has edited."""
        if not turn.is_report or turn.volume is None or turn.volume is not self._volume:
            return
        if self._draft.edited and turn is not self.offered:
            if turn.state is TurnState.DONE:
                self.offered = turn
                self.changed.emit()
            return
        self._take(turn)

    def accept(self) -> None:
        """Replace the edited text by the offered one."""
        if self.offered is not None:
            self._take(self.offered)

    def decline(self) -> None:
        """Keep the edited text."""
        self.offered = None
        self.changed.emit()

    def edit(self, text: str) -> None:
        """The reader typed; an emptied report is no longer an edited one."""
        if text != self._draft.text:
            self._draft.text = text
            self._draft.edited = bool(text.strip())
            self.changed.emit()

    def append(self, sentence: str) -> None:
        """Add a sentence of the reader's on a line of its own; nothing while no series is open."""
        if self._volume is not None:
            text = self._draft.text.rstrip()
            self.edit(f"{text}\n{sentence}" if text else sentence)

    def export(self) -> str:
        """The report for a file or the clipboard, marked as an unsigned draft."""
        about = "" if self._volume is None else f"Series: {self._volume.name}\n"
        return f"{HEADING}\n{about}({self.author})\n\n{self._draft.text.strip()}\n"

    def _take(self, turn: Turn) -> None:
        self.offered = None
        self._draft.text, self._draft.author = turn.text, turn.model
        self._draft.edited = False
        self.changed.emit()


def _key(volume: Volume) -> str:
    """A series, wherever it was opened from; without a name of its own, what lies in this place.

    Several files opened together share their place, and stacks of one series its UID.
    """
    place = "" if volume.info.series_uid else volume.source
    return f"{series_key(volume)} {place}"
