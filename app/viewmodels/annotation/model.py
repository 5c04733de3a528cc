"""What can be drawn on a slice, as values: annotations, key images, and the document of a series.

All coordinates are LPS mm. An annotation carries the plane it was drawn on, and belongs to slices
there. Knows nothing of screens, undo or files; the kinds there are stand in `kinds`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Slab
from app.viewmodels.annotation.quantities import Measure, Reading
from med2e3.geometry import Float
from med2e3.measures import Point, SlicePlane
from med2e3.regions import Shape
from med2e3.volume import Volume, Window

#: Letters of one text, a name or a note: 30 pages.
LONGEST_TEXT = 100_000


class Ends(StrEnum):
    """What ends the drawing of an annotation."""

    #: The last of its points is set.
    POINTS = "points"
    #: The button goes up: a drag traces the outline.
    RELEASE = "release"
    #: A click repeats the last point, once there are enough.
    REPEAT = "repeat"


class Text(StrEnum):
    """Whether an annotation carries text of the reader."""

    NONE = "none"
    OPTIONAL = "optional"
    #: Without a text, the annotation is not kept.
    REQUIRED = "required"


class Mark(StrEnum):
    """What is drawn at the points of a form, beside its lines."""

    NONE = "none"
    #: Short strokes across both ends of a line.
    STROKES = "strokes"
    #: The head of an arrow, whose tip is the first point.
    ARROW_HEAD = "arrow head"
    #: A small circle with four rays.
    SPOT = "spot"
    #: A dashed line between the middles of two lines.
    SPAN = "span"


@dataclass(frozen=True)
class Form:
    """The geometry of annotations: lines to draw, handles to hold, and what moving one does.

    `points_per_line`: after so many points a new line begins; None: one line through all.
    """

    lines: Callable[[Annotation], list[Float]]
    handles: Callable[[Annotation], Float]
    with_handle: Callable[[Annotation, int, Point], Annotation]
    points_per_line: int | None = None


@dataclass(frozen=True)
class Completion:
    """A form of which the mouse draws only the first `points`: `complete` adds the others."""

    points: int
    complete: Callable[[Annotation], tuple[Point, ...]]


@dataclass(frozen=True)
class Subject:
    """What an annotation is measured on: a volume, and the unit of its voxels.

    `traced`: the outline is still being drawn, and its area is that of its pixels.
    """

    volume: Volume
    unit: str
    traced: bool = False


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Kind:
    """A kind of annotation; `app.viewmodels.annotation.kinds` is the table of them.

    Identity:
        `name` is kept in files; `title` stands in lists; `action` is the title of the tool's
        command, `key` its key (Qt's portable spelling), `icon` its file in resources/icons.
    Form:
        `points` is the number of points, the least one where `ends` lets more follow. `mark` is
        drawn at the points. `label_at` is the handle that the value stands beside; None: the
        whole form. `region` is the outline of the pixels that it encloses, if it encloses any.
    Values:
        `read` measures an annotation; it gives quantities of `quantities` alone. `reads_voxels`:
        the values are those of one slice, also where a slab is shown.
    """

    name: str
    title: str
    action: str
    key: str
    icon: str
    points: int
    form: Form
    read: Callable[[Annotation, Subject], Reading]
    quantities: tuple[Measure, ...] = ()
    ends: Ends = Ends.POINTS
    completion: Completion | None = None
    text: Text = Text.NONE
    mark: Mark = Mark.NONE
    label_at: int | None = None
    region: Shape | None = None
    reads_voxels: bool = False

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"

    @property
    def drawn_points(self) -> int:
        """The number of points that the mouse sets, the least one for an open end."""
        return self.points if self.completion is None else self.completion.points

    @property
    def traced(self) -> bool:
        """Whether a drag traces it."""
        return self.ends is Ends.RELEASE

    def fits(self, count: int) -> bool:
        """Whether an annotation of this kind can have so many points."""
        return count == self.points or (self.ends is not Ends.POINTS and count > self.points)


def new_uid() -> str:
    """An identifier that no other annotation has."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Annotation:
    """Something drawn on `plane`.

    `points_mm` are LPS mm, in the order that the kind says. `name` is what the reader calls it in
    the list, `text` what stands at an arrow or a note.
    """

    kind: Kind
    plane: SlicePlane
    points_mm: tuple[Point, ...]
    name: str = ""
    text: str = ""
    uid: str = field(default_factory=new_uid)

    def with_points(self, points_mm: tuple[Point, ...]) -> Annotation:
        """The same annotation elsewhere."""
        return replace(self, points_mm=points_mm)


@dataclass(frozen=True)
class KeyImage:
    """A marked slice or slab: its plane, and how it was looked at. `note` is the reader's."""

    plane: SlicePlane
    window: Window
    inverted: bool = False
    slab: Slab = field(default_factory=Slab)
    colours: ColourMap = ColourMap.GREY
    note: str = ""
    uid: str = field(default_factory=new_uid)


@dataclass(frozen=True)
class Document:
    """All that was drawn on one series, in the order in which it was drawn."""

    annotations: tuple[Annotation, ...] = ()
    key_images: tuple[KeyImage, ...] = ()

    def annotation(self, uid: str | None) -> Annotation | None:
        """The annotation of that identifier."""
        return next((a for a in self.annotations if a.uid == uid), None)

    def key_image(self, uid: str | None) -> KeyImage | None:
        """The key image of that identifier."""
        return next((k for k in self.key_images if k.uid == uid), None)

    def with_annotation(self, annotation: Annotation) -> Document:
        """Replace the annotation of the same identifier, or add it at the end."""
        if self.annotation(annotation.uid) is None:
            return replace(self, annotations=(*self.annotations, annotation))
        changed = (annotation if a.uid == annotation.uid else a for a in self.annotations)
        return replace(self, annotations=tuple(changed))

    def with_key_image(self, key_image: KeyImage) -> Document:
        """Replace the key image of the same identifier, or add it at the end."""
        if self.key_image(key_image.uid) is None:
            return replace(self, key_images=(*self.key_images, key_image))
        changed = (key_image if k.uid == key_image.uid else k for k in self.key_images)
        return replace(self, key_images=tuple(changed))

    def with_all_of(self, other: Document) -> Document:
        """With everything of another document whose identifier is not in this one."""
        both = self
        for annotation in other.annotations:
            if self.annotation(annotation.uid) is None:
                both = both.with_annotation(annotation)
        for key_image in other.key_images:
            if self.key_image(key_image.uid) is None:
                both = both.with_key_image(key_image)
        return both

    def without(self, uid: str) -> Document:
        """The document without the annotation or key image of that identifier."""
        return Document(
            tuple(a for a in self.annotations if a.uid != uid),
            tuple(k for k in self.key_images if k.uid != uid),
        )
