"""Asks for a file or a folder in a dialog that leaves the window alive. Reads and writes nothing.

Each function opens a dialog at once and returns it; what was chosen is told later, if anything was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

#: Told what was chosen.
Chosen = Callable[[Path], object]


def ask_for_file(
    parent: QWidget, title: str, chosen: Chosen, *, start: str = "", types: str = ""
) -> QFileDialog:
    """Ask for a file to open; `types` are Qt's name filters, `start` the folder shown first."""
    dialog = QFileDialog(parent, title, start, types)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    return _opened(dialog, chosen)


def ask_for_folder(parent: QWidget, title: str, chosen: Chosen, *, start: str = "") -> QFileDialog:
    """Ask for a folder; `start` is the one shown first."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    return _opened(dialog, chosen)


def ask_where_to_save(parent: QWidget, name: str, chosen: Chosen) -> QFileDialog:
    """Ask for a file to write; `name` is suggested, and the dialog asks before one is replaced."""
    dialog = QFileDialog(parent, "Save", name)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.selectFile(name)
    return _opened(dialog, chosen)


class Saver:
    """Asks where to save a text, then hands both to `save`, which writes the file."""

    def __init__(self, parent: QWidget, save: Callable[[Path, str], object]) -> None:
        self._parent = parent
        self._save = save

    def ask(self, name: str, text: str) -> QFileDialog:
        """Open the dialog with a suggested name; the text is the one of this moment."""
        return ask_where_to_save(self._parent, name, lambda path: self._save(path, text))


def _opened(dialog: QFileDialog, chosen: Chosen) -> QFileDialog:
    dialog.fileSelected.connect(lambda path: chosen(Path(path)))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
