"""The button with the menu of what something can be exported as. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QToolButton

from app.viewmodels.core.exporting import ExportFormat, FilesFormat, MadeFormat
from app.views.parts.file_dialogs import Saver

Subject = TypeVar("Subject")


def export_button(
    formats: Sequence[ExportFormat[Subject]], subject: Callable[[], Subject | None], saver: Saver
) -> QToolButton:
    """A button with one entry a format; `subject` is asked for what is exported, None: nothing."""
    button = QToolButton()
    button.setText("Export")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    menu = QMenu(button)
    for one in formats:
        menu.addAction(one.title).triggered.connect(partial(_export, one, subject, saver))
    button.setMenu(menu)
    return button


def _export(
    one: ExportFormat[Subject],
    subject: Callable[[], Subject | None],
    saver: Saver,
    checked: bool = False,  # Qt's argument of `triggered`
) -> None:
    if isinstance(one, FilesFormat):

        def files() -> dict[str, bytes]:
            what = subject()
            return {} if what is None else dict(one.write(what))

        saver.ask_folder(one.ask, files, one.what)
        return
    what = subject()
    if what is None:
        return
    if isinstance(one, MadeFormat):
        saver.ask(one.file_name, one.write(what), types=one.types)
    elif one.file_name:
        saver.ask(one.file_name, one.write(what))
    else:
        QGuiApplication.clipboard().setText(one.write(what))
