"""Colours and fonts of the window: a dark reading room, and a light theme.

Images are the brightest thing on the dark screen; there is one accent colour. Knows no widgets of
the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFontMetrics, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from med2e3.resources import resource_path


@dataclass(frozen=True)
class Theme:
    """The colours of one theme, as #rrggbb."""

    window: str
    panel: str
    field: str
    line: str
    text: str
    dim: str
    accent: str
    on_accent: str
    warning: str
    error: str
    button: str


DARK = Theme(
    window="#17181a",
    panel="#1f2023",
    field="#141517",
    line="#34363a",
    text="#d8d9db",
    dim="#8f9297",
    accent="#54a7e6",
    on_accent="#0c1116",
    warning="#d9a84e",
    error="#e3716a",
    button="#2a2c30",
)

LIGHT = Theme(
    window="#e9eaec",
    panel="#f5f5f6",
    field="#ffffff",
    line="#c6c8cc",
    text="#1d1f22",
    dim="#62666c",
    accent="#1769aa",
    on_accent="#ffffff",
    warning="#8a5a00",
    error="#b3261e",
    button="#e2e3e6",
)

THEMES = {"dark": DARK, "light": LIGHT}

#: The application's property that remembers the size of text that the system gave it.
FIRST_POINTS = "first_points"

#: The application's property that remembers what was applied last: to apply it again costs 0.1 s.
APPLIED = "applied_theme"

#: Logical pixels of a line of text at the usual size, which sizes of dialogs are given at.
USUAL_HEIGHT = 14

#: Around images, in both themes: the eye adapts to it, not to the panels.
IMAGE_BACKGROUND = QColor(0, 0, 0)


def current() -> Theme:
    """The theme in use; panels that paint themselves take their colours from it."""
    application = QApplication.instance()
    name = application.property("theme") if application is not None else None
    return THEMES.get(str(name), DARK)


def grown(pixels: int) -> int:
    """A length in pixels that holds text, from its value at the usual size of text."""
    return round(pixels * QFontMetrics(QApplication.font()).height() / USUAL_HEIGHT)


def open_at(dialog: QWidget, width: int, height: int) -> None:
    """Size a dialog, from pixels at the usual size of text, to no more than its screen has."""
    room = dialog.screen().availableSize()
    dialog.resize(min(grown(width), room.width()), min(grown(height), room.height()))


def mark(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet asks for; the style is looked up again if it changed."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def apply(application: QApplication, name: str, text_percent: int = 100) -> bool:
    """Give the whole application a theme by its name in `THEMES`, and a size of text.

    Returns whether anything changed: icons are then to be drawn again.
    """
    wanted = f"{name} {text_percent}"
    if application.property(APPLIED) == wanted:
        return False
    theme = THEMES.get(name, DARK)
    application.setProperty(APPLIED, wanted)
    application.setProperty("theme", name)
    _size_text(application, text_percent)
    application.setStyle("Fusion")
    application.setPalette(_palette(theme))
    application.setStyleSheet(_style_sheet(theme))
    return True


def _size_text(application: QApplication, percent: int) -> None:
    """Text in percent of the size that the application started with."""
    first = application.property(FIRST_POINTS) or application.font().pointSizeF()
    application.setProperty(FIRST_POINTS, first)
    points = first * percent / 100
    if points > 0 and abs(application.font().pointSizeF() - points) > 0.05:
        font = application.font()
        font.setPointSizeF(points)
        application.setFont(font)


def _palette(theme: Theme) -> QPalette:
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette()
    colours = {
        role.Window: theme.window,
        role.WindowText: theme.text,
        role.Base: theme.field,
        role.AlternateBase: theme.panel,
        role.ToolTipBase: theme.panel,
        role.ToolTipText: theme.text,
        role.Text: theme.text,
        role.PlaceholderText: theme.dim,
        role.Button: theme.button,
        role.ButtonText: theme.text,
        role.BrightText: theme.error,
        role.Link: theme.accent,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Light: theme.line,
        role.Midlight: theme.line,
        role.Mid: theme.line,
        role.Dark: theme.field,
        role.Shadow: theme.field,
        role.Accent: theme.accent,
    }
    for name, colour in colours.items():
        palette.setColor(name, QColor(colour))
    for name in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, name, QColor(theme.dim))
    return palette


#: The sign of Qt's own warnings; style sheets take files.
_WARNING = (resource_path("icons") / "warning.svg").as_posix()


def _tick(theme: Theme) -> str:
    """The tick of a box, in the colour that is legible on the accent; style sheets take files."""
    name = "tick_white" if theme.on_accent == "#ffffff" else "tick_black"
    return (resource_path("icons") / f"{name}.svg").as_posix()


def _chevron(way: str = "") -> str:
    """The arrow of a box with choices or numbers, in a grey that is seen in both themes."""
    return (resource_path("icons") / f"chevron{way}.svg").as_posix()


def _style_sheet(theme: Theme) -> str:
    return f"""
    QToolTip {{ background: {theme.panel}; color: {theme.text};
                border: 1px solid {theme.line}; padding: 4px; }}
    QToolBar {{ background: {theme.panel}; border: 0; border-bottom: 1px solid {theme.line};
                spacing: 2px; padding: 3px 6px; }}
    QToolBar::separator {{ background: {theme.line}; width: 1px; margin: 5px 6px; }}
    QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 4px 6px; }}
    QToolButton[narrow="true"] {{ padding: 4px 3px; }}
    QToolButton:hover {{ background: {theme.button}; }}
    QToolButton:checked {{ background: {theme.button}; border-color: {theme.accent}; }}
    QToolButton:focus {{ border-color: {theme.accent}; }}
    QToolButton[popupMode="1"] {{ padding-right: 12px; }}
    QToolButton[popupMode="2"] {{ padding-right: 15px; }}
    QToolButton::menu-button {{ border: 0; width: 14px; }}
    QToolButton::menu-arrow, QToolButton::menu-indicator {{ image: url({_chevron()});
                 width: 10px; height: 10px; }}
    QToolButton::menu-indicator {{ subcontrol-origin: border; right: 3px;
                 subcontrol-position: right center; }}
    QToolButton:pressed {{ background: {theme.line}; }}
    QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QMessageBox {{ messagebox-warning-icon: url({_WARNING}); }}
    QStatusBar {{ background: {theme.panel}; border-top: 1px solid {theme.line}; }}
    QStatusBar::item {{ border: 0; }}
    QSplitter::handle {{ background: {theme.window}; }}
    QSplitter::handle:hover {{ background: {theme.accent}; }}
    QPushButton {{ background: {theme.button}; border: 1px solid {theme.line};
                   border-radius: 4px; padding: 4px 10px; }}
    QPushButton:hover {{ border-color: {theme.accent}; }}
    QPushButton:pressed {{ background: {theme.line}; }}
    QPushButton:disabled {{ color: {theme.dim}; border-color: {theme.button}; }}
    QPushButton:focus {{ border-color: {theme.accent}; }}
    QPushButton[recent="true"] {{ background: transparent; border-color: transparent; padding: 0; }}
    QPushButton[recent="true"]:hover {{ background: {theme.button}; }}
    QPushButton[recent="true"]:focus {{ border-color: {theme.accent}; }}
    QPushButton[ready="true"] {{ padding: 4px 3px; }}
    QPushButton[primary="true"] {{ background: {theme.accent}; color: {theme.on_accent};
                                   border-color: {theme.accent}; }}
    QPushButton[primary="true"]:disabled {{ background: {theme.button}; color: {theme.dim};
                                            border-color: {theme.line}; }}
    QLineEdit, QPlainTextEdit {{ background: {theme.field}; border: 1px solid {theme.line};
                 border-radius: 4px; padding: 4px 6px; selection-background-color: {theme.accent};
                 selection-color: {theme.on_accent}; }}
    QLineEdit:focus, QPlainTextEdit:focus {{ border-color: {theme.accent}; }}
    QComboBox {{ background: {theme.button}; border: 1px solid {theme.line};
                 border-radius: 4px; padding: 3px 2px 3px 6px; combobox-popup: 0; }}
    QComboBox:hover, QComboBox:focus {{ border-color: {theme.accent}; }}
    QComboBox:disabled {{ color: {theme.dim}; border-color: {theme.button}; }}
    QComboBox QAbstractItemView {{ background: {theme.panel}; color: {theme.text}; outline: 0;
                 border: 1px solid {theme.line}; selection-background-color: {theme.accent};
                 selection-color: {theme.on_accent}; }}
    QComboBox QAbstractItemView::item {{ padding: 3px 6px; }}
    QComboBox QAbstractItemView::item:hover, QComboBox QAbstractItemView::item:selected {{
                 background: {theme.accent}; color: {theme.on_accent}; }}
    QComboBox::drop-down {{ border: 0; width: 18px; }}
    QComboBox::down-arrow {{ image: url({_chevron()}); width: 10px; height: 10px; }}
    QAbstractSpinBox {{ background: {theme.field}; border: 1px solid {theme.line};
                border-radius: 4px; padding: 2px 20px 2px 6px;
                selection-background-color: {theme.accent}; selection-color: {theme.on_accent}; }}
    QAbstractSpinBox:focus, QAbstractSpinBox:hover {{ border-color: {theme.accent}; }}
    QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{
                subcontrol-origin: border; width: 18px; border: 0; background: transparent; }}
    QAbstractSpinBox::up-button {{ subcontrol-position: top right; }}
    QAbstractSpinBox::down-button {{ subcontrol-position: bottom right; }}
    QAbstractSpinBox::up-arrow {{
                image: url({_chevron("_up")}); width: 10px; height: 10px; top: 2px; }}
    QAbstractSpinBox::down-arrow {{
                image: url({_chevron()}); width: 10px; height: 10px; bottom: 2px; }}
    QSlider::groove:horizontal {{ height: 3px; background: {theme.line}; border-radius: 1px; }}
    QSlider::sub-page:horizontal {{ background: {theme.accent}; border-radius: 1px; }}
    QSlider::handle:horizontal {{ width: 10px; height: 10px; margin: -4px 0; border-radius: 5px;
                background: {theme.text}; }}
    QSlider::handle:horizontal:focus {{ border: 1px solid {theme.accent}; margin: -5px -1px;
                border-radius: 6px; }}
    QHeaderView::section {{ background: {theme.panel}; color: {theme.dim}; border: 0;
                 border-bottom: 1px solid {theme.line}; padding: 2px 6px; }}
    QTabWidget::pane {{ border: 0; border-top: 1px solid {theme.line}; }}
    QTabBar::tab {{ padding: 5px 12px; color: {theme.dim}; background: transparent;
                    border: 0; border-bottom: 2px solid transparent; }}
    QTabBar[narrow="true"]::tab {{ padding: 5px 4px; }}
    QTabBar::tab:selected {{ color: {theme.text}; border-bottom-color: {theme.accent}; }}
    QTabBar::tab:selected:focus {{ border-bottom-color: {theme.text}; }}
    QScrollArea {{ border: 0; background: transparent; }}
    QListWidget, QTreeWidget {{ border: 1px solid transparent; background: transparent; }}
    QListWidget:focus, QTreeWidget:focus {{ border-color: {theme.accent}; }}
    QTreeWidget::item {{ padding: 2px 3px; }}
    QFrame[card="true"] {{ background: {theme.panel}; border: 1px solid {theme.line};
                           border-radius: 6px; }}
    QFrame[card="true"][chosen="true"] {{ border-color: {theme.accent}; }}
    QLabel[dim="true"] {{ color: {theme.dim}; }}
    QLabel[error="true"] {{ color: {theme.error}; }}
    QLabel[warning="true"] {{ color: {theme.warning}; }}
    QLabel[heading="true"] {{ font-weight: 600; }}
    QFrame[bar="error"], QFrame[bar="notice"] {{ border-top: 1px solid {theme.line}; }}
    QFrame[bar="error"] {{ background: {theme.panel}; border: 0;
                           border-left: 3px solid {theme.error}; }}
    QFrame[bar="warning"] {{ background: {theme.panel}; border: 0;
                             border-left: 3px solid {theme.warning}; }}
    QFrame[bar="notice"] {{ background: {theme.panel}; border: 0;
                            border-left: 3px solid {theme.accent}; }}
    QCheckBox::indicator {{ width: 13px; height: 13px; background: {theme.field};
                 border: 1px solid {theme.dim}; border-radius: 3px; }}
    QCheckBox::indicator:checked {{ background: {theme.accent}; border-color: {theme.accent};
                 image: url({_tick(theme)}); }}
    QCheckBox::indicator:focus, QCheckBox::indicator:hover {{ border-color: {theme.text}; }}
    QRadioButton::indicator {{ width: 13px; height: 13px; background: {theme.field};
                 border: 1px solid {theme.dim}; border-radius: 7px; }}
    QRadioButton::indicator:checked {{ border-color: {theme.accent};
                 background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5, fx: 0.5, fy: 0.5,
                 stop: 0 {theme.accent}, stop: 0.55 {theme.accent}, stop: 0.65 {theme.field},
                 stop: 1 {theme.field}); }}
    QRadioButton::indicator:focus, QRadioButton::indicator:hover {{ border-color: {theme.text}; }}
    QScrollBar {{ background: {theme.panel}; border: 0; }}
    QScrollBar:vertical {{ width: 10px; }}
    QScrollBar:horizontal {{ height: 10px; }}
    QScrollBar::handle {{ background: {theme.line}; border-radius: 3px; margin: 2px; }}
    QScrollBar::handle:vertical {{ min-height: 24px; }}
    QScrollBar::handle:horizontal {{ min-width: 24px; }}
    QScrollBar::handle:hover {{ background: {theme.dim}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QProgressBar {{ background: {theme.field}; border: 0; border-radius: 2px;
                    max-height: 4px; min-height: 4px; }}
    QProgressBar::chunk {{ background: {theme.accent}; border-radius: 2px; }}
    QMenu {{ background: {theme.panel}; border: 1px solid {theme.line}; padding: 4px; }}
    QMenu::item {{ padding: 4px 20px 4px 8px; border-radius: 3px; }}
    QMenu::icon {{ padding-left: 6px; }}
    QMenu::icon:checked {{ background: {theme.button}; border: 1px solid {theme.accent};
                           border-radius: 3px; }}
    QMenu::indicator {{ width: 13px; height: 13px; left: 6px; }}
    QMenu::item:disabled {{ color: {theme.dim}; background: transparent; }}
    QMenu::separator {{ height: 1px; background: {theme.line}; margin: 4px 6px; }}
    QMenu::item:selected {{ background: {theme.accent}; color: {theme.on_accent}; }}
    """
