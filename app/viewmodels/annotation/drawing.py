"""Drawing and editing with the mouse: presses, moves and releases become annotations.

Positions are screen points of a `ViewFrame`. Lines can be drawn with a drag or with clicks: a
release where the button went down waits for the next click. Knows no widgets and no buttons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from app.viewmodels.annotation import kinds, shapes, slices
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.codec import MOST_POINTS
from app.viewmodels.annotation.hit_testing import Hit, hit
from app.viewmodels.annotation.model import Annotation, Ends, Kind, Text
from app.viewmodels.annotation.view_frame import FULL, ViewFrame
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.tools import Tool
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


class Cursor(StrEnum):
    """What a press of the mouse would do at its position."""

    TOOL = "tool"
    DRAW = "draw"
    GRAB = "grab"


@dataclass
class _Draft:
    """An annotation being drawn: its first `fixed` points stay, the last one follows the mouse."""

    frame: ViewFrame
    annotation: Annotation
    fixed: int
    pressed: tuple[float, float]
    down: bool = True

    @property
    def tolerance_mm(self) -> float:
        """`OUTLINE_TOLERANCE` in mm."""
        return OUTLINE_TOLERANCE * self.frame.mm_per_pixel


@dataclass
class _Grip:
    """An annotation being moved: by a handle, or as a whole (None)."""

    frame: ViewFrame
    before: Annotation
    handle: int | None
    pressed: tuple[float, float]
    moved: bool = False


class Drawing:
    """Turns mouse events of all views into changes of the annotations."""

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations
        self._viewer = annotations.viewer
        #: What each tool draws; beside these, only the crosshair takes hold of what is drawn.
        self._tools = {tool.name: tool.kind for tool in kinds.tools()}
        self._draft: _Draft | None = None
        self._grip: _Grip | None = None
        self.hovered: Hit | None = None
        #: An arrow or note whose text the reader is to type: a new one, or one of the document.
        self.awaiting_text: Annotation | None = None
        self.hover_changed: Signal[[]] = Signal()
        annotations.changed.connect(self._document_changed)
        annotations.viewer.tool_changed.connect(self._tool_changed)

    @property
    def busy(self) -> bool:
        """Whether something is being drawn or moved."""
        return self._draft is not None or self._grip is not None

    def press(self, frame: ViewFrame, x: float, y: float) -> bool:
        """Begin, go on with, or take hold of an annotation at a press of the left button.

        Returns whether the press is taken; else it belongs to the tool of the view.
        """
        kind = self._tools.get(self._viewer.tool)
        idle = kind is None and self._viewer.tool != Tool.CROSSHAIR
        if idle or self._annotations.volume is None:
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
            self._annotations.select(None)
        return under is not None or kind is not None

    def move(self, frame: ViewFrame, x: float, y: float) -> bool:
        """Follow the mouse; returns whether something is being drawn or moved."""
        if self._grip is not None:
            self._move_grip(x, y)
        elif self._draft is not None:
            self._move_draft(frame, x, y)
        else:
            self._hover(self._under(frame, x, y) if self._annotations.volume is not None else None)
            return False
        return True

    def release(self, frame: ViewFrame, x: float, y: float) -> bool:
        """End what the press began; returns whether it had begun something."""
        if self._grip is not None:
            self._let_go()
            return True
        draft = self._draft
        if draft is None or not draft.down:
            return False
        draft.down = False
        dragged = math.dist((x, y), draft.pressed) >= CLICK
        if draft.annotation.kind.traced:
            self._close_outline()
        elif dragged or draft.annotation.kind.points == 1:
            self._fix(frame, x, y, down=False)
        return True

    def double_click(self, frame: ViewFrame, x: float, y: float) -> bool:
        """Ask for another text of what is under the mouse; returns whether the click is taken."""
        if self._draft is not None:
            return self.press(frame, x, y)
        under = self._under(frame, x, y) if self._annotations.volume is not None else None
        annotation = self._annotations.document.annotation(under.uid) if under is not None else None
        if annotation is None:
            return self._tools.get(self._viewer.tool) is not None
        self._grip = None
        self._annotations.show_live(None)
        if annotation.kind.text is not Text.NONE:
            self.awaiting_text = annotation
        return True

    def write(self, text: str | None) -> None:
        """Give `awaiting_text` its text; None leaves an old text and drops a new annotation.

        An annotation that requires a text is dropped without one.
        """
        annotation, self.awaiting_text = self.awaiting_text, None
        if annotation is None:
            return
        self._annotations.show_live(None)
        if self._annotations.document.annotation(annotation.uid) is not None:
            if text is not None:
                self._annotations.set_text(annotation.uid, text)
        elif text is not None and (text.strip() or annotation.kind.text is Text.OPTIONAL):
            self._annotations.add(replace(annotation, text=text))

    def leave(self) -> None:
        """Forget what was under the mouse, which left the views."""
        self._hover(None)

    def cancel(self) -> bool:
        """Give up what is being drawn or moved, else the selection; False: there was neither."""
        if self.busy:
            self._draft = self._grip = None
            self._annotations.show_live(None)
            return True
        selected = self._annotations.selected is not None
        self._annotations.select(None)
        return selected

    def cursor(self) -> Cursor:
        """What a press would do at the position of the mouse."""
        if self._grip is not None or (self.hovered is not None and self._draft is None):
            return Cursor.GRAB
        return Cursor.DRAW if self._viewer.tool in self._tools else Cursor.TOOL

    # --- drawing ---------------------------------------------------------------------------

    def _begin(self, frame: ViewFrame, kind: Kind, at: tuple[float, float]) -> None:
        here = frame.to_mm(*at)
        count = min(kind.points, 2)
        points = (here,) * (1 if kind.traced else count)
        annotation = Annotation(kind, frame.plane, points)
        self._annotations.select(None)
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
        if annotation.kind.traced:
            self._show_draft(annotation.with_points(self._traced(here)))
        else:
            self._show_draft(annotation.with_points((*annotation.points_mm[: draft.fixed], here)))

    def _traced(self, here: Point) -> tuple[Point, ...]:
        """The outline with one more point; each stretch is simplified once: no error adds up."""
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
        """Keep the point under the mouse, and finish the annotation if it was the last one."""
        draft = self._draft
        assert draft is not None
        here = self._on_plane(frame, x, y)
        kind = draft.annotation.kind
        if self._repeats(here):
            if kind.ends is Ends.REPEAT and draft.fixed >= kind.points:
                self._finish(
                    draft.annotation.with_points(draft.annotation.points_mm[: draft.fixed])
                )
            return
        points = (*draft.annotation.points_mm[: draft.fixed], here)
        draft.annotation = draft.annotation.with_points(points)
        draft.fixed = len(points)
        draft.pressed, draft.down = (x, y), down
        if kind.ends is Ends.POINTS and draft.fixed == kind.drawn_points:
            self._finish(draft.annotation)
        else:
            self._show_draft(draft.annotation.with_points((*points, here)))

    def _repeats(self, here_mm: Point) -> bool:
        """Whether a click repeats the point before it: a line of no length has no direction."""
        draft = self._draft
        assert draft is not None
        per_line = draft.annotation.kind.form.points_per_line
        starts_line = draft.fixed % per_line == 0 if per_line else not draft.fixed
        if starts_line:
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
        if self._viewer.tool == kinds.AUTO_WINDOW.name:
            self._set_window(annotation)
        elif _too_small(annotation, CLICK * mm_per_pixel):
            self._annotations.show_live(None)
        else:
            kind = annotation.kind
            if kind.completion is not None:
                annotation = annotation.with_points(kind.completion.complete(annotation))
            if kind.text is not Text.NONE:
                self.awaiting_text = annotation
                self._annotations.show_live(annotation)
            else:
                self._annotations.add(annotation)

    def _set_window(self, box: Annotation) -> None:
        self._annotations.show_live(None)
        assert self._annotations.volume is not None
        region = Region(box.plane, Shape.RECTANGLE, box.points_mm)
        shown, slab = self._annotations.volume, self._viewer.slab
        if slab.thickness_mm > 0:  # what is bright in a slab may lie beside its middle slice
            shown = slices.volume_of(shown, box.plane, slab, self._viewer.reslice)
        values = samples(shown, region).values
        if values.size:
            self._viewer.set_window(window_of(values))

    def _show_draft(self, annotation: Annotation) -> None:
        assert self._draft is not None
        self._draft.annotation = annotation
        self._annotations.show_live(annotation)

    def _on_plane(self, frame: ViewFrame, x: float, y: float) -> Point:
        """The point under the mouse, on the plane of what is being drawn."""
        assert self._draft is not None
        plane = self._draft.annotation.plane
        here = np.asarray(frame.to_mm(x, y))
        on_plane = here - float(plane.distance_mm(here)) * plane.normal
        return float(on_plane[0]), float(on_plane[1]), float(on_plane[2])

    # --- moving ----------------------------------------------------------------------------

    def _take_hold(self, frame: ViewFrame, under: Hit, at: tuple[float, float]) -> None:
        annotation = self._annotations.document.annotation(under.uid)
        if annotation is not None:
            self._annotations.select(under.uid)
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
        if grip.handle is None or grip.before.kind.points == 1:
            self._annotations.show_live(shapes.moved(grip.before, by))
            return
        to = shapes.handles(grip.before)[grip.handle] + by
        target = (float(to[0]), float(to[1]), float(to[2]))
        self._annotations.show_live(shapes.with_handle(grip.before, grip.handle, target))

    def _let_go(self) -> None:
        grip, self._grip = self._grip, None
        live = self._annotations.live
        assert grip is not None
        if grip.moved and live is not None:
            self._annotations.change(live, "move" if grip.handle is None else "reshape")
        self._annotations.show_live(None)

    # --- hovering --------------------------------------------------------------------------

    def _under(self, frame: ViewFrame, x: float, y: float) -> Hit | None:
        if self._viewer.tool not in self._tools and self._viewer.tool != Tool.CROSSHAIR:
            return None
        if self._annotations.hidden:
            return None
        return hit(frame, self._annotations.document.annotations, x, y)

    def _hover(self, under: Hit | None) -> None:
        if under != self.hovered:
            self.hovered = under
            self.hover_changed.emit()

    def _document_changed(self) -> None:
        if self._annotations.volume is None:
            self._draft = self._grip = self.awaiting_text = None
        if self.hovered and self._annotations.document.annotation(self.hovered.uid) is None:
            self._hover(None)

    def _tool_changed(self) -> None:
        draft = self._draft
        wanted = self._tools.get(self._viewer.tool)
        if draft is not None and draft.annotation.kind is not wanted:
            self.cancel()


def _too_small(annotation: Annotation, least_mm: float) -> bool:
    """Whether a form with an extent was drawn without one: two clicks on one spot."""
    kind = annotation.kind
    if kind.points == 1:
        return False
    if len(annotation.points_mm) < kind.drawn_points:
        return True
    points = np.asarray(annotation.points_mm)
    extent = np.ptp(annotation.plane.to_plane(points), axis=0)
    if kind.region is not None:
        return bool(extent.min() < least_mm)
    return bool(extent.max() < least_mm)
