"""What an annotation measures on a volume, in numbers and in words.

Lengths in mm, angles in degrees, regions in the volume's unit. Knows no screens; `kinds` says which
kind is read by which function.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from app.imaging import numbers, windows
from app.imaging.slab import Slab
from app.viewmodels.annotation import location, shapes
from app.viewmodels.annotation.model import Annotation, Subject
from app.viewmodels.annotation.quantities import Measure, Quantity, Reading
from med2e3.geometry import Float
from med2e3.measures import angle_degrees, cobb_degrees, length_mm
from med2e3.regions import Statistics, interpolate, samples, statistics
from med2e3.volume import Volume

#: Above this, a Cobb angle may be meant as its supplement, which is then named beside it.
AMBIGUOUS_COBB = 60.0

#: Places on a line that are read at most: more than a screen has pixels across.
MOST_SAMPLES = 4096

#: Said of the value of one slice over a slab.
OF_ONE_SLICE = "of one slice, not of the slab"

#: Said of two diameters of which the reader has drawn only one.
SHORT_NOT_DRAWN = "short axis not measured: drag an end of it"

LENGTH = Measure("length", "length_mm", "mm")
POLYLINE_LENGTH = Measure("length along", "polyline_mm", "mm")
LONG_DIAMETER = Measure("long diameter", "long_diameter_mm", "mm")
SHORT_DIAMETER = Measure("short diameter", "short_diameter_mm", "mm")
ANGLE = Measure("angle", "angle_degrees", "°")
COBB_ANGLE = Measure("Cobb angle", "cobb_angle_degrees", "°")
VALUE = Measure("value", "value", None)
MEAN = Measure("mean", "mean", None)
SD = Measure("SD", "sd", None)
MINIMUM = Measure("min", "min", None)
MAXIMUM = Measure("max", "max", None)
AREA = Measure("area", "area_mm2", "mm²")
PIXELS = Measure("pixels", "pixels", "")

#: What a region measures.
STATISTICS = (MEAN, SD, MINIMUM, MAXIMUM, AREA, PIXELS)


def lines_over(annotation: Annotation, reading: Reading, slab: Slab) -> tuple[str, ...]:
    """What stands at an annotation over a slice, or over a slab of which it counts one slice."""
    name = (annotation.name,) if annotation.name else ()
    counts_less = slab.thickness_mm > 0 and annotation.kind.reads_voxels
    return (*name, *reading.lines, *((OF_ONE_SLICE,) if counts_less else ()))


def read(
    annotation: Annotation, volume: Volume, unit: str | None = None, *, traced: bool = False
) -> Reading:
    """Measure an annotation; `unit` of the voxels if it is known already.

    `traced`: the outline is still being drawn, and its area is that of its pixels.
    """
    unit = windows.unit_of(volume) if unit is None else unit
    return annotation.kind.read(annotation, Subject(volume, unit, traced))


def region_values(annotation: Annotation, volume: Volume) -> Float | None:
    """The values of the pixels in a region (n,); None for other kinds, and for none."""
    region = shapes.region(annotation)
    if region is None:
        return None
    found = samples(volume, region).values
    return found if found.size else None


def region_statistics(
    annotation: Annotation, volume: Volume, *, count_area: bool = False
) -> Statistics | None:
    """The statistics of a region; None for other kinds, and where it holds no pixel."""
    region = shapes.region(annotation)
    if region is None:
        return None
    return statistics(region, samples(volume, region), count_area=count_area)


# --- readings of kinds -------------------------------------------------------------------------


def length(annotation: Annotation, subject: Subject) -> Reading:
    """The length (mm) of the line through all points."""
    points = annotation.points_mm
    long = sum(length_mm(a, b) for a, b in itertools.pairwise(points))
    return Reading((Quantity(LENGTH, long, "mm"),), (f"{long:.1f} mm",))


def length_along(annotation: Annotation, subject: Subject) -> Reading:
    """The length (mm) of the line through all points, and how far its ends are apart."""
    points = annotation.points_mm
    steps = [length_mm(a, b) for a, b in itertools.pairwise(points)]
    said = f"{sum(steps):.1f} mm along"
    if len(steps) > 1:
        said += f", ends {length_mm(points[0], points[-1]):.1f} mm apart"
    return Reading((Quantity(POLYLINE_LENGTH, sum(steps), "mm"),), (said,))


def line_profile(annotation: Annotation, volume: Volume) -> tuple[Float, Float] | None:
    """Distances (n,) in mm from the first point, and the values (n,) there, between two points.

    The values are interpolated between eight voxels, half the shortest side of a voxel apart. None
    for other kinds, and where less than two of the places lie in the volume.
    """
    if annotation.kind.read is not profile or len(annotation.points_mm) < 2:
        return None
    ends = np.asarray(annotation.points_mm, np.float64)
    long = length_mm(*annotation.points_mm[:2])
    step = min(volume.geometry.spacing_mm) / 2
    along = np.linspace(0.0, long, min(max(2, math.ceil(long / step) + 1), MOST_SAMPLES))
    places = ends[0] + (ends[1] - ends[0]) * (along / max(long, 1e-9))[:, None]
    index = volume.geometry.to_index(places)
    inside = ((index >= -0.5) & (index <= np.asarray(volume.shape) - 0.5)).all(axis=1)
    if inside.sum() < 2:
        return None
    return along[inside], interpolate(volume, index[inside])


def profile(annotation: Annotation, subject: Subject) -> Reading:
    """The values on the line between two points: their mean, SD and range, and its length."""
    found = line_profile(annotation, subject.volume)
    long = sum(length_mm(a, b) for a, b in itertools.pairwise(annotation.points_mm))
    if found is None:
        return Reading((Quantity(LENGTH, long, "mm"),), (f"{long:.1f} mm",))
    values, unit = found[1], subject.unit
    quantities = (
        Quantity(LENGTH, long, "mm"),
        Quantity(MEAN, float(values.mean()), unit),
        Quantity(SD, float(values.std()), unit),
        Quantity(MINIMUM, float(values.min()), unit),
        Quantity(MAXIMUM, float(values.max()), unit),
    )
    mean = windows.with_unit(numbers.signed(float(values.mean())), unit)
    low, high = numbers.value(float(values.min())), numbers.value(float(values.max()))
    return Reading(quantities, (f"{long:.1f} mm, mean {mean}", f"min {low}, max {high}"))


def angle(annotation: Annotation, subject: Subject) -> Reading:
    """The angle (degrees) at the second of three points; nothing for fewer."""
    p = annotation.points_mm
    return Reading() if len(p) < 3 else _degrees(ANGLE, angle_degrees(p[0], p[1], p[2]))


def cobb_angle(annotation: Annotation, subject: Subject) -> Reading:
    """The angle (degrees) between two lines, with its supplement; nothing for fewer points."""
    p = annotation.points_mm
    if len(p) < 4:
        return Reading()
    cobb = cobb_degrees(p[:2], p[2:])
    other = f" or {180 - cobb:.1f}°" if cobb > AMBIGUOUS_COBB else ""
    return _degrees(COBB_ANGLE, cobb, other)


def diameters(annotation: Annotation, subject: Subject) -> Reading:
    """Two diameters (mm), the longer one first; nothing while the first one is drawn."""
    p = annotation.points_mm
    if len(p) < 4:
        return Reading()
    if not shapes.short_is_drawn(annotation):
        long = length_mm(*p[:2])
        return Reading((Quantity(LONG_DIAMETER, long, "mm"),), (f"{long:.1f} mm", SHORT_NOT_DRAWN))
    # Whichever is longer now: the reader may have pulled the second one out further.
    long, short = sorted((length_mm(*p[:2]), length_mm(*p[2:])), reverse=True)
    sizes = (Quantity(LONG_DIAMETER, long, "mm"), Quantity(SHORT_DIAMETER, short, "mm"))
    return Reading(sizes, (f"{long:.1f} × {short:.1f} mm",))


def text(annotation: Annotation, subject: Subject) -> Reading:
    """The reader's own words."""
    return Reading((), (annotation.text,) if annotation.text else ())


def voxel(annotation: Annotation, subject: Subject) -> Reading:
    """The value of the voxel at a point; on an oblique plane, interpolated as its view shows it."""
    volume, unit = subject.volume, subject.unit
    at = volume.geometry.to_index(annotation.points_mm[0])
    if not volume.geometry.contains(at):
        return Reading((), ("outside the volume",))
    if location.locate(volume, annotation.plane).plane is not None:
        s, r, c = np.clip(np.rint(at).astype(int), 0, np.asarray(volume.shape) - 1)
        value, how = float(volume.voxels[s, r, c]), ""
    else:
        value, how = float(interpolate(volume, at[None])[0]), ", interpolated"
    said = windows.with_unit(numbers.value(value), unit) + how
    return Reading((Quantity(VALUE, value, unit),), (said,))


def region(annotation: Annotation, subject: Subject) -> Reading:
    """The statistics of the pixels in a region, and its area."""
    unit = subject.unit
    found = region_statistics(annotation, subject.volume, count_area=subject.traced)
    if found is None:
        return Reading((), ("no pixel inside",))
    quantities = (
        Quantity(MEAN, found.mean, unit),
        Quantity(SD, found.sd, unit),
        Quantity(MINIMUM, found.minimum, unit),
        Quantity(MAXIMUM, found.maximum, unit),
        Quantity(AREA, found.area_mm2, "mm²"),
        Quantity(PIXELS, float(found.count), ""),
    )
    about = "≈ " if found.area_is_counted else ""
    mean = windows.with_unit(numbers.signed(found.mean), unit)
    low, high = numbers.value(found.minimum), numbers.value(found.maximum)
    return Reading(
        quantities,
        (
            f"mean {mean}, SD {found.sd:.1f}",
            f"min {low}, max {high}",
            f"{about}{found.area_mm2:.1f} mm², {found.count} px"
            + (", interpolated" if found.interpolated else ""),
        ),
    )


def _degrees(measure: Measure, degrees: float, other: str = "") -> Reading:
    if math.isnan(degrees):
        return Reading()
    return Reading((Quantity(measure, degrees, "°"),), (f"{degrees:.1f}°{other}",))
