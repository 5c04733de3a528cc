"""Drawing and editing with the mouse: presses, moves and releases become annotations.

Positions are screen points of a `ViewFrame`. Lines can be drawn with a drag or with clicks: a
release where the button went down waits for the next click. Knows no widgets and no buttons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from app.viewmodels.annotation import shapes, slices
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.codec import MOST_POINTS
from app.viewmodels.annotation.hitting import Hit, hit
from app.viewmodels.annotation.model import POINTS, TEXTS, Annotation, Kind
from app.viewmodels.annotation.view_frame import FULL, ViewFrame
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.viewer import Tool
from med2e3.measures import Point, point
from med2e3.regions import Region, Shape, samples, window_of

#: Below this many logical pixels between press and release, a drag was a click.
CLICK = 4.0

#: Points of a freehand outline are left out where they are this close to the line without them, in
#: logical pixels: twice, while it is traced and at its end, still less than the line is wide.
OUTLINE_TOLERANCE = 0.6

#: Moves of the mouse after which what was traced of an outline is simplified: one with a point for
#: every move would take longer to draw with each, and the mouse would cut its corners.
TRACED = 64

#: What each tool draws; beside these, only the crosshair takes hold of what is drawn.
_BY_TOOL: dict[Tool, Kind] = {
    Tool.LENGTH: Kind.LENGTH,
    Tool.ANGLE: Kind.ANGLE,
    Tool.COBB: Kind.COBB,
    Tool.BIDIRECTIONAL: Kind.BIDIRECTIONAL,
    Tool.ELLIPSE: Kind.ELLIPSE,
    Tool.RECTANGLE: Kind.RECTANGLE,
    Tool.FREEHAND: Kind.FREEHAND,
    Tool.PROBE: Kind.PROBE,
    Tool.ARROW: Kind.ARROW,
    Tool.NOTE: Kind.NOTE,
    Tool.AUTO_WINDOW: Kind.RECTANGLE,
}


class Cursor(StrEnum):
    """What the mouse would do where it is."""

    TOOL = "tool"
    DRAW = "draw"
    GRAB = "grab"


@dataclass
class _Draft:
    """What is being drawn: points that stay, and one that follows the mouse."""

    frame: ViewFrame
    annotation: Annotation
    fixed: int
    pressed: tuple[float, float]
    down: bool = True

    @property
    def tolerance_mm(self) -> float:
        """`OUTLINE_TOLERANCE` in the patient."""
        return OUTLINE_TOLERANCE * self.frame.mm_per_pixel


@dataclass
class _Grip:
    """What is being moved: from where, and by which handle."""

    frame: ViewFrame
    before: Annotation
    handle: int | None
    pressed: tuple[float, float]
    moved: bool = False


class Drawing:
    """What the mouse does to annotations, in whichever view it is."""

    def __init__(self, book: Annotations) -> None:
        self._book = book
        self._viewer = book.viewer
        self._draft: _Draft | None = None
        self._grip: _Grip | None = None
        self.hovered: Hit | None = None
        #: An arrow or note whose text the reader is to type: a new one, or one of the document.
        self.awaiting_text: Annotation | None = None
        self.hover_changed: Signal[[]] = Signal()
        book.changed.connect(self._book_changed)
        book.viewer.look_changed.connect(self._tool_changed)

    @property
    def busy(self) -> bool:
        """Whether something is being drawn or moved."""
        return self._draft is not None or self._grip is not None

    def press(self, frame: ViewFrame, x: float, y: float) -> bool:
        """The button went down; whether that is for annotations and not for the view's tool."""
        kind = _BY_TOOL.get(self._viewer.tool)
        if self._book.volume is None or (kind is None and self._viewer.tool is not Tool.CROSSHAIR):
            return kind is not None
        if self._draft is not None:
            if self._goes_on(frame):
                self._fix(frame, x, y, down=True)
                return True
            self.cancel()
        under = self._under(frame, x, y)
        if under is not None:
            self._take_hold(frame, under, (x, y))
        elif kind is not None:
            if frame.holds(x, y):
                self._begin(frame, kind, (x, y))
        else:
            self._book.select(None)
        return under is not None or kind is not None

    def move(self, frame: ViewFrame, x: float, y: float) -> bool:
        """The mouse moved, with the button down or up; whether something is drawn or moved."""
        if self._grip is not None:
            self._move_grip(x, y)
        elif self._draft is not None:
            self._move_draft(frame, x, y)
        else:
            self._hover(self._under(frame, x, y) if self._book.volume is not None else None)
            return False
        return True

    def release(self, frame: ViewFrame, x: float, y: float) -> bool:
        """The button went up; whether something had begun with it."""
        if self._grip is not None:
            self._let_go()
            return True
        draft = self._draft
        if draft is None or not draft.down:
            return False
        draft.down = False
        dragged = math.dist((x, y), draft.pressed) >= CLICK
        if draft.annotation.kind is Kind.FREEHAND:
            self._close_outline()
        elif dragged or POINTS[draft.annotation.kind] == 1:
            self._fix(frame, x, y, down=False)
        return True

    def double_click(self, frame: ViewFrame, x: float, y: float) -> bool:
        """Two clicks on an arrow or a note: its text is to be changed."""
        if self._draft is not None:
            return self.press(frame, x, y)
        under = self._under(frame, x, y) if self._book.volume is not None else None
        annotation = self._book.document.annotation(under.uid) if under is not None else None
        if annotation is None:
            return _BY_TOOL.get(self._viewer.tool) is not None
        self._grip = None
        self._book.show_live(None)
        if annotation.kind in TEXTS:
            self.awaiting_text = annotation
        return True

    def write(self, text: str | None) -> None:
        """The text of what waits for one; None: as before, and a new one is not kept.

        A note without a text is nothing; an arrow points without words, too.
        """
        annotation, self.awaiting_text = self.awaiting_text, None
        if annotation is None:
            return
        self._book.show_live(None)
        if self._book.document.annotation(annotation.uid) is not None:
            if text is not None:
                self._book.set_text(annotation.uid, text)
        elif text is not None and (text.strip() or annotation.kind is Kind.ARROW):
            self._book.add(replace(annotation, text=text.strip()))

    def leave(self) -> None:
        """The mouse is over no view."""
        self._hover(None)

    def cancel(self) -> bool:
        """Give up what is being drawn or moved, else the selection; whether there was any."""
        if self.busy:
            self._draft = self._grip = None
            self._book.show_live(None)
            return True
        selected = self._book.selected is not None
        self._book.select(None)
        return selected

    def cursor(self) -> Cursor:
        """What the mouse would do where it is."""
        if self._grip is not None or (self.hovered is not None and self._draft is None):
            return Cursor.GRAB
        return Cursor.DRAW if self._viewer.tool in _BY_TOOL else Cursor.TOOL

    # --- drawing ---------------------------------------------------------------------------

    def _begin(self, frame: ViewFrame, kind: Kind, at: tuple[float, float]) -> None:
        here = frame.to_mm(*at)
        count = min(POINTS[kind], 2)
        points = (here,) * (1 if kind is Kind.FREEHAND else count)
        annotation = Annotation(kind, frame.plane, points)
        self._book.select(None)
        self._draft = _Draft(frame, annotation, 1 if count == 2 else 0, at)
        self._show_draft(annotation)

    def _goes_on(self, frame: ViewFrame) -> bool:
        assert self._draft is not None
        return frame.strength_of(self._draft.annotation.plane) == FULL

    def _move_draft(self, frame: ViewFrame, x: float, y: float) -> None:
        draft = self._draft
        assert draft is not None
        if not self._goes_on(frame):
            return
        here = self._on_plane(frame, x, y)
        annotation = draft.annotation
        if annotation.kind is Kind.FREEHAND:
            self._show_draft(annotation.with_points(self._traced(here)))
        else:
            self._show_draft(annotation.with_points((*annotation.points_mm[: draft.fixed], here)))

    def _traced(self, here: Point) -> tuple[Point, ...]:
        """The outline so far; each stretch is simplified once, so that no error adds up."""
        draft = self._draft
        assert draft is not None
        points = (*draft.annotation.points_mm, here)
        if len(points) - draft.fixed < TRACED:
            return points
        start = draft.fixed - 1
        stretch = shapes.simplified(np.asarray(points[start:]), draft.tolerance_mm)
        points = (*points[:start], *(point(p) for p in stretch))
        draft.fixed = len(points)
        return points

    def _fix(self, frame: ViewFrame, x: float, y: float, *, down: bool) -> None:
        """The point under the mouse stays; the annotation is done, or asks for one more."""
        draft = self._draft
        assert draft is not None
        here = self._on_plane(frame, x, y)
        if self._repeats(here):
            return
        points = (*draft.annotation.points_mm[: draft.fixed], here)
        draft.annotation = draft.annotation.with_points(points)
        draft.fixed = len(points)
        draft.pressed, draft.down = (x, y), down
        drawn = 2 if draft.annotation.kind is Kind.BIDIRECTIONAL else POINTS[draft.annotation.kind]
        if draft.fixed == drawn:
            self._finish(draft.annotation)
        else:
            self._show_draft(draft.annotation.with_points((*points, here)))

    def _repeats(self, here_mm: Point) -> bool:
        """Whether a click is on the point before it: a line of no length has no direction."""
        draft = self._draft
        assert draft is not None
        starts_second_line = draft.annotation.kind is Kind.COBB and draft.fixed == 2
        if not draft.fixed or starts_second_line:
            return False
        last = draft.annotation.points_mm[draft.fixed - 1]
        return math.dist(last, here_mm) < CLICK * draft.frame.mm_per_pixel

    def _close_outline(self) -> None:
        draft = self._draft
        assert draft is not None
        points = np.asarray(draft.annotation.points_mm)
        tolerance_mm = draft.tolerance_mm
        outline = shapes.simplified(np.vstack([points, points[:1]]), tolerance_mm)[:-1]
        while len(outline) > MOST_POINTS:  # as no file of annotations may hold
            tolerance_mm *= 2
            outline = shapes.simplified(np.vstack([points, points[:1]]), tolerance_mm)[:-1]
        self._finish(draft.annotation.with_points(tuple(point(p) for p in outline)))

    def _finish(self, annotation: Annotation) -> None:
        assert self._draft is not None
        mm_per_pixel = self._draft.frame.mm_per_pixel
        self._draft = None
        if self._viewer.tool is Tool.AUTO_WINDOW:
            self._set_window(annotation)
        elif _too_small(annotation, CLICK * mm_per_pixel):
            self._book.show_live(None)
        else:
            if annotation.kind is Kind.BIDIRECTIONAL:
                annotation = annotation.with_points(shapes.diameters(annotation))
            if annotation.kind in TEXTS:
                self.awaiting_text = annotation
                self._book.show_live(annotation)
            else:
                self._book.add(annotation)

    def _set_window(self, box: Annotation) -> None:
        self._book.show_live(None)
        assert self._book.volume is not None
        region = Region(box.plane, Shape.RECTANGLE, box.points_mm)
        shown, slab = self._book.volume, self._viewer.slab
        if slab.thickness_mm > 0:  # what is bright in a slab may lie beside its middle slice
            shown = slices.volume_of(shown, box.plane, slab, self._viewer.reslice)
        values = samples(shown, region).values
        if values.size:
            self._viewer.set_window(window_of(values))

    def _show_draft(self, annotation: Annotation) -> None:
        assert self._draft is not None
        self._draft.annotation = annotation
        self._book.show_live(annotation)

    def _on_plane(self, frame: ViewFrame, x: float, y: float) -> Point:
        """The point under the mouse, on the plane of what is being drawn."""
        assert self._draft is not None
        plane = self._draft.annotation.plane
        here = np.asarray(frame.to_mm(x, y))
        on_plane = here - float(plane.distance_mm(here)) * plane.normal
        return float(on_plane[0]), float(on_plane[1]), float(on_plane[2])

    # --- moving ----------------------------------------------------------------------------

    def _take_hold(self, frame: ViewFrame, under: Hit, at: tuple[float, float]) -> None:
        annotation = self._book.document.annotation(under.uid)
        if annotation is not None:
            self._book.select(under.uid)
            self._grip = _Grip(frame, annotation, under.handle, at)

    def _move_grip(self, x: float, y: float) -> None:
        grip = self._grip
        assert grip is not None
        if not grip.moved and math.dist((x, y), grip.pressed) < CLICK:
            return
        grip.moved = True
        start, here = (np.asarray(grip.frame.to_mm(*at)) for at in (grip.pressed, (x, y)))
        # By how far the mouse went, not to where it is: what was grasped beside must not jump.
        by = here - start
        if grip.handle is None or POINTS[grip.before.kind] == 1:
            self._book.show_live(shapes.moved(grip.before, by))
            return
        to = shapes.handles(grip.before)[grip.handle] + by
        target = (float(to[0]), float(to[1]), float(to[2]))
        self._book.show_live(shapes.with_handle(grip.before, grip.handle, target))

    def _let_go(self) -> None:
        grip, self._grip = self._grip, None
        live = self._book.live
        assert grip is not None
        if grip.moved and live is not None:
            self._book.change(live, "move" if grip.handle is None else "reshape")
        self._book.show_live(None)

    # --- hovering --------------------------------------------------------------------------

    def _under(self, frame: ViewFrame, x: float, y: float) -> Hit | None:
        if self._viewer.tool not in _BY_TOOL and self._viewer.tool is not Tool.CROSSHAIR:
            return None
        return hit(frame, self._book.document.annotations, x, y)

    def _hover(self, under: Hit | None) -> None:
        if under != self.hovered:
            self.hovered = under
            self.hover_changed.emit()

    def _book_changed(self) -> None:
        if self._book.volume is None:
            self._draft = self._grip = self.awaiting_text = None
        if self.hovered and self._book.document.annotation(self.hovered.uid) is None:
            self._hover(None)

    def _tool_changed(self) -> None:
        draft = self._draft
        wanted = _BY_TOOL.get(self._viewer.tool)
        if draft is not None and draft.annotation.kind is not wanted:
            self.cancel()


def _too_small(annotation: Annotation, least_mm: float) -> bool:
    """Whether a form with an extent was drawn without one: two clicks on one spot."""
    if POINTS[annotation.kind] == 1:
        return False
    if annotation.kind is Kind.FREEHAND and len(annotation.points_mm) < POINTS[Kind.FREEHAND]:
        return True
    points = np.asarray(annotation.points_mm)
    extent = np.ptp(annotation.plane.to_plane(points), axis=0)
    if annotation.kind in (Kind.ELLIPSE, Kind.RECTANGLE, Kind.FREEHAND):
        return bool(extent.min() < least_mm)
    return bool(extent.max() < least_mm)
