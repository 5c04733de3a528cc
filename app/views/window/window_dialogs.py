"""What a window offers about itself: palette, shortcuts, preferences, hint, full screen, theme.

Wires the widgets of those; the window only puts their commands into its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from app.viewmodels.window.palette import Palette
from app.viewmodels.window.preferences import PreferenceEditor
from app.viewmodels.window.workspace import Workspace
from app.views.parts import theme
from app.views.parts.accessible import name_all
from app.views.parts.icons import dress_again
from app.views.window.command_palette import CommandPalette
from app.views.window.preferences_dialog import PreferencesDialog
from app.views.window.shortcut_editor import ShortcutEditor
from app.views.window.window_values import WindowValues


class WindowDialogs:
    """The dialogs of one window. `commands` are what its palette runs, by name."""

    def __init__(
        self,
        window: QWidget,
        workspace: Workspace,
        commands: Mapping[str, Callable[[], object]],
    ) -> None:
        self._window = window
        self._workspace = workspace
        self.palette = CommandPalette(window, Palette(workspace), commands)
        self.editor = PreferenceEditor(workspace.settings)
        workspace.settings.changed.connect(self._preference_changed)
        #: The dialog that is open now.
        self.shown: QDialog | None = None

    def preferences(self) -> None:
        """Open the dialog of preferences; the images behind it follow at once."""
        self._open(PreferencesDialog(self._window, self.editor))

    def shortcuts(self) -> None:
        """Open the editor of shortcuts."""
        self._open(ShortcutEditor(self._window, self._workspace.shortcuts))

    def window_values(self) -> None:
        """Type width and level of the window of what the keys act on."""
        hand, settings = self._workspace.compare.hand, self._workspace.settings
        self._open(WindowValues(self._window, hand, settings))

    def swap_theme(self) -> None:
        """Change from the dark theme to the light one, or back, and keep it."""
        swapped = "light" if self.editor.value("theme") == "dark" else "dark"
        self.editor.set("theme", swapped)
        self.editor.keep()

    def full_screen(self) -> None:
        """Fill the screen with the window, or make it a window again."""
        self._window.setWindowState(self._window.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _preference_changed(self, name: str) -> None:
        if name in ("theme", "text_size"):
            self._dress()

    def _dress(self) -> None:
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        values = self._workspace.settings.values
        if theme.apply(application, values.theme, values.text_size):
            dress_again(self._window)

    def cover(self) -> None:
        """Keep the palette as large as the window."""
        self.palette.cover()

    def _open(self, dialog: QDialog) -> None:
        self.shown = dialog
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(self._closed)
        name_all(dialog)
        dialog.open()

    def _closed(self) -> None:
        self.shown = None
