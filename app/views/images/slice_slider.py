"""A slider beside a view: where its slice is among all of them, and the way to another one."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QScrollBar

from app.views.images.slice_view import SliceView
from app.views.parts import theme

#: On the dark ground of images in both themes.
LOOK = f"""
    QScrollBar {{ background: {theme.DARK.window}; border: 0; width: 10px; }}
    QScrollBar::handle {{ background: {theme.DARK.line}; border-radius: 3px; margin: 2px;
                         min-height: 18px; }}
    QScrollBar::handle:hover {{ background: {theme.DARK.accent}; }}
    QScrollBar:focus {{ border-left: 2px solid {theme.DARK.accent}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
"""


class SliceSlider(QScrollBar):
    """The slices of one view, the first one at the top."""

    def __init__(self, view: SliceView) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self._view = view
        self.setStyleSheet(LOOK)
        # Its ground is filled: what lies below it need not be painted for every slice.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSingleStep(1)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.valueChanged.connect(self._go)
        viewer = view.viewer
        for signal in (viewer.volume_changed, viewer.slices_changed, viewer.turned):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the slice of the view."""
        state = self._view.state
        self.setAccessibleName(f"Slices of the {self._view.plane} view")
        self.setEnabled(state is not None)
        if state is None:
            return
        at, last = state.slice_index, state.count - 1
        if (self.value(), self.maximum()) != (at, last):
            with QSignalBlocker(self):
                self.setRange(0, last)
                self.setPageStep(max(1, state.count // 10))
                self.setValue(at)

    def _go(self, slice_index: int) -> None:
        self._view.viewer.activate(self._view.plane)
        self._view.viewer.go_to_shown(self._view.plane, slice_index)
