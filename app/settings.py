"""The preferences of the viewer: each declared once, kept in one JSON file.

Knows nothing of Qt or of who reads a preference. The dialog shows those that say how (`Shown`), in
the order of this file; the others are what the window remembers by itself. A damaged or missing
file gives the defaults; a preference of the wrong type is ignored, so that no version of the file
can stop the start.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from med2e3.files import private_folder, write_whole

#: Places remembered in the list of recently opened ones; what fits in a menu without scrolling.
RECENT_PLACES = 10

#: Commands remembered by the palette; more than anybody scans at its top.
RECENT_COMMANDS = 12

#: Where `Shown` stands in a field's metadata.
SHOWN = "shown"

#: What a mouse button can do in a view, as stored and in words.
DRAGS = (
    ("tool", "the chosen tool"),
    ("crosshair", "move the crosshair"),
    ("window", "window/level"),
    ("zoom", "zoom"),
    ("pan", "pan"),
    ("nothing", "nothing"),
)


@dataclass(frozen=True)
class Shown:
    """How the dialog shows a preference; `choices` are (stored value, words)."""

    page: str
    title: str
    description: str = ""
    choices: tuple[tuple[str | int, str], ...] = ()
    limits: tuple[int, int] | None = None
    is_text: bool = False


def shown(default: Any, page: str, title: str, description: str = "", **how: Any) -> Any:
    """A preference that the dialog shows."""
    return field(default=default, metadata={SHOWN: Shown(page, title, description, **how)})


@dataclass
class Preferences:
    """Every preference, with its default. Types are `str`, `bool`, `int`, `list`, `dict`."""

    theme: str = shown(
        "dark",
        "Window",
        "Theme",
        "Images are the brightest thing in a dark reading room.",
        choices=(("dark", "dark reading room"), ("light", "light")),
    )
    text_size: int = shown(
        100,
        "Window",
        "Text size",
        "Of everything but the images, in percent of the system's size.",
        choices=tuple((n, f"{n} %") for n in (90, 100, 115, 130, 150)),
    )
    patient_name: bool = shown(
        True,
        "Text over images",
        "Patient name",
        "Off: no name over the images, as for teaching and for pictures.",
    )
    corner_text: bool = shown(True, "Text over images", "Text in the corners", "All lines below.")
    corner_series: bool = shown(False, "Text over images", "Series")
    corner_slice: bool = shown(True, "Text over images", "Slice number")
    corner_position: bool = shown(True, "Text over images", "Position in mm")
    corner_thickness: bool = shown(False, "Text over images", "Distance of slices")
    corner_window: bool = shown(True, "Text over images", "Window")
    corner_zoom: bool = shown(True, "Text over images", "Zoom")
    letters: bool = shown(True, "Text over images", "Orientation letters", "R, L, A, P, S and I.")
    scale_bar: bool = shown(True, "Text over images", "Scale bar")
    crosshair: bool = shown(True, "Images", "Crosshair", "Lines through the planes' common point.")
    crosshair_style: str = shown(
        "open",
        "Images",
        "Style of the crosshair",
        choices=(("open", "open around the point"), ("full", "full lines"), ("short", "short")),
    )
    crosshair_gap: int = shown(
        9,
        "Images",
        "Opening of the crosshair",
        "From the point to a line, in pixels.",
        limits=(2, 80),
    )
    interpolation: bool = shown(
        True, "Images", "Smooth between pixels", "Off: every voxel is a sharp rectangle."
    )
    mouse_left: str = shown("tool", "Mouse", "Left button", choices=DRAGS)
    mouse_middle: str = shown("pan", "Mouse", "Middle button", choices=DRAGS)
    mouse_right: str = shown("zoom", "Mouse", "Right button", choices=DRAGS)
    wheel: str = shown(
        "slices",
        "Mouse",
        "Wheel",
        "With Ctrl held the wheel does the other of the two.",
        choices=(("slices", "scroll slices"), ("zoom", "zoom")),
    )
    wheel_reversed: bool = shown(
        False, "Mouse", "Reverse the wheel", "Turning it towards you then goes to the first slice."
    )
    model: str = shown(
        "demo", "Start", "Model", "Name or folder of the model to load; empty: none.", is_text=True
    )
    restore_window: bool = shown(
        True, "Start", "Window as it was", "Size, screen, panels and their widths."
    )
    restore_study: bool = shown(False, "Start", "Open the last study again")

    #: Folder that the open dialog starts in.
    last_folder: str = ""
    #: Opened places, the latest first.
    recent: list[str] = field(default_factory=list)
    hanging: bool = shown(
        True, "Images", "Arrange by series", "Heads, chests, scouts and coronal series open apart."
    )
    #: How the centre is divided (`app.viewmodels.window.layouts.Kind`); the user's own division.
    layout: str = "grid"
    custom_layout: str = ""
    #: Commands run from the palette, the latest first.
    recent_commands: list[str] = field(default_factory=list)
    #: Keys that the user gave to commands in place of the table's.
    shortcuts: dict[str, list[str]] = field(default_factory=dict)
    #: Whether the one line for newcomers was dismissed.
    hint_dismissed: bool = False
    #: The fourth cell of the grid: "sheet" or "3d".
    corner: str = "sheet"
    #: Size and place of the window and of its panels, as Qt wrote them (base 64).
    window_geometry: str = ""
    splitters: str = ""
    #: The cell that stands in a window of its own (empty: none), and where that window was.
    second_cell: str = ""
    second_geometry: str = ""
    #: Panels that were hidden when the window was closed.
    hidden_panels: list[str] = field(default_factory=list)


class Settings:
    """The preferences and the file they live in."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` None: nothing is read or written (tests, screenshots, benchmarks)."""
        self._file = file
        self.values = _read(file) if file is not None else Preferences()

    def remember_place(self, path: Path) -> None:
        """Put `path` at the head of the recent places and keep its folder for the next dialog."""
        self.values.recent = _first(str(path), self.values.recent)[:RECENT_PLACES]
        self.values.last_folder = str(path.parent)
        self.save()

    def last_place(self) -> Path | None:
        """What to open at the start: the last place, if that is wanted and it is still there."""
        wanted = self.values.restore_study and self.values.recent
        place = Path(self.values.recent[0]) if wanted else None
        return place if place is not None and place.exists() else None

    def forget_places(self) -> None:
        """Empty the list of recent places."""
        self.values.recent = []
        self.save()

    def remember_command(self, name: str) -> None:
        """Put a command at the head of those that the palette offers first."""
        self.values.recent_commands = _first(name, self.values.recent_commands)[:RECENT_COMMANDS]
        self.save()

    def save(self) -> None:
        """Write the file whole or not at all; a read-only disk loses preferences, nothing else."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            private_folder(self._file.parent)
            write_whole(self._file, json.dumps(asdict(self.values), indent=2), private=True)


def declared() -> dict[str, Shown]:
    """The preferences that the dialog shows, by name, in their order."""
    return {f.name: f.metadata[SHOWN] for f in fields(Preferences) if SHOWN in f.metadata}


def _first(entry: str, entries: list[str]) -> list[str]:
    return [entry, *(other for other in entries if other != entry)]


def _read(file: Path) -> Preferences:
    values = Preferences()
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return values
    if not isinstance(stored, dict):
        return values
    known = declared()
    for preference in fields(Preferences):
        value = stored.get(preference.name)
        if type(value) is type(getattr(values, preference.name)) and _allowed(
            value, known.get(preference.name)
        ):
            setattr(values, preference.name, value)
    return _of_texts(values)


def _allowed(value: Any, how: Shown | None) -> bool:
    if how is None:
        return True
    if how.choices:
        return value in [choice for choice, _ in how.choices]
    return how.limits is None or how.limits[0] <= value <= how.limits[1]


def _of_texts(values: Preferences) -> Preferences:
    """The same with nothing but texts in the lists."""
    keys = {name: _texts(keys) for name, keys in values.shortcuts.items() if isinstance(keys, list)}
    return replace(
        values,
        shortcuts=keys,
        recent=_texts(values.recent),
        recent_commands=_texts(values.recent_commands),
        hidden_panels=_texts(values.hidden_panels),
    )


def _texts(entries: list[Any]) -> list[str]:
    return [entry for entry in entries if isinstance(entry, str)]
