"""What is drawn as tables, as JSON, as pictures, and as sentences of a report.

`FORMATS` is the table that the menu follows. Knows no files and draws no pictures.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.imaging import numbers, windows
from app.imaging.colour_names import ColourMap
from app.viewmodels.annotation import kinds, location, shapes, slices
from app.viewmodels.annotation.codec import annotation_fields, key_image_fields
from app.viewmodels.annotation.model import Annotation, Document, KeyImage, Text
from app.viewmodels.annotation.quantities import Reading
from app.viewmodels.core.exporting import ExportFormat, FilesFormat, TextFormat
from app.viewmodels.core.patients import date
from med2e3.volume import Volume

Read = Callable[[Annotation], Reading]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is exported: all that is drawn on a volume, and how it is read.

    `unit` is that of the voxels; `picture` draws a key image as the bytes of a PNG file.
    """

    document: Document
    volume: Volume
    read: Read
    unit: str
    picture: Callable[[KeyImage], bytes]


def columns() -> tuple[str, ...]:
    """Columns of the table. Slices count from 1 in display order, as in the window.

    Units of the measured numbers are in their names, but for values of the voxels, whose unit is a
    column of its own.
    """
    return (
        "type",
        "name",
        "text",
        "slice",
        *(measure.column for measure in kinds.measures()),
        "value_unit",
        "points_lps_mm",
        "series_uid",
        "sop_instance_uids",
    )


def table(document: Document, volume: Volume, read: Read, unit: str) -> str:
    """One row an annotation, then one a key image, as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns(), restval="", lineterminator="\n")
    writer.writeheader()
    for annotation in document.annotations:
        writer.writerow(_row(annotation, volume, read, unit))
    for key_image in document.key_images:
        plane = key_image.plane
        writer.writerow(
            {
                "type": "key image",
                "name": _plain(key_image.note),
                "text": slab_text(key_image, volume),
                "slice": location.locate(volume, plane).text,
                "series_uid": volume.info.series_uid,
                "sop_instance_uids": " ".join(slice_instances(key_image, volume)),
            }
        )
    return out.getvalue()


def record(document: Document, volume: Volume, read: Read) -> str:
    """All annotations and key images with their geometry, as JSON; coordinates are LPS mm."""
    info = volume.info
    content: dict[str, Any] = {
        "coordinates": "LPS mm",
        "series_uid": info.series_uid,
        "study_uid": info.study_uid,
        "frame_of_reference_uid": info.frame_of_reference_uid,
        "affine_lps": volume.geometry.affine_lps.tolist(),
        "annotations": [_entry(a, volume, read) for a in document.annotations],
        "key_images": [
            key_image_fields(k)
            | {
                "slice": location.locate(volume, k.plane).text,
                "sop_instance_uids": list(slice_instances(k, volume)),
            }
            for k in document.key_images
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def series_words(volume: Volume) -> str:
    """A series beside the open one, as a report names it: its date, if given, and its name."""
    return " ".join(filter(None, (date(volume.info.study_date), volume.name)))


def sentence(annotation: Annotation, volume: Volume, read: Read, of: str = "") -> str:
    """A sentence for the report, e.g. "Liver lesion: 31.2 × 20.4 mm (axial 87/112).".

    `of` names the series where it is not the one that the report is about.
    """
    kind = annotation.kind
    name = annotation.name or (kind.title if kind.text is Text.NONE else "")
    what = ", ".join(read(annotation).lines)
    where = location.locate(volume, annotation.plane).text
    said = ": ".join(part for part in (name, what) if part) or kind.title
    return f"{said} ({', '.join(filter(None, (of, where)))})."


def slice_instances(key_image: KeyImage, volume: Volume) -> tuple[str, ...]:
    """The SOP Instance UIDs of the stored slices that a key image shows; none for other planes."""
    plane, slab = key_image.plane, key_image.slab
    stored = location.locate(volume, plane).plane == volume.geometry.plane
    return location.instances(volume, slices.ends_mm(volume, plane, slab)) if stored else ()


def centre_text(annotation: Annotation) -> str:
    """The middle of an annotation in LPS mm."""
    return numbers.millimetres(shapes.centre_mm(annotation))


def look_text(key_image: KeyImage, volume: Volume) -> str:
    """How a key image was looked at, e.g. "W 400 L 40, MIP 20.0 mm"."""
    parts = (window_text(key_image), slab_text(key_image, volume))
    return ", ".join(part for part in parts if part)


def slab_text(key_image: KeyImage, volume: Volume) -> str:
    """The slab of a key image in the words of its view; empty for one slice."""
    return slices.slab_text(volume, key_image.plane, key_image.slab)


def window_text(key_image: KeyImage) -> str:
    """The window of a key image, and its colours where they are not grey."""
    colours = "" if key_image.colours is ColourMap.GREY else key_image.colours.value
    turned = "inverted" if key_image.inverted else ""
    return " ".join(filter(None, (windows.describe(key_image.window), turned, colours)))


def _row(annotation: Annotation, volume: Volume, read: Read, unit: str) -> dict[str, str]:
    quantities = read(annotation).quantities
    row = {
        "type": annotation.kind.name,
        "name": _plain(annotation.name),
        "text": _plain(annotation.text),
        "slice": location.locate(volume, annotation.plane).text,
        "points_lps_mm": "; ".join(
            " ".join(f"{v:.3f}" for v in point) for point in annotation.points_mm
        ),
        "series_uid": volume.info.series_uid,
        "sop_instance_uids": " ".join(location.instances(volume, annotation.points_mm)),
    }
    row |= {q.measure.column: f"{q.value:.6g}" for q in quantities}
    if any(q.unit == unit for q in quantities):
        row["value_unit"] = unit
    return row


def _entry(annotation: Annotation, volume: Volume, read: Read) -> dict[str, Any]:
    return annotation_fields(annotation) | {
        "slice": location.locate(volume, annotation.plane).text,
        "sop_instance_uids": list(location.instances(volume, annotation.points_mm)),
        "values": [
            {"name": q.name, "value": q.value, "unit": q.unit} for q in read(annotation).quantities
        ],
    }


def _plain(text: str) -> str:
    """The reader's text, quoted where a spreadsheet would take it for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def key_images(drawn: Drawn) -> dict[str, bytes]:
    """The picture of every key image by its file name, which tells its number and slice."""
    files = {}
    for k, key_image in enumerate(drawn.document.key_images, start=1):
        where = location.locate(drawn.volume, key_image.plane).text.split("/")[0].replace(" ", "-")
        files[f"key-image-{k}-{where}.png"] = drawn.picture(key_image)
    return files


#: Every format of what is drawn, in the order of the menu.
FORMATS: tuple[ExportFormat[Drawn], ...] = (
    TextFormat(
        "Save the table (CSV)…",
        lambda drawn: table(drawn.document, drawn.volume, drawn.read, drawn.unit),
        "measurements.csv",
    ),
    TextFormat(
        "Save everything (JSON)…",
        lambda drawn: record(drawn.document, drawn.volume, drawn.read),
        "measurements.json",
    ),
    FilesFormat("Save key images (PNG)…", key_images, "Folder for the key images", "key image"),
)
