"""The draft report of the open volume: text from the model, corrected by the reader. No widgets.

A report belongs to one series: opening another one puts it away, opening the first again brings it
back. A draft of the model's is taken over when it is complete; one that was stopped is offered, and
marked as partial where the reader takes it. Text that the reader has changed is never replaced
without being asked, can be brought back, and stays with a series that has grown since, as one does
whose folder was still being scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.core.identity import Stack, place_key
from app.viewmodels.core.patients import about
from app.viewmodels.core.signal import Signal
from app.viewmodels.report.difference import Change, difference
from app.viewmodels.report.draft import Draft, Version
from med2e3.volume import Volume

#: Stands over every exported report, and what follows it where a model wrote of the text.
HEADING = "DRAFT — NOT SIGNED."
BY_A_MODEL = "Text by a research model; it must be checked against the images."

#: Stands below the heading of a report with text of an unfinished draft.
PARTIAL = "PARTIAL — NOT COMPLETE. The draft stopped before its end; the rest is missing."


def draft_text(turn: Turn) -> str:
    """The text of a draft as the report takes it over: led by what has to be said of it."""
    return "\n".join([*turn.cautions, turn.text])


class Report:
    """The text of the draft report and where it comes from."""

    def __init__(self, clock: Callable[[], datetime] = datetime.now) -> None:
        """`clock` tells the time that an exported report carries."""
        self._clock = clock
        self._drafts: dict[str, Draft] = {}
        self._choices: dict[str, tuple[Turn | None, Version | None]] = {}
        self._draft = Draft()
        self._volume: Volume | None = None
        #: The sentence last written of each measurement, by the measurement's identifier.
        self._noted: dict[str, str] = {}
        self.key = ""
        self._left: tuple[Stack, Draft] = (Stack(), self._draft)
        #: The draft that the model is writing now.
        self.arriving: Turn | None = None
        #: A draft that the reader may take: over edited text, or one that is not complete.
        self.offered: Turn | None = None
        #: The text that was replaced last; None once the reader has typed on.
        self.before: Version | None = None
        #: Counts the texts that came from elsewhere, a series or a file: undo never goes behind.
        self.loads = 0
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
    def partial(self) -> bool:
        """Whether the text is part of a draft that the model did not finish."""
        return self._draft.partial

    @property
    def earlier(self) -> tuple[Version, ...]:
        """What the reader wrote and was replaced, the latest last."""
        return self._draft.earlier

    @property
    def author(self) -> str:
        """Who wrote it, e.g. "draft by demo, edited, unsigned"; empty without text."""
        if not self._draft.text:
            return ""
        partial = ", partial" if self._draft.partial else ""
        if not self._draft.author:
            return f"written here{partial}, unsigned"
        edited = ", edited" if self._draft.edited else ""
        return f"draft by {self._draft.author}{partial}{edited}, unsigned"

    # --- series ------------------------------------------------------------------------------

    def enter(self, volume: Volume | None) -> None:
        """Put the report away and take up the one of another volume."""
        if self._volume is not None:
            self._left = (Stack.of(self._volume), self._draft)
            self._choices[self.key] = (self.offered, self.before)
        self._volume, self.arriving = volume, None
        key = self.key = "" if volume is None else place_key(volume)
        stack, draft = self._left
        grown = volume is not None and stack.grown_into(volume)
        if grown and draft.worth_keeping and key not in self._drafts:
            self._drafts[key] = replace(draft)
        self._draft = self._drafts.setdefault(key, Draft())
        self.offered, self.before = self._choices.get(key, (None, None))
        self._loaded()

    def draft(self, key: str) -> Draft:
        """The report of a series that is or was open, by its key."""
        return self._drafts[key]

    def restore(self, key: str, saved: Draft) -> None:
        """Take up what was saved of a series; what the reader has typed meanwhile stays, below."""
        self._drafts[key].take_saved(saved)
        self._loaded()

    # --- drafts of the model -----------------------------------------------------------------

    def follow(self, turn: Turn) -> None:
        """Take over a complete draft; offer it only, if the reader has edited or it was stopped."""
        if not turn.is_report or turn.volume is None or turn.volume is not self._volume:
            return
        if turn.running:
            if turn is not self.arriving:  # its text is shown in the conversation, as it comes
                self.arriving = turn
                self.changed.emit()
            return
        self.arriving = None
        if turn.complete and not self._draft.edited:
            self._take(turn)
            return
        better = turn.complete or self.offered is None or not self.offered.complete
        if turn.text.strip() and better:
            self.offered = turn
        self.changed.emit()

    def accept(self) -> None:
        """Replace the text by the offered draft; the reader's own can be brought back."""
        if self.offered is not None:
            self._take(self.offered)

    def decline(self) -> None:
        """Keep the text as it is."""
        self.offered = None
        self.changed.emit()

    @property
    def offer(self) -> tuple[Change, ...]:
        """What the offered draft would change."""
        return () if self.offered is None else difference(self.text, draft_text(self.offered))

    # --- versions ----------------------------------------------------------------------------

    @property
    def can_bring_back(self) -> bool:
        """Whether the reader's text was replaced last, and nothing was typed since."""
        return self.before is not None and self.before.edited

    @property
    def replaced(self) -> tuple[Change, ...]:
        """What replacing the reader's text has changed."""
        return () if self.before is None else difference(self.before.text, self.text)

    def bring_back(self) -> None:
        """Put the text that was replaced last in its place again."""
        if self.before is not None:
            self._exchange(self.before)

    def choose(self, version: Version) -> None:
        """Put an earlier version in the place of the text, which can be brought back."""
        self._exchange(version)

    # --- the reader --------------------------------------------------------------------------

    def edit(self, text: str) -> None:
        """The reader typed, or undid a replacement; an emptied report is no edited one."""
        if text == self._draft.text:
            return
        if self.before is not None and text == self.before.text:
            self._exchange(self.before)
            return
        self.before = None
        self._draft.text = text
        self._draft.edited = bool(text.strip())
        self._draft.partial = self._draft.partial and self._draft.edited
        self.changed.emit()

    def complete(self) -> None:
        """The reader has written what was missing of a partial draft."""
        self._draft.partial, self._draft.edited = False, True
        self.changed.emit()

    def note(self, sentences: Mapping[str, str]) -> str:
        """Take over sentences about what was drawn, by its identifier; what became of them.

        A sentence that stands there already is not written twice. One whose measurement has changed
        takes the place of the earlier one, unless the reader has changed that.
        """
        if self._volume is None:
            return ""
        added = changed = 0
        for uid, sentence in sentences.items():
            lines, before = self._draft.text.split("\n"), self._noted.get(uid)
            self._noted[uid] = sentence
            if sentence in lines:
                continue
            if before in lines:
                lines[lines.index(before)] = sentence
                self.edit("\n".join(lines))
                changed += 1
            else:
                self.append(sentence)
                added += 1
        told = (f"{added} added" if added else "", f"{changed} brought up to date" * bool(changed))
        words = " and ".join(filter(None, told))
        return f"{words} in the report." if words else "In the report already."

    def append(self, sentence: str) -> None:
        """Add a sentence of the reader's on a line of its own; nothing while no series is open."""
        if self._volume is not None:
            text = self._draft.text.rstrip()
            self.edit(f"{text}\n{sentence}" if text else sentence)

    def export(self) -> str:
        """The report for a file or the clipboard: what it is about, how far it is done, its text.

        It names patient, study, series, the model that wrote of it, and the time of the export.
        """
        draft = self._draft
        lines = [f"{HEADING} {BY_A_MODEL}" if draft.author else HEADING]
        lines += [PARTIAL] if draft.partial else []
        lines += [] if self._volume is None else about(self._volume)
        lines += [f"Model: {draft.author}"] if draft.author else []
        lines += [f"Exported: {self._clock():%Y-%m-%d %H:%M}", f"({self.author})"]
        return "\n".join(lines) + f"\n\n{draft.text.strip()}\n"

    def _take(self, turn: Turn) -> None:
        self.offered = None
        old, mine = self._draft.version, self.before
        self._draft.replace_by(Version(draft_text(turn), turn.model, partial=not turn.complete))
        # The reader's text can be brought back also when the model has drafted twice since.
        self.before = mine if mine is not None and mine.edited and not old.edited else old
        self.changed.emit()

    def _exchange(self, new: Version) -> None:
        self.before = self._draft.version
        self._draft.replace_by(new)
        self.changed.emit()

    def _loaded(self) -> None:
        self.loads += 1
        self.changed.emit()
