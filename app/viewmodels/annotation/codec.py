"""Documents as JSON and back; a document that cannot be read whole is an error.

Knows nothing of where the text is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Mode, Slab
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.model import LONGEST_TEXT, Annotation, Document, KeyImage
from med2e3 import geometry
from med2e3.errors import GeometryError, Med2E3Error
from med2e3.measures import Point, SlicePlane
from med2e3.volume import WIDEST_WINDOW, Window

#: The version of the form below; another one is not guessed at.
FORMAT = 1


#: mm from the origin: twice as far as any voxel lies. What lies further away cannot be painted.
FARTHEST_MM = 2 * geometry.FARTHEST_MM

#: Points of one annotation: thousands are a scribble; tens of thousands stop the painting.
MOST_POINTS = 10_000


#: What reading a damaged file raises.
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, GeometryError
)  # fmt: skip


class DamagedDocumentError(Med2E3Error):
    """Saved annotations that cannot be read."""


def encode(document: Document, key: str, about: Mapping[str, str]) -> str:
    """A document of the series `key` as JSON; `about` describes the series to people."""
    content = {
        "format": FORMAT,
        "coordinates": "LPS mm",
        "key": key,
        "series": dict(about),
        "annotations": [annotation_fields(a) for a in document.annotations],
        "key_images": [key_image_fields(k) for k in document.key_images],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file that is no UTF-8: written as escapes
        return json.dumps(content, indent=1, allow_nan=False) + "\n"
    return text


def decode(text: str, key: str) -> Document:
    """The document of the series `key`. Raises `DamagedDocumentError` with the cause."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise DamagedDocumentError(
                f"It has format {content['format']}, and this program reads format {FORMAT}: "
                "another version wrote it."
            )
        if content["key"] != key:
            raise DamagedDocumentError(f"It belongs to another series ({content['key']}).")
        document = Document(
            tuple(_annotation(fields) for fields in content["annotations"]),
            tuple(_key_image(fields) for fields in content["key_images"]),
        )
    except _DAMAGE as error:
        raise DamagedDocumentError(f"It is damaged: {_reason(error)}.") from error
    uids = [a.uid for a in document.annotations] + [k.uid for k in document.key_images]
    if len(set(uids)) != len(uids):
        raise DamagedDocumentError("It is damaged: two entries have the same identifier.")
    return document


def annotation_fields(annotation: Annotation) -> dict[str, Any]:
    """An annotation as JSON has it; coordinates are LPS mm."""
    return {
        "uid": annotation.uid,
        "kind": annotation.kind.name,
        "name": annotation.name,
        "text": annotation.text,
        "plane": _plane_fields(annotation.plane),
        "points_mm": [list(p) for p in annotation.points_mm],
    }


def _plane_fields(plane: SlicePlane) -> dict[str, Any]:
    return {
        "origin_mm": list(plane.origin_mm),
        "right": list(plane.right),
        "down": list(plane.down),
        "thickness_mm": plane.thickness_mm,
    }


def key_image_fields(key_image: KeyImage) -> dict[str, Any]:
    """A key image as JSON has it."""
    return {
        "uid": key_image.uid,
        "note": key_image.note,
        "plane": _plane_fields(key_image.plane),
        "window": [key_image.window.centre, key_image.window.width],
        "inverted": key_image.inverted,
        "colours": key_image.colours.value,
        "slab": {
            "thickness_mm": key_image.slab.thickness_mm,
            "mode": key_image.slab.mode.value,
        },
    }


def _annotation(fields: Any) -> Annotation:
    kind = kinds.named(fields["kind"])
    if len(fields["points_mm"]) > MOST_POINTS:
        raise ValueError(f"an annotation with {len(fields['points_mm'])} points")
    points = tuple(_point(p) for p in fields["points_mm"])
    if not kind.fits(len(points)):
        raise ValueError(f"a {kind.name} with {len(points)} points")
    name, text, uid = (_text(fields[word]) for word in ("name", "text", "uid"))
    return Annotation(kind, _plane(fields["plane"]), points, name, text, uid)


def _key_image(fields: Any) -> KeyImage:
    centre, width = (_number(n, WIDEST_WINDOW) for n in fields["window"])
    if width <= 0:
        raise ValueError(f"a window of width {width}")
    note, uid = _text(fields["note"]), _text(fields["uid"])
    inverted = fields["inverted"] is True
    # Files of before slabs and colours were kept: their pictures were of one slice, in grey.
    slab = _slab(fields["slab"]) if "slab" in fields else Slab()
    colours = ColourMap(fields.get("colours", ColourMap.GREY.value))
    window = Window(centre, width)
    return KeyImage(_plane(fields["plane"]), window, inverted, slab, colours, note, uid)


def _slab(fields: Any) -> Slab:
    thickness_mm, mode = _number(fields["thickness_mm"]), Mode(fields["mode"])
    if thickness_mm < 0:
        raise ValueError(f"a slab of {thickness_mm} mm")
    return Slab(thickness_mm, mode)


def _plane(fields: Any) -> SlicePlane:
    origin, right, down = (_point(fields[word]) for word in ("origin_mm", "right", "down"))
    return SlicePlane(origin, right, down, _number(fields["thickness_mm"]))


def _point(values: Any) -> Point:
    x, y, z = (_number(v) for v in values)
    return x, y, z


def _number(value: Any, most: float = FARTHEST_MM) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} where a number should be")
    if abs(value) > most:
        raise ValueError(f"{value!r} where no number is beyond {most:g}")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} where a text should be")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(value)} letters")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error).rstrip(".") or type(error).__name__
