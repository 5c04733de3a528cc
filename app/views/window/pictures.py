"""Pictures of views: to the clipboard, to a file, all slices of a view as pictures or as one film.

What is seen is what is saved, with overlays, measurements and texts; films are of the slices alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QRect
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QWidget

from app.rendering.slices import Slices
from app.viewmodels.core.exporting import MakeFile
from app.viewmodels.window.workspace import Workspace
from app.views.images.slice_view import SliceView
from app.views.parts.file_dialogs import Saver
from app.views.window.centre import Centre
from med2e3.errors import InputError

#: Kinds of file for one picture, and for a film, as name filters of a dialog.
PICTURES, FILM = "PNG (*.png);;JPEG (*.jpg)", "GIF (*.gif);;MP4 (*.mp4)"

#: Quality of JPEG, at which text over an image stays clean.
QUALITY = 92

#: Milliseconds.
A_SECOND = 1000


class Pictures:
    """Makes the pictures of one window."""

    def __init__(self, workspace: Workspace, centre: Centre, saver: Saver) -> None:
        self._workspace = workspace
        self._centre = centre
        self._saver = saver

    def commands(self) -> dict[str, Callable[[], object]]:
        """What each command about pictures does."""
        return {
            "copy_view": self.copy,
            "save_view": lambda: self._save(self.view(), "view.png"),
            "save_layout": lambda: self._save(self._centre, "views.png"),
            "save_slices": self.save_slices,
            "save_cine": self.save_film,
        }

    def view(self) -> SliceView:
        """The view that the keys act on."""
        together = self._workspace.side_by_side
        if together.active:
            return self._centre.compare.views[together.pointed]
        return self._centre.cells[self._workspace.viewer.active].view

    def copy(self) -> None:
        """The view as it is seen, on the clipboard."""
        QGuiApplication.clipboard().setPixmap(self.view().grab())

    def _save(self, widget: QWidget, name: str) -> None:
        picture = widget.grab(QRect(widget.rect()))
        self._saver.ask(name, _writer(picture), types=PICTURES)

    def save_slices(self) -> None:
        """Every stored slice of the plane, in its window and colours, as PNG files in a folder."""
        self._saver.ask_folder_for("Folder for the slices", self._slices().stack)

    def save_film(self) -> None:
        """The stored slices of the plane as one moving picture, at the speed of cine."""
        shown = self._slices()
        milliseconds = A_SECOND // self._workspace.cine.rate
        self._saver.ask(f"{shown.plane}.gif", partial(shown.film, milliseconds), types=FILM)

    def _slices(self) -> Slices:
        view = self.view()
        return Slices(view.viewer, view.viewer.planes[view.plane])


def _writer(picture: QPixmap) -> MakeFile:
    image = picture.toImage()

    def make(path: Path) -> str:
        if not image.save(str(path), None, QUALITY):
            raise InputError(
                f"The picture could not be written to {path}: the folder cannot be written, or the "
                "suffix names no format of pictures. Choose another place, or .png or .jpg."
            )
        return f"The picture was written to {path}."

    return make
