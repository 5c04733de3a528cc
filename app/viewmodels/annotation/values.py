"""What an annotation measures on a volume, in numbers and in words.

Lengths in mm, angles in degrees, regions in the volume's unit. Knows no screens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from app.imaging import numbers, windows
from app.imaging.slab import Slab
from app.viewmodels.annotation import places, shapes
from app.viewmodels.annotation.model import REGIONS, TEXTS, Annotation, Kind
from med2e3.geometry import Float
from med2e3.measures import angle_degrees, cobb_degrees, length_mm
from med2e3.regions import Statistics, interpolate, samples, statistics
from med2e3.volume import Volume

#: Above this, a Cobb angle may be meant as its supplement, which is then named beside it.
AMBIGUOUS_COBB = 60.0


#: What reads voxels: of the slice that it is drawn on, whatever is laid over one another there.
COUNTING = (*REGIONS, Kind.PROBE)

#: Said of it over a slab.
OF_ONE_SLICE = "of one slice, not of the slab"


@dataclass(frozen=True)
class Quantity:
    """One measured number with its unit, as it goes into a table."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Reading:
    """What an annotation says: numbers for tables, lines for the screen."""

    quantities: tuple[Quantity, ...]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """In one line."""
        return ", ".join(self.lines)


def lines_over(annotation: Annotation, reading: Reading, slab: Slab) -> tuple[str, ...]:
    """What stands at an annotation over a slice, or over a slab of which it counts one slice."""
    name = (annotation.name,) if annotation.name else ()
    counts_less = slab.thickness_mm > 0 and annotation.kind in COUNTING
    return (*name, *reading.lines, *((OF_ONE_SLICE,) if counts_less else ()))


def read(
    annotation: Annotation, volume: Volume, unit: str | None = None, *, traced: bool = False
) -> Reading:
    """Measure an annotation; `unit` of the voxels if it is known already.

    `traced`: the outline is still being drawn, and its area is that of its pixels.
    """
    unit = windows.unit_of(volume) if unit is None else unit
    if annotation.kind in REGIONS:
        return _region(annotation, volume, unit, traced=traced)
    if annotation.kind in TEXTS:
        return Reading((), (annotation.text,) if annotation.text else ())
    if annotation.kind is Kind.PROBE:
        return _probe(annotation, volume, unit)
    return _lines(annotation)


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


def _lines(annotation: Annotation) -> Reading:
    p = annotation.points_mm
    if annotation.kind is Kind.ANGLE and len(p) == 3:
        angle = angle_degrees(p[0], p[1], p[2])
        return _degrees("angle", angle)
    if annotation.kind is Kind.COBB and len(p) == 4:
        angle = cobb_degrees(p[:2], p[2:])
        other = f" or {180 - angle:.1f}°" if angle > AMBIGUOUS_COBB else ""
        return _degrees("Cobb angle", angle, other)
    if annotation.kind is Kind.BIDIRECTIONAL and len(p) == 4:
        # Whichever is longer now: the reader may have pulled the second one out further.
        long, short = sorted((length_mm(*p[:2]), length_mm(*p[2:])), reverse=True)
        sizes = (Quantity("long diameter", long, "mm"), Quantity("short diameter", short, "mm"))
        return Reading(sizes, (f"{long:.1f} × {short:.1f} mm",))
    if annotation.kind is Kind.LENGTH:
        length = length_mm(p[0], p[1])
        return Reading((Quantity("length", length, "mm"),), (f"{length:.1f} mm",))
    return Reading((), ())  # an angle on its way, with too few points for one


def _degrees(name: str, angle: float, other: str = "") -> Reading:
    if math.isnan(angle):
        return Reading((), ())
    return Reading((Quantity(name, angle, "°"),), (f"{angle:.1f}°{other}",))


def _probe(annotation: Annotation, volume: Volume, unit: str) -> Reading:
    at = volume.geometry.to_index(annotation.points_mm[0])
    if not volume.geometry.contains(at):
        return Reading((), ("outside the volume",))
    if places.where(volume, annotation.plane).plane is not None:
        s, r, c = np.clip(np.rint(at).astype(int), 0, np.asarray(volume.shape) - 1)
        value, how = float(volume.voxels[s, r, c]), ""
    else:  # between stored slices, as its view shows it
        value, how = float(interpolate(volume, at[None])[0]), ", interpolated"
    said = windows.with_unit(numbers.value(value), unit) + how
    return Reading((Quantity("value", value, unit),), (said,))


def _region(annotation: Annotation, volume: Volume, unit: str, *, traced: bool) -> Reading:
    found = region_statistics(annotation, volume, count_area=traced)
    if found is None:
        return Reading((), ("no pixel inside",))
    quantities = (
        Quantity("mean", found.mean, unit),
        Quantity("SD", found.sd, unit),
        Quantity("min", found.minimum, unit),
        Quantity("max", found.maximum, unit),
        Quantity("area", found.area_mm2, "mm²"),
        Quantity("pixels", float(found.count), ""),
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
