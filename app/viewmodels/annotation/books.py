"""What is drawn on the open series and on the one beside it, and which of the two is in the hand.

Knows no widgets and no viewers.
"""

from __future__ import annotations

from app.viewmodels.annotation.annotations import Annotations, Unkept
from app.viewmodels.annotation.drawing import Drawing
from app.viewmodels.core.signal import Signal


class Books:
    """The annotations of the open series and of the series beside it.

    At most one of them has a selection. `in_hand` is the one that was drawn in or chosen last.
    """

    def __init__(self, first: Annotations, second: Annotations) -> None:
        self.first, self.second = first, second
        self.drawing = {first: Drawing(first), second: Drawing(second)}
        self.in_hand = first
        self.changed: Signal[[]] = Signal()
        for mine, other in ((first, second), (second, first)):
            self._follow(mine, other)
        second.changed.connect(self._second_changed)

    @property
    def both(self) -> tuple[Annotations, ...]:
        """Those of the series on the screen."""
        return (self.first, self.second) if self.second.volume is not None else (self.first,)

    def take(self, book: Annotations) -> None:
        """Have another one in the hand."""
        if book is not self.in_hand:
            self.in_hand = book
            self.changed.emit()

    def hide(self) -> None:
        """Hide all that is drawn, or show it again."""
        hidden = not (self.first.hidden or self.second.hidden)
        for book in (self.first, self.second):
            book.hide(hidden=hidden)

    def cancel(self) -> None:
        """Give up what is being drawn on either side, else the selection."""
        for drawing in self.drawing.values():
            drawing.cancel()

    @property
    def busy(self) -> bool:
        """Whether something is being drawn or moved."""
        return any(drawing.busy for drawing in self.drawing.values())

    async def saved(self) -> None:
        """Wait until every change is saved or its failure is reported."""
        await self.first.saved()
        await self.second.saved()

    @property
    def saving(self) -> bool:
        """Whether anything is not on the disk yet."""
        return self.first.saving or self.second.saving

    @property
    def unkept(self) -> tuple[Unkept, ...]:
        """What was drawn on either side and could not be saved."""
        return self.first.unkept + self.second.unkept

    def _follow(self, mine: Annotations, other: Annotations) -> None:
        def selected() -> None:
            if mine.selected is not None:
                other.select(None)
                self.take(mine)

        mine.selection_changed.connect(selected)

    def _second_changed(self) -> None:
        if self.second.volume is None:
            self.take(self.first)
