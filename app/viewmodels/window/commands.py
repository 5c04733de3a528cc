"""Every command with its first keys, in one table: menus, palette, tooltips and help read it.

`app.viewmodels.window.shortcuts` knows the keys that the user has given a command instead, and
`app.viewmodels.window.availability` whether a command can be run now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.imaging.windows import PRESETS
from app.viewmodels.annotation import kinds


class Need(StrEnum):
    """What must be there before a command can be run; `availability.WHY_NOT` says it in words."""

    NOTHING = "nothing"
    VOLUME = "volume"
    ONE_VOLUME = "one volume"
    COMPARISON = "comparison"
    TURNED = "turned planes"
    QUESTION = "question"
    SCORES = "scores"
    UNDO = "undo"
    REDO = "redo"
    SELECTION = "selection"


@dataclass(frozen=True)
class Command:
    """Something a key or button does; `keys` in Qt's portable spelling, the first one is shown."""

    name: str
    title: str
    keys: tuple[str, ...]
    group: str
    needs: Need = Need.NOTHING


COMMANDS: tuple[Command, ...] = (
    Command("open_files", "Open a file or ZIP…", ("Ctrl+O",), "Study"),
    Command("open_folder", "Open a folder…", ("Ctrl+Shift+O",), "Study"),
    Command(
        "open_overlay", "Lay a mask or second volume over…", ("Ctrl+Alt+O",), "Study", Need.VOLUME
    ),
    Command("open_demo", "Open the demo study", ("Ctrl+D",), "Study"),
    Command("search_series", "Search the series list", ("Ctrl+F",), "Study", Need.VOLUME),
    Command("tags", "Tags of this slice…", ("Ctrl+I",), "Study", Need.VOLUME),
    Command("left_out", "Files left out…", ("Ctrl+Shift+I",), "Study", Need.VOLUME),
    Command("crosshair_tool", "Crosshair tool", ("C",), "Tools"),
    Command("window_tool", "Window/level tool", ("W",), "Tools"),
    Command("zoom_tool", "Zoom tool", ("Z",), "Tools"),
    Command("pan_tool", "Pan tool", ("H",), "Tools"),
    *(
        Command(f"{tool.name}_tool", tool.action, (tool.key,), "Measure", Need.VOLUME)
        for tool in kinds.tools()
    ),
    Command("key_image", "Mark or unmark as key image", ("K",), "Measure", Need.VOLUME),
    Command("undo", "Undo", ("Ctrl+Z",), "Measure", Need.UNDO),
    Command("redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Measure", Need.REDO),
    Command("delete", "Delete the selected measurement", ("Del",), "Measure", Need.SELECTION),
    *(
        Command(
            f"preset:{name}",
            f"Window: {name}",
            (str(k),) if k <= 9 else (),  # there are no more digits
            "Window/level",
            Need.VOLUME,
        )
        for k, name in enumerate(PRESETS, start=1)
    ),
    Command("invert", "Invert black and white", ("I",), "Window/level", Need.VOLUME),
    Command("reset", "Reset zoom, pan and window", ("R",), "View", Need.VOLUME),
    Command("toggle_crosshair", "Show or hide the crosshair", ("X",), "View"),
    Command("toggle_text", "Show or hide corner text", ("T",), "View"),
    Command(
        "maximise", "Fill the centre with this plane, or show all", ("F",), "View", Need.ONE_VOLUME
    ),
    Command(
        "toggle_scene",
        "3D in the fourth cell, or what the model saw",
        ("V",),
        "View",
        Need.ONE_VOLUME,
    ),
    Command("layout:single", "Layout: one view", ("Alt+1",), "Layout", Need.ONE_VOLUME),
    Command("layout:grid", "Layout: two by two", ("Alt+2",), "Layout", Need.ONE_VOLUME),
    Command("layout:side", "Layout: one large, three small", ("Alt+3",), "Layout", Need.ONE_VOLUME),
    Command("layout:custom", "Layout: your own", ("Alt+4",), "Layout", Need.ONE_VOLUME),
    Command("next_main", "Next cell large, or alone", ("Alt+0",), "Layout", Need.ONE_VOLUME),
    Command(
        "second_window",
        "This view in a second window, or back",
        ("Ctrl+Alt+W",),
        "Layout",
        Need.VOLUME,
    ),
    Command("close_compare", "End comparing", ("Alt+C",), "Layout", Need.COMPARISON),
    Command("straighten", "Straighten the planes", ("O",), "Planes", Need.TURNED),
    Command("reference_lines", "Show or hide reference lines", ("Shift+X",), "Planes"),
    Command("slab", "Slab or plane", ("S",), "Planes", Need.VOLUME),
    Command("slab_mode", "Slab: maximum, minimum, mean", ("Shift+S",), "Planes", Need.VOLUME),
    Command("slab_thicker", "Thicker slab", ("]",), "Planes", Need.VOLUME),
    Command("slab_thinner", "Thinner slab", ("[",), "Planes", Need.VOLUME),
    Command("cine", "Play or stop the slices", ("M",), "Planes", Need.VOLUME),
    Command("previous_slice", "Previous slice", ("Up", "Left"), "Slices", Need.VOLUME),
    Command("next_slice", "Next slice", ("Down", "Right"), "Slices", Need.VOLUME),
    Command("back_ten", "Ten slices back", ("PgUp",), "Slices", Need.VOLUME),
    Command("forward_ten", "Ten slices on", ("PgDown",), "Slices", Need.VOLUME),
    Command("first_slice", "First slice", ("Home",), "Slices", Need.VOLUME),
    Command("last_slice", "Last slice", ("End",), "Slices", Need.VOLUME),
    Command("ask", "Go to the question box", ("Ctrl+L", "/"), "Assistant"),
    Command("draft_report", "Draft report", ("Ctrl+R",), "Assistant", Need.QUESTION),
    Command("previous_peak", "Previous peak of the slice scores", (",",), "Assistant", Need.SCORES),
    Command("next_peak", "Next peak of the slice scores", (".",), "Assistant", Need.SCORES),
    Command("evidence", "Test this answer", ("Ctrl+E",), "Assistant", Need.SCORES),
    Command("stop", "Stop the answer, or close this help", ("Esc",), "Assistant"),
    Command("toggle_series", "Show or hide the series list", ("Ctrl+1",), "Window"),
    Command("toggle_assistant", "Show or hide the assistant", ("Ctrl+2",), "Window"),
    Command("palette", "Find a command…", ("Ctrl+K", "Ctrl+Shift+P"), "Window"),
    Command("shortcuts", "Keyboard shortcuts…", ("Ctrl+Alt+K",), "Window"),
    Command("preferences", "Preferences…", ("Ctrl+,",), "Window"),
    Command("full_screen", "Full screen", ("F11",), "Window"),
    Command("theme", "Dark or light theme", ("Ctrl+Shift+T",), "Window"),
    Command("help", "Keys and mouse", ("?", "F1"), "Window"),
    Command("quit", "Quit", ("Ctrl+Q",), "Window"),
)

#: What the mouse does in a view, for the help overlay.
MOUSE: tuple[tuple[str, str], ...] = (
    ("Left drag", "what the chosen tool does"),
    ("Shift + left drag", "window/level: right wider, down darker"),
    ("Right drag", "zoom"),
    ("Middle drag, Space + drag", "pan"),
    ("Wheel", "scroll slices (Shift: ten at a time)"),
    ("Ctrl + wheel", "zoom at the pointer"),
    ("Drag a line's end", "turn the other planes (Shift: about the line)"),
    ("Double click", "fill the centre with this plane"),
    ("Drag a measurement, or its handle", "move it, or change its form"),
    ("Double click on an arrow or note", "change its text"),
    ("Click on the score strip", "go to that band"),
    ("Drop a file or folder", "open it"),
)

BY_NAME = {command.name: command for command in COMMANDS}
