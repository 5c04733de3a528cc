"""Every command with its first keys, in one table: menus, palette, tooltips and help read it.

`app.viewmodels.window.shortcuts` knows the keys that the user has given a command instead, and
`app.viewmodels.window.availability` whether a command can be run now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.imaging.colour_names import ColourMap
from app.imaging.windows import PRESETS
from app.viewmodels.annotation import kinds
from app.viewmodels.images.side_by_side import SHAPES


class Need(StrEnum):
    """What must be there before a command can be run; `availability.WHY_NOT` says it in words."""

    NOTHING = "nothing"
    VOLUME = "volume"
    ONE_VOLUME = "one volume"
    COMPARISON = "comparison"
    TURNED = "turned planes"
    QUESTION = "question"
    UNDO = "undo"
    REDO = "redo"
    SELECTION = "selection"
    SCORES = "scores"


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
    Command("add_folder", "Add a folder to what is open…", ("Ctrl+Shift+A",), "Study"),
    Command("close_study", "Close what is open", ("Ctrl+Shift+W",), "Study", Need.VOLUME),
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
    Command("scroll_tool", "Scroll tool", ("J",), "Tools"),
    *(
        Command(f"{tool.name}_tool", tool.action, (tool.key,), "Measure", Need.VOLUME)
        for tool in kinds.tools()
    ),
    Command("grow_region", "Region by its values…", ("Shift+E",), "Measure", Need.VOLUME),
    Command("brush_tool", "Brush: paint or wipe a label", ("Shift+B",), "Measure", Need.VOLUME),
    Command("clicks_tool", "Segment by clicks", ("Shift+C",), "Measure", Need.VOLUME),
    Command("click_here", "Click at the crosshair", ("Ctrl+Return",), "Measure", Need.VOLUME),
    *(
        Command(
            f"crosshair_{side}",
            f"Move the crosshair {words}",
            (f"Alt+{side.capitalize()}",),
            "Measure",
            Need.VOLUME,
        )
        for side, words in (
            ("up", "up"),
            ("down", "down"),
            ("left", "to the left"),
            ("right", "to the right"),
        )
    ),
    Command("key_image", "Mark or unmark as key image", ("K",), "Measure", Need.VOLUME),
    Command("undo", "Undo", ("Ctrl+Z",), "Measure", Need.UNDO),
    Command("redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Measure", Need.REDO),
    Command("hide_drawings", "Show or hide all measurements", ("Shift+M",), "Measure", Need.VOLUME),
    Command("copy_value", "Copy the selected value", ("Ctrl+Alt+C",), "Measure", Need.SELECTION),
    Command("to_report", "Measurements to the report", ("Ctrl+M",), "Measure", Need.VOLUME),
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
    Command("window_values", "Type width and level…", ("Shift+W",), "Window/level", Need.VOLUME),
    Command("reset_window", "Reset the window", ("Shift+R",), "Window/level", Need.VOLUME),
    *(
        Command(f"colours:{name}", f"Colours: {name}", (), "Window/level", Need.VOLUME)
        for name in ColourMap
    ),
    Command("reset_view", "Fit: reset zoom and pan", ("R",), "View", Need.VOLUME),
    Command("reset", "Reset zoom, pan and window", ("Ctrl+Alt+R",), "View", Need.VOLUME),
    Command("one_to_one", "One voxel on one pixel", ("=",), "View", Need.VOLUME),
    Command("turn_quarter", "Turn the image by 90°", ("Ctrl+]",), "View", Need.VOLUME),
    Command("mirror", "Flip left and right", ("Shift+H",), "View", Need.VOLUME),
    Command("upend", "Flip top and bottom", ("Shift+V",), "View", Need.VOLUME),
    Command("copy_view", "Copy this view as a picture", ("Ctrl+Shift+C",), "Pictures", Need.VOLUME),
    Command("save_view", "Save this view…", ("Ctrl+Shift+S",), "Pictures", Need.VOLUME),
    Command("save_layout", "Save all views as one picture…", (), "Pictures", Need.VOLUME),
    Command("save_slices", "Save the slices as pictures…", (), "Pictures", Need.VOLUME),
    Command("save_cine", "Save the slices as a moving picture…", (), "Pictures", Need.VOLUME),
    Command(
        "save_series", "Save this series without the patient's name…", (), "Pictures", Need.VOLUME
    ),
    Command("magnifier", "Magnifier under the mouse, or not", ("Shift+G",), "View", Need.VOLUME),
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
    Command("edit_layout", "Edit your own layout…", (), "Layout", Need.ONE_VOLUME),
    Command("hanging", "Arrange each series by its kind, or not", (), "Layout"),
    *(
        Command(
            f"series:{rows}x{columns}",
            f"Series side by side: {rows} × {columns}",
            (),
            "Layout",
            Need.VOLUME,
        )
        for rows, columns in SHAPES
    ),
    Command("link", "Link or unlink the compared series", ("Alt+L",), "Layout", Need.COMPARISON),
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
    Command("tall_tabs", "Report and scores from top to bottom", ("Ctrl+Alt+T",), "Assistant"),
    Command("ask", "Go to the question box", ("Ctrl+L", "/"), "Assistant"),
    Command("draft_report", "Draft report", ("Ctrl+R",), "Assistant", Need.QUESTION),
    Command("evidence", "Test this answer", ("Ctrl+E",), "Assistant", Need.SCORES),
    Command("stop", "Stop the answer, or close this help", ("Esc",), "Assistant"),
    Command("copy_report", "Copy the report", (), "Assistant"),
    Command("save_report", "Save the report…", ("Ctrl+S",), "Assistant"),
    Command("choose_model", "Model from a folder…", (), "Assistant"),
    Command("demo_model", "Demo model", (), "Assistant"),
    Command(
        "previous_peak", "Previous peak of the scores", ("Ctrl+Up", ","), "Assistant", Need.SCORES
    ),
    Command("next_peak", "Next peak of the scores", (".", "Ctrl+Down"), "Assistant", Need.SCORES),
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
    ("Right click", "the menu of the image"),
    ("Wheel", "scroll slices (Shift: ten at a time)"),
    ("Ctrl + wheel", "zoom at the pointer"),
    ("Drag a line's end", "turn the other planes (Shift: about the line)"),
    ("Double click", "fill the centre with this plane"),
    ("Drag a measurement, or its handle", "move it, or change its form"),
    ("Double click on an arrow or note", "change its text"),
    ("Click on the score strip", "go to that band"),
    ("Alt + wheel with the brush", "larger or smaller (Ctrl + drag wipes)"),
    ("Drop a file or folder", "open it (Ctrl: add it to what is open)"),
)

#: Other words that a command is looked for by, those of other viewers and of radiology.
ALSO: dict[str, str] = {
    "add_folder": "append study prior",
    "close_study": "unload",
    "slab": "mip minip aip thick projection",
    "slab_mode": "mip minip aip average",
    "slab_thicker": "mip thickness",
    "toggle_scene": "3d vr mpr volume rendering",
    "ellipse_tool": "roi region circle oval",
    "rectangle_tool": "roi region box",
    "freehand_tool": "roi region outline contour polygon",
    "length_tool": "ruler distance caliper size",
    "bidirectional_tool": "recist caliper short long axis",
    "probe_tool": "hu density point pixel value",
    "arrow_tool": "annotation pointer",
    "note_tool": "annotation text label",
    "clicks_tool": "nninteractive prompt point box scribble lasso interactive sam",
    "brush_tool": "paint segment draw mask eraser erase",
    "grow_region": "segment threshold volume seed",
    "cobb_tool": "scoliosis",
    "key_image": "star bookmark ko flag",
    "window_tool": "ww wl contrast brightness",
    "window_values": "ww wl custom preset width level",
    "preset:CTA": "vessels angiography",
    "preset:angio": "vessels aorta",
    "preset:brain": "head",
    "preset:temporal bone": "ear petrous",
    "invert": "negative reverse",
    "reset_view": "fit zoom home",
    "one_to_one": "1:1 actual size 100%",
    "turn_quarter": "rotate",
    "mirror": "flip horizontal",
    "upend": "flip vertical",
    "cine": "loop movie play",
    "tags": "dicom header metadata dump",
    "open_overlay": "fusion pet mask segmentation labels",
    "reference_lines": "scout localizer",
    "straighten": "oblique mpr reset",
    "copy_view": "clipboard screenshot",
    "save_view": "export png jpeg screenshot",
    "save_layout": "export png jpeg screenshot",
    "save_slices": "export png stack",
    "save_cine": "export gif video mp4 movie",
    "preferences": "settings options",
    "shortcuts": "keyboard hotkeys keys",
    "help": "keyboard hotkeys mouse",
    "quit": "exit close",
    "scroll_tool": "stack browse",
    "hide_drawings": "annotations rois",
    "draft_report": "impression findings",
    "link": "sync synchronise lock",
}

BY_NAME = {command.name: command for command in COMMANDS}
