"""Asks where to save a text, without blocking, and hands it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget


class Saver:
    """A save dialog that leaves the window alive; `save` writes the file."""

    def __init__(self, parent: QWidget, save: Callable[[Path, str], object]) -> None:
        self._parent = parent
        self._save = save

    def ask(self, name: str, text: str) -> QFileDialog:
        """Open the dialog with a suggested name; the text is the one of this moment."""
        dialog = QFileDialog(self._parent, "Save", name)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.selectFile(name)
        dialog.fileSelected.connect(lambda path: self._save(Path(path), text))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog
