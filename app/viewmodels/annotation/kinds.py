"""The table of what can be drawn and measured: one row a kind, from which everything follows.

The toolbar, menus, keys and commands, drawing with the mouse, forms on the screen and in pictures,
values, and columns of exported tables read their part of the row. Another kind is another row here,
with an icon in resources/icons.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.viewmodels.annotation import shapes, values
from app.viewmodels.annotation.model import Completion, Ends, Kind, Mark, Text
from app.viewmodels.annotation.quantities import Measure
from med2e3.regions import Shape

LENGTH = Kind(
    name="length",
    title="Length",
    action="Measure a length",
    key="L",
    icon="measure_length",
    points=2,  # the ends
    form=shapes.PATH,
    read=values.length,
    quantities=(values.LENGTH,),
    mark=Mark.STROKES,
)

POLYLINE = Kind(
    name="polyline",
    title="Polyline",
    action="Measure along a line of many points",
    key="Shift+L",
    icon="measure_polyline",
    points=2,  # at least
    form=shapes.PATH,
    read=values.length_along,
    quantities=(values.POLYLINE_LENGTH,),
    ends=Ends.REPEAT,
)

PROFILE = Kind(
    name="profile",
    title="Line profile",
    action="Values along a line",
    key="Shift+P",
    icon="measure_profile",
    points=2,  # the ends
    form=shapes.PATH,
    read=values.profile,
    quantities=(values.LENGTH, values.MEAN, values.SD, values.MINIMUM, values.MAXIMUM),
    mark=Mark.STROKES,
    reads_voxels=True,
)

ANGLE = Kind(
    name="angle",
    title="Angle",
    action="Measure an angle",
    key="A",
    icon="measure_angle",
    points=3,  # arm, vertex, arm
    form=shapes.PATH,
    read=values.angle,
    quantities=(values.ANGLE,),
    label_at=1,
)

COBB = Kind(
    name="cobb",
    title="Cobb angle",
    action="Measure a Cobb angle",
    key="G",
    icon="measure_cobb",
    points=4,  # two ends each of two lines
    form=shapes.TWO_LINES,
    read=values.cobb_angle,
    quantities=(values.COBB_ANGLE,),
    mark=Mark.SPAN,
)

BIDIRECTIONAL = Kind(
    name="bidirectional",
    title="Two diameters",
    action="Measure two diameters",
    key="B",
    icon="measure_bidirectional",
    points=4,  # ends of the longer diameter, then those of the shorter one
    form=shapes.DIAMETERS,
    read=values.diameters,
    quantities=(values.LONG_DIAMETER, values.SHORT_DIAMETER),
    completion=Completion(2, shapes.diameters),
)

ELLIPSE = Kind(
    name="ellipse",
    title="Ellipse",
    action="Ellipse with statistics",
    key="E",
    icon="measure_ellipse",
    points=2,  # opposite corners of the box around it
    form=shapes.ELLIPSE,
    read=values.region,
    quantities=values.STATISTICS,
    region=Shape.ELLIPSE,
    reads_voxels=True,
)

RECTANGLE = Kind(
    name="rectangle",
    title="Rectangle",
    action="Rectangle with statistics",
    key="Q",
    icon="measure_rectangle",
    points=2,  # opposite corners
    form=shapes.BOX,
    read=values.region,
    quantities=values.STATISTICS,
    region=Shape.RECTANGLE,
    reads_voxels=True,
)

FREEHAND = Kind(
    name="freehand",
    title="Freehand region",
    action="Freehand region with statistics",
    key="D",
    icon="measure_freehand",
    points=3,  # corners of the outline, at least
    form=shapes.OUTLINE,
    read=values.region,
    quantities=values.STATISTICS,
    ends=Ends.RELEASE,
    region=Shape.POLYGON,
    reads_voxels=True,
)

PROBE = Kind(
    name="probe",
    title="Point",
    action="Value at a point",
    key="P",
    icon="measure_probe",
    points=1,
    form=shapes.PATH,
    read=values.voxel,
    quantities=(values.VALUE,),
    mark=Mark.SPOT,
    reads_voxels=True,
)

ARROW = Kind(
    name="arrow",
    title="Arrow",
    action="Arrow with text",
    key="Shift+A",
    icon="measure_arrow",
    points=2,  # tip, then tail
    form=shapes.PATH,
    read=values.text,
    text=Text.OPTIONAL,
    mark=Mark.ARROW_HEAD,
    label_at=1,
)

NOTE = Kind(
    name="note",
    title="Note",
    action="Text note",
    key="N",
    icon="measure_note",
    points=1,
    form=shapes.PATH,
    read=values.text,
    text=Text.REQUIRED,
    mark=Mark.SPOT,
)

#: Every kind, in the order of the menu.
KINDS: tuple[Kind, ...] = (
    LENGTH, ANGLE, COBB, BIDIRECTIONAL, ELLIPSE, RECTANGLE, FREEHAND, PROBE, ARROW, NOTE,
    POLYLINE, PROFILE,
)  # fmt: skip

#: Kinds whose columns come first in tables, in this order: programs that read exported tables may
#: count on it. Columns of other kinds follow.
FIRST_COLUMNS = (LENGTH, BIDIRECTIONAL, ANGLE, COBB, PROBE, ELLIPSE)


@dataclass(frozen=True)
class DrawingTool:
    """A tool of the left mouse button that draws a form of `kind`.

    `action` is the title of its command, `key` its key, `icon` its file in resources/icons.
    """

    name: str
    action: str
    key: str
    icon: str
    kind: Kind


#: Draws a box that is not kept: its pixels give the window.
AUTO_WINDOW = DrawingTool("auto_window", "Window from a box", "U", "measure_auto_window", RECTANGLE)


def tools() -> tuple[DrawingTool, ...]:
    """The tools that draw, in the order of the menu: one a kind, then `AUTO_WINDOW`."""
    own = (DrawingTool(kind.name, kind.action, kind.key, kind.icon, kind) for kind in KINDS)
    return (*own, AUTO_WINDOW)


def named(name: str) -> Kind:
    """The kind of a name in a file. Raises `ValueError` for an unknown one."""
    found = next((kind for kind in KINDS if kind.name == name), None)
    if found is None:
        raise ValueError(f"{name!r} is not a valid Kind")
    return found


def measures() -> tuple[Measure, ...]:
    """Every quantity that some kind measures, in the order of a table's columns."""
    order = (*FIRST_COLUMNS, *KINDS)
    return tuple(dict.fromkeys(measure for kind in order for measure in kind.quantities))
