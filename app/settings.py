"""The preferences of the viewer: each declared once, kept in one JSON file.

Knows nothing of Qt or of who reads a preference. The dialog shows those that say how (`Shown`), in
the order of this file; the others are what the window remembers by itself. A missing file gives
the defaults; a damaged one is put aside and said, and so is a preference of the wrong type, so that
no version of the file can stop the start.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from med2e3.files import locked, private_folder, put_aside, write_whole

#: Places remembered in the list of recently opened ones; what fits in a menu without scrolling.
RECENT_PLACES = 10

#: Commands remembered by the palette; more than anybody scans at its top.
RECENT_COMMANDS = 12

#: Lists whose latest entry stands first, and how many entries each keeps.
LATEST_FIRST = {"recent": RECENT_PLACES, "recent_commands": RECENT_COMMANDS}

#: Preferences that are paths: they may hold bytes that are no UTF-8, as Python escapes them.
PATHS = ("model", "last_folder", "recent")

#: Bytes: 1,000 times what all preferences take; a larger file is none of ours.
LARGEST_FILE = 5_000_000

#: Seconds that a save waits for another window's, for the window stands still meanwhile.
PATIENCE = 1.0

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
    """The preferences and the file they live in, which other windows may write too.

    A save changes in the file what was changed here since the last one, and leaves the rest as
    another window or a newer version wrote it. What cannot be read is put aside and said.
    """

    def __init__(self, file: Path | None = None) -> None:
        """`file` None: nothing is read or written (tests, screenshots, benchmarks)."""
        self._file = file
        self._said: list[str] = []
        self._hear: Callable[[str], object] = self._said.append
        self.values = Preferences()
        if file is not None:
            try:
                self.values, _ = self._read(file)
            except OSError as error:
                self._file = None  # it would be replaced without having been read
                self._hear(
                    f"The preferences cannot be read from {file} ({error.strerror or error}); "
                    "this run uses the defaults and writes none."
                )
        self._before = _copy(self.values)

    def listen(self, hear: Callable[[str], object]) -> None:
        """Call `hear` with each sentence about a damaged file, those of the start included."""
        self._hear = hear
        for sentence in self._said:
            hear(sentence)
        self._said.clear()

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
        """Write what changed here since the last time; a read-only disk loses preferences only."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            folder = private_folder(self._file.parent)
            with locked(folder / f".{self._file.name}.lock", PATIENCE):
                theirs, stored = self._read(self._file)
                merged = asdict(_merged(theirs, self._before, self.values))
                # What another version wrote, and nobody changed here, stays as it is.
                merged |= {name: stored[name] for name in stored if not self._changed(name)}
                write_whole(self._file, json.dumps(merged, indent=2), private=True)
            self._before = _copy(self.values)

    def _changed(self, name: str) -> bool:
        return hasattr(self.values, name) and getattr(self.values, name) != getattr(
            self._before, name
        )

    def _read(self, file: Path) -> tuple[Preferences, dict[str, Any]]:
        """The preferences of the file, and all that it holds; damage is put aside and said."""
        try:
            stored = _parsed(file)
        except FileNotFoundError:
            return Preferences(), {}
        except (ValueError, TypeError, RecursionError):
            aside = put_aside(file)
            self._hear(
                f"The preferences could not be read; the file was kept as “{aside.name}”, and all "
                "preferences are as at first."
            )
            return Preferences(), {}
        values, wrong = _understood(stored)
        if wrong:
            aside = put_aside(file)
            stored = {name: value for name, value in stored.items() if name not in wrong}
            whole = asdict(values) | stored
            write_whole(file, json.dumps(whole, indent=2), private=True)
            self._hear(
                f"Some preferences could not be read and are as at first ({', '.join(wrong)}); "
                f"the file was kept as “{aside.name}”."
            )
        return values, stored


def declared() -> dict[str, Shown]:
    """The preferences that the dialog shows, by name, in their order."""
    return {f.name: f.metadata[SHOWN] for f in fields(Preferences) if SHOWN in f.metadata}


def _first(entry: str, entries: list[str]) -> list[str]:
    return [entry, *(other for other in entries if other != entry)]


def _parsed(file: Path) -> dict[str, Any]:
    """What the file holds. Raises OSError, or what parsing raises for one that is damaged."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
        raise ValueError("no file of preferences")
    stored = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(stored, dict):
        raise TypeError("no object")
    return stored


def _understood(stored: dict[str, Any]) -> tuple[Preferences, list[str]]:
    """The preferences of a file, and the names of those that are damaged.

    One whose value another version allows, and this one does not, is as at first and not damaged.
    """
    values, wrong = Preferences(), []
    known = declared()
    for preference in fields(Preferences):
        name = preference.name
        if name not in stored:
            continue
        value = _sound(stored[name], name in PATHS)
        if type(value) is not type(getattr(values, name)) or value != stored[name]:
            wrong.append(name)
        if type(value) is type(getattr(values, name)) and _allowed(value, known.get(name)):
            setattr(values, name, value)
    for name, most in LATEST_FIRST.items():
        setattr(values, name, getattr(values, name)[:most])
    return values, wrong


def _sound(value: Any, is_path: bool) -> Any:
    """The value without what cannot be shown or written; None where nothing is left of it.

    Lists hold texts, and dicts such lists. File names may hold bytes that are no UTF-8.
    """
    if isinstance(value, list):
        return [entry for entry in value if isinstance(entry, str) and _is_text(entry, is_path)]
    if isinstance(value, dict):
        lists = {name: keys for name, keys in value.items() if isinstance(keys, list)}
        return {name: _sound(keys, is_path) for name, keys in lists.items() if _is_text(name)}
    return value if not isinstance(value, str) or _is_text(value, is_path) else None


def _is_text(value: str, is_path: bool = False) -> bool:
    try:
        os.fsencode(value) if is_path else value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _allowed(value: Any, how: Shown | None) -> bool:
    if how is None:
        return True
    if how.choices:
        return value in [choice for choice, _ in how.choices]
    return how.limits is None or how.limits[0] <= value <= how.limits[1]


def _copy(values: Preferences) -> Preferences:
    return copy.deepcopy(values)


def _merged(theirs: Preferences, before: Preferences, ours: Preferences) -> Preferences:
    """`theirs` with what changed from `before` to `ours`: lists and keys of both are kept."""
    merged = _copy(theirs)
    for preference in fields(Preferences):
        name = preference.name
        old, new, other = (getattr(values, name) for values in (before, ours, theirs))
        if new == old:
            continue
        if name in LATEST_FIRST and new:
            new = _both(new, old, other)[: LATEST_FIRST[name]]
        elif isinstance(new, dict):
            gone = old.keys() - new.keys()
            changed = {key: value for key, value in new.items() if old.get(key) != value}
            new = {key: value for key, value in (other | changed).items() if key not in gone}
        setattr(merged, name, copy.deepcopy(new))
    return merged


def _both(new: list[str], old: list[str], other: list[str]) -> list[str]:
    """Our list, its latest first, with what only another window added since."""
    return new[:1] + [e for e in other if e not in new and e not in old] + new[1:]
