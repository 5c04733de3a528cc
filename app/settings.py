"""The preferences of the viewer: each declared once, written to one JSON file.

Knows nothing of Qt or of who reads a preference. Preferences that go together are a dataclass of
their own (`Corners`, `Display`, `Mouse`), which whoever shows them is handed whole; a name stands
in one of them only, and the file has all names side by side. The dialog shows those that say how
(`Shown`), in the order of this file; the window remembers the others by itself.

A missing file gives the defaults. A damaged one is put aside and said, and so is a preference of
the wrong type, so that no version of the file can stop the start.
"""

from __future__ import annotations

import copy
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
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
    ("scroll", "scroll slices"),
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
    corner_identity: bool = shown(
        True, "Text over images", "ID, sex and birth date", "With the patient name alone."
    )
    corner_study: bool = shown(True, "Text over images", "Study date and time")
    corner_technique: bool = shown(False, "Text over images", "Kernel, kV and mAs")
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
    keep_volumes: bool = shown(
        True,
        "Start",
        "Keep what the model read",
        "Up to 3 GB in your cache folder, for you alone: a series of yesterday answers sooner. "
        "Off: the files are removed at the next question.",
    )
    restore_window: bool = shown(
        True, "Start", "Window as it was", "Size, screen, panels and their widths."
    )
    restore_study: bool = shown(False, "Start", "Open the last study again")

    #: Folder that the open dialog starts in.
    last_folder: str = ""
    #: Opened places, the latest first.
    recent: list[str] = field(default_factory=list)
    #: What is shown of these: patient, study and picture (`app.viewmodels.study.recents`).
    recent_facts: dict[str, list[str]] = field(default_factory=dict)
    hanging: bool = shown(
        True, "Images", "Arrange by series", "Heads, chests, scouts and coronal series open apart."
    )
    segmentation_server: str = shown(
        "",
        "Images",
        "Server for clicks",
        "Address of a server that speaks nnInteractive's protocol, as http://localhost:1527; "
        "empty: none. The voxels are sent there: on another computer only after a yes.",
        is_text=True,
    )
    #: How the centre is divided (`app.viewmodels.window.layouts.Kind`); the user's own division.
    layout: str = "grid"
    custom_layout: str = ""
    #: Commands run from the palette, the latest first.
    recent_commands: list[str] = field(default_factory=list)
    #: Keys that the user gave to commands in place of the table's.
    shortcuts: dict[str, list[str]] = field(default_factory=dict)
    #: Presets of the window that the reader made: centre and width by name, as numbers in text.
    own_windows: dict[str, list[str]] = field(default_factory=dict)
    #: Whether the one line for newcomers was dismissed.
    hint_dismissed: bool = False
    #: The fourth cell of the grid: "sheet", "3d" or "picture"; empty: as the study suggests.
    corner: str = ""
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


@dataclass(frozen=True)
class Stored:
    """What a file holds: its preferences, and everything by name, of other versions too.

    `said` is a sentence about what was damaged and put aside; empty where nothing was.
    """

    values: Preferences
    raw: dict[str, Any]
    said: str = ""


def read(file: Path) -> Stored:
    """What the file holds; damage is put aside. Raises `OSError` where it cannot be read."""
    try:
        raw = _parsed(file)
    except FileNotFoundError:
        return Stored(Preferences(), {})
    except (ValueError, TypeError, RecursionError):
        aside = put_aside(file)
        return Stored(
            Preferences(),
            {},
            f"The preferences could not be read; the file was kept as “{aside.name}”, and all "
            "preferences are as at first.",
        )
    values, wrong = _understood(raw)
    if not wrong:
        return Stored(values, raw)
    aside = put_aside(file)
    raw = {name: value for name, value in raw.items() if name not in wrong}
    write_whole(file, json.dumps(_flat(values) | raw, indent=2), private=True)
    return Stored(
        values,
        raw,
        f"Some preferences could not be read and are as at first ({', '.join(wrong)}); "
        f"the file was kept as “{aside.name}”.",
    )


def save(file: Path, before: Preferences, values: Preferences) -> str:
    """Change in the file what changed from `before` to `values`; returns what `read` has said.

    The rest stays as another window or a newer version wrote it. Raises `OSError` where the file
    cannot be read or written, or another window holds it too long.
    """
    old, new = _flat(before), _flat(values)
    with locked(private_folder(file.parent) / f".{file.name}.lock", PATIENCE):
        found = read(file)
        merged = _merged(_flat(found.values), old, new)
        # What another version wrote, and nobody changed here, stays as it is.
        merged |= {name: found.raw[name] for name in found.raw if new.get(name) == old.get(name)}
        write_whole(file, json.dumps(merged, indent=2), private=True)
    return found.said


def _flat(values: Preferences) -> dict[str, Any]:
    return {name: copy.deepcopy(values.get(name)) for name in _GROUPS}


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
    for name in _GROUPS:
        if name not in stored:
            continue
        value = _sound(stored[name], name in PATHS)
        is_right = type(value) is type(values.get(name))
        if not is_right or value != stored[name]:
            wrong.append(name)
        if is_right and _allowed(value, _SHOWN.get(name)):
            values.put(name, value)
    for name, most in LATEST_FIRST.items():
        values.put(name, values.get(name)[:most])
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


def _merged(theirs: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`theirs` with what changed from `old` to `new`: lists and keys of both are kept."""
    merged = dict(theirs)
    for name, value in new.items():
        before, other = old[name], theirs[name]
        if value == before:
            continue
        if name in LATEST_FIRST and value:
            value = _both(value, before, other)[: LATEST_FIRST[name]]
        elif isinstance(value, dict):
            gone = before.keys() - value.keys()
            changed = {key: one for key, one in value.items() if before.get(key) != one}
            value = {key: one for key, one in (other | changed).items() if key not in gone}
        merged[name] = value
    return merged


def _both(new: list[str], old: list[str], other: list[str]) -> list[str]:
    """Our list, its latest first, with what only another window added since."""
    return new[:1] + [e for e in other if e not in new and e not in old] + new[1:]
