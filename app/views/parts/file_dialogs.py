"""Asks for a file or a folder in a dialog that leaves the window alive. Reads and writes nothing.

Each function opens a dialog at once and returns it; what was chosen is told later, if anything was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QFileInfo
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFileDialog, QFileIconProvider, QToolButton, QWidget

from app.viewmodels.core.exporting import Content, MakeFile
from app.viewmodels.window.workspace import Exporter
from app.views.parts.icons import dress, icon

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


def ask_where_to_save(
    parent: QWidget, name: str, chosen: Chosen, *, types: str = ""
) -> QFileDialog:
    """Ask for a file to write; `name` is suggested, and the dialog asks before one is replaced.

    `types` are Qt's name filters, where there is a choice: then a name without a suffix gets that
    of `name`.
    """
    dialog = QFileDialog(parent, "Save", name, types)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    if types:
        dialog.setDefaultSuffix(Path(name).suffix[1:])
    dialog.selectFile(name)
    return _opened(dialog, chosen)


class Saver:
    """Asks where to save exported texts and files; `exporter` writes them.

    `stem` is what their names begin with: files of two patients never have one name.
    """

    def __init__(self, parent: QWidget, exporter: Exporter, stem: Callable[[], str] = str) -> None:
        self._parent = parent
        self._exporter = exporter
        self._stem = stem

    def named(self, name: str) -> str:
        """A file name of the series that is open."""
        return "-".join(filter(None, (self._stem(), name)))

    def ask(self, name: str, content: Content, *, types: str = "") -> QFileDialog:
        """Open the dialog with a suggested name; the content is that of this moment.

        `types` are as in `ask_where_to_save`.
        """
        return ask_where_to_save(
            self._parent,
            self.named(name),
            lambda path: self._exporter.start(path, content),
            types=types,
        )

    def ask_folder(
        self, title: str, files: Callable[[], Mapping[str, bytes]], what: str
    ) -> QFileDialog:
        """Open the dialog for a folder; the files are those of the moment when it is chosen.

        `what` a file is called in the notice that counts them.
        """
        return ask_for_folder(
            self._parent,
            title,
            lambda folder: self._exporter.start_all(
                folder, {self.named(name): data for name, data in files().items()}, what
            ),
        )

    def ask_folder_for(self, title: str, make: MakeFile) -> QFileDialog:
        """Open the dialog for a folder that `make` writes files into, apart from the window."""
        exporter = self._exporter
        return ask_for_folder(self._parent, title, lambda folder: exporter.start(folder, make))


#: Icons of the buttons of Qt's own dialog, by the names of the buttons.
BUTTONS = {
    "backButton": "back", "forwardButton": "forward", "toParentButton": "up",
    "newFolderButton": "new_folder", "listModeButton": "list", "detailModeButton": "details",
}  # fmt: skip


class FileIcons(QFileIconProvider):
    """Folders and files in the icons of the rest of the window."""

    def icon(self, info: QFileIconProvider.IconType | QFileInfo) -> QIcon:
        """The icon of a file, or of a kind of place."""
        is_file = info == QFileIconProvider.IconType.File
        if isinstance(info, QFileInfo):
            is_file = not info.isDir()
        return icon("file" if is_file else "folder")


#: The one provider: dialogs do not own it.
FILE_ICONS = FileIcons()


def _opened(dialog: QFileDialog, chosen: Chosen) -> QFileDialog:
    dialog.setIconProvider(FILE_ICONS)
    for name, symbol in BUTTONS.items():  # the system's own dialog has none of these
        if (button := dialog.findChild(QToolButton, name)) is not None:
            dress(button, symbol)
    dialog.fileSelected.connect(lambda path: chosen(Path(path)))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
