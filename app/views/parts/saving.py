"""Asks where to save exported texts and files, without blocking, and hands them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.viewmodels.window.workspace import Exporter


class Saver:
    """Save dialogs that leave the window alive; `exporter` writes the files."""

    def __init__(self, parent: QWidget, exporter: Exporter) -> None:
        self._parent = parent
        self._exporter = exporter

    def ask(self, name: str, text: str) -> QFileDialog:
        """Open the dialog with a suggested name; the text is the one of this moment."""
        dialog = QFileDialog(self._parent, "Save", name)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.selectFile(name)
        dialog.fileSelected.connect(lambda path: self._exporter.start(Path(path), text))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def ask_folder(
        self, title: str, files: Callable[[], Mapping[str, bytes]], what: str
    ) -> QFileDialog:
        """Open the dialog for a folder; the files are those of the moment when it is chosen.

        `what` a file is called in the notice that counts them.
        """
        dialog = QFileDialog(self._parent, title)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(
            lambda folder: self._exporter.start_all(Path(folder), files(), what)
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog
