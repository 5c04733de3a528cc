"""What can be drawn on a slice, as values: annotations, key images, and the document of a series.

All coordinates are LPS mm. An annotation carries the plane it was drawn on, and belongs to slices
there. Knows nothing of screens, undo or files.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Slab
from med2e3.measures import Point, SlicePlane
from med2e3.volume import Window


class Kind(StrEnum):
    """The kinds of annotation; the values are kept in files."""

    LENGTH = "length"
    ANGLE = "angle"
    COBB = "cobb"
    BIDIRECTIONAL = "bidirectional"
    ELLIPSE = "ellipse"
    RECTANGLE = "rectangle"
    FREEHAND = "freehand"
    PROBE = "probe"
    ARROW = "arrow"
    NOTE = "note"


#: How each kind is called in the interface.
TITLES: dict[Kind, str] = {
    Kind.LENGTH: "Length",
    Kind.ANGLE: "Angle",
    Kind.COBB: "Cobb angle",
    Kind.BIDIRECTIONAL: "Two diameters",
    Kind.ELLIPSE: "Ellipse",
    Kind.RECTANGLE: "Rectangle",
    Kind.FREEHAND: "Freehand region",
    Kind.PROBE: "Point",
    Kind.ARROW: "Arrow",
    Kind.NOTE: "Note",
}

#: Points that an annotation of each kind has; a freehand region has at least so many.
POINTS: dict[Kind, int] = {
    Kind.LENGTH: 2,
    Kind.ANGLE: 3,
    Kind.COBB: 4,
    Kind.BIDIRECTIONAL: 4,
    Kind.ELLIPSE: 2,
    Kind.RECTANGLE: 2,
    Kind.FREEHAND: 3,
    Kind.PROBE: 1,
    Kind.ARROW: 2,
    Kind.NOTE: 1,
}

#: Kinds that enclose pixels, and kinds that carry text of the reader.
REGIONS = (Kind.ELLIPSE, Kind.RECTANGLE, Kind.FREEHAND)
TEXTS = (Kind.ARROW, Kind.NOTE)


def new_uid() -> str:
    """An identifier that no other annotation has."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Annotation:
    """Something drawn on `plane`.

    `points_mm` by kind: ends of a line; arm, vertex, arm; two ends each of two lines (Cobb), the
    longer before the shorter diameter (bidirectional); two opposite corners of the box around
    (ellipse, rectangle); the outline (freehand); the place (probe, note); tip, then tail (arrow).
    `name` is what the reader calls it in the list, `text` what stands at an arrow or a note.
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
