"""The preferences of the viewer: each declared once, written to one JSON file.

Knows nothing of Qt or of who reads a preference. Preferences that go together are a dataclass of
their own (`Corners`, `Display`, `Mouse`), which whoever shows them is handed whole; a name stands
in one of them only, and the file has all names side by side. The dialog shows those that say how
(`Shown`), in the order of this file; the window remembers the others by itself.

A damaged or missing file gives the defaults, and a value of the wrong type the default of that
preference, so that no version of the file can stop the start.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from med2e3.files import write_whole

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


@dataclass(frozen=True)
class Corners:
    """What is written in the corners of a view."""

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


@dataclass(frozen=True)
class Display:
    """What is drawn over an image, and how its pixels are."""

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


@dataclass(frozen=True)
class Mouse:
    """What the buttons and the wheel do in a view."""

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
    corners: Corners = field(default_factory=Corners)
    display: Display = field(default_factory=Display)
    mouse: Mouse = field(default_factory=Mouse)
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

    def get(self, name: str) -> Any:
        """A preference by its name."""
        return getattr(self._home(name), name)

    def put(self, name: str, value: Any) -> None:
        """Change a preference by its name."""
        home = group_of(name)
        if home:
            setattr(self, home, replace(getattr(self, home), **{name: value}))
        else:
            setattr(self, name, value)

    def _home(self, name: str) -> Any:
        home = group_of(name)
        return getattr(self, home) if home else self


def _declarations() -> Iterator[tuple[str, Field[Any]]]:
    """Every preference in the order of this file, with the field of `Preferences` it stands in."""
    first = Preferences()
    for one in fields(Preferences):
        group = getattr(first, one.name)
        if is_dataclass(group):
            yield from ((one.name, inner) for inner in fields(group))
        else:
            yield "", one


#: The names of all preferences, each with the field of `Preferences` that has it ("": itself).
_GROUPS = {inner.name: group for group, inner in _declarations()}

#: The preferences that the dialog shows, by name, in their order.
_SHOWN = {inner.name: inner.metadata[SHOWN] for _, inner in _declarations() if inner.metadata}


def group_of(name: str) -> str:
    """The field of `Preferences` that has a preference, as "mouse"; empty: it is one itself."""
    return _GROUPS[name]


def declared() -> dict[str, Shown]:
    """The preferences that the dialog shows, by name, in their order."""
    return dict(_SHOWN)


# --- the file ------------------------------------------------------------------------------------


def write(file: Path, values: Preferences) -> None:
    """Write the file whole or not at all; a read-only disk loses preferences, nothing else."""
    flat = {name: values.get(name) for name in _GROUPS}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(flat, indent=2))


def read(file: Path) -> Preferences:
    """What the file says; the defaults where it says nothing that a preference can be."""
    values = Preferences()
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return values
    if not isinstance(stored, dict):
        return values
    for name in _GROUPS:
        value = stored.get(name)
        if type(value) is type(values.get(name)) and _allowed(value, _SHOWN.get(name)):
            values.put(name, value)
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
