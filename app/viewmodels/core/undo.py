"""Undo and redo of everything a reader changes on a series, in the order in which it was done.

What is drawn keeps its own history, which outlives the closing of a series (`annotation.book`);
here its steps stand between those of the window and of the overlays. Those of the last two belong
to the open volume: another one begins without any. Knows no widgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.history import MOST_STEPS
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.overlays import BoxMark, Layer, Overlays
from app.viewmodels.images.viewer import Viewer
from med2e3.volume import Volume

#: Attributes of a layer that a slider moves: many changes in a row are one step.
SLID = {"opacity": "opacity", "low": "threshold", "high": "threshold"}

#: What other changes of a layer are called.
DOING = {"visible": "show or hide", "hidden": "show or hide a label", "colours": "colours"}


@dataclass(frozen=True)
class Step:
    """Something done, and how to take it back; steps in a row with one `key` are one."""

    name: str
    undo: Callable[[], object]
    redo: Callable[[], object]
    key: object = None


class Steps:
    """What was done on the open volume, and what was taken back of it."""

    def __init__(self, viewer: Viewer, annotations: Annotations, overlays: Overlays) -> None:
        self._viewer = viewer
        self._book = annotations
        self._overlays = overlays
        self._past: list[Step] = []
        self._future: list[Step] = []
        self._about: Volume | None = None
        self._busy = False
        self._greys = viewer.greys
        self._over = (overlays.layers, overlays.boxes)
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._enter)
        viewer.window_changed.connect(self._window_changed)
        overlays.changed.connect(self._overlays_changed)
        annotations.committed.connect(self._committed)
        annotations.changed.connect(self.changed.emit)

    @property
    def undo_name(self) -> str:
        """What `undo` would take back; empty: nothing, as while another series opens."""
        if self._is_foreign:
            return ""
        return self._past[-1].name if self._past else self._book.undo_name

    @property
    def redo_name(self) -> str:
        """What `redo` would do again; empty: nothing, as while another series opens."""
        if self._is_foreign:
            return ""
        if self._future:
            return self._future[-1].name
        return "" if self._past else self._book.redo_name

    def undo(self) -> None:
        """Take the last step back; before those of today, what was drawn on the series earlier."""
        if not self.undo_name:
            return
        if not self._past:
            self._past.append(self._drawn(self._book.undo_name))
        step = self._past.pop()
        self._future.append(step)
        self._quietly(step.undo)

    def redo(self) -> None:
        """Do again what was taken back last."""
        if not self.redo_name:
            return
        if not self._future:
            self._future.append(self._drawn(self._book.redo_name))
        step = self._future.pop()
        self._past.append(step)
        self._quietly(step.redo)

    @property
    def _is_foreign(self) -> bool:
        """Whether another volume is on the screen than the one whose steps these are."""
        return self._viewer.volume is not self._about

    # --- what is done ------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        if step.key is not None and self._past and self._past[-1].key == step.key:
            first = self._past.pop()
            step = Step(step.name, first.undo, step.redo, step.key)
        self._past.append(step)
        del self._past[:-MOST_STEPS]
        self._future.clear()
        self.changed.emit()

    def _quietly(self, act: Callable[[], object]) -> None:
        """What follows from going back is no step of its own."""
        self._busy = True
        try:
            act()
        finally:
            self._busy = False
        self.changed.emit()

    def _drawn(self, name: str) -> Step:
        return Step(name, self._book.undo, self._book.redo)

    def _committed(self) -> None:
        if not self._busy:
            self._take(self._drawn(self._book.undo_name))

    def _enter(self) -> None:
        self._greys = self._viewer.greys
        if self._viewer.open_volume is not self._about:
            self._about = self._viewer.open_volume
            self._over = (self._overlays.layers, self._overlays.boxes)
            self._past, self._future = [], []
            self.changed.emit()

    def _window_changed(self) -> None:
        before, after = self._greys, self._viewer.greys
        self._greys = after
        # The window that a series is hung with is how it opens, and nothing that was done.
        hung = not self._past and not self._future and after == self._viewer.first_greys
        if before == after or self._is_foreign or hung or self._busy:
            return
        viewer = self._viewer
        key = ("window", viewer.drags) if viewer.dragging_window else None
        name = "window" if before.window != after.window else "invert or colours"
        self._take(
            Step(name, lambda: viewer.show_greys(before), lambda: viewer.show_greys(after), key)
        )

    def _overlays_changed(self) -> None:
        before, after = self._over, (self._overlays.layers, self._overlays.boxes)
        self._over = after
        if (
            before == after
            or self._is_foreign
            or self._busy
            or _of_answers(before) != _of_answers(after)
        ):
            return
        overlays, (name, key) = self._overlays, _what_changed(before, after)
        self._take(
            Step(name, lambda: overlays.restore(*before), lambda: overlays.restore(*after), key)
        )


Over = tuple[tuple[Layer, ...], tuple[BoxMark, ...]]


def _of_answers(over: Over) -> list[int]:
    """What an answer drew, whatever of it is shown: it comes and goes with the answer."""
    layers, boxes = over
    return [*(id(x.voxels) for x in layers if x.of_answer), *(id(b.corners_mm) for b in boxes)]


def _what_changed(before: Over, after: Over) -> tuple[str, object]:
    """In words, and the key of a slider that moved."""
    old = {id(layer.voxels): layer for layer in before[0]}
    new = {id(layer.voxels): layer for layer in after[0]}
    for one in new.keys() - old.keys():
        return f"overlay {new[one].name}", None
    for one in old.keys() - new.keys():
        return f"remove overlay {old[one].name}", None
    for one, layer in new.items():
        for name, words in SLID.items():
            if getattr(layer, name) != getattr(old[one], name):
                return f"{words} of {layer.name}", (words, one)
        for name, words in DOING.items():
            if getattr(layer, name) != getattr(old[one], name):
                return f"{words}: {layer.name}", None
    return "show or hide a box", None
