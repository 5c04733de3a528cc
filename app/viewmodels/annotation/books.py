"""What is drawn on the open series and on those beside it, and which of them is in the hand.

Knows no widgets.
"""

from __future__ import annotations

from app.viewmodels.annotation.annotations import Annotations, Unkept
from app.viewmodels.annotation.drawing import Drawing
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.viewer import Viewer


class Books:
    """The annotations of the open series, of the series beside it, and of further ones.

    At most one of them has a selection. `in_hand` is the one that was drawn in or chosen last.
    """

    def __init__(self, first: Annotations, second: Annotations, *more: Annotations) -> None:
        self.first, self.second = first, second
        #: Those of all cells, whether they show a series or not.
        self.all = (first, second, *more)
        self.drawing = {book: Drawing(book) for book in self.all}
        self.in_hand = first
        self.changed: Signal[[]] = Signal()
        for mine in self.all:
            self._follow(mine)
        for beside in self.all[1:]:
            beside.changed.connect(self._beside_changed)

    @property
    def both(self) -> tuple[Annotations, ...]:
        """Those of the series on the screen, the open one first."""
        beside = (book for book in self.all[1:] if book.volume is not None)
        return (self.first, *beside)

    def of(self, viewer: Viewer) -> Annotations:
        """Those of the series that a viewer shows."""
        return next((book for book in self.all if book.viewer is viewer), self.first)

    def take(self, book: Annotations) -> None:
        """Have another one in the hand."""
        if book is not self.in_hand:
            self.in_hand = book
            self.changed.emit()

    def hide(self) -> None:
        """Hide all that is drawn, or show it again."""
        hidden = not any(book.hidden for book in self.all)
        for book in self.all:
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
        for book in self.all:
            await book.saved()

    @property
    def saving(self) -> bool:
        """Whether anything is not on the disk yet."""
        return any(book.saving for book in self.all)

    @property
    def unkept(self) -> tuple[Unkept, ...]:
        """What was drawn on either side and could not be saved."""
        return tuple(one for book in self.all for one in book.unkept)

    def _follow(self, mine: Annotations) -> None:
        def selected() -> None:
            if mine.selected is not None:
                for other in self.all:
                    if other is not mine:
                        other.select(None)
                self.take(mine)

        mine.selection_changed.connect(selected)

    def _beside_changed(self) -> None:
        if self.in_hand.volume is None:
            self.take(self.first)
