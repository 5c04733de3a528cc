"""The grey-level window of a volume: presets, the first window, drags. Knows no pictures."""

from __future__ import annotations

import math

import numpy as np

from app.imaging.numbers import signed
from med2e3.volume import WINDOWS, Volume, Window

#: The preset that spans every value of the volume.
FULL_RANGE = "full range"

#: Presets that stand before the full range: hands know them by the keys 1 to 6, and it by 7.
FIRST_PRESETS = 6

#: Presets in the order of the number keys.
PRESETS = (*tuple(WINDOWS)[:FIRST_PRESETS], FULL_RANGE, *tuple(WINDOWS)[FIRST_PRESETS:])

#: Values below this occur in CT (air, about −1000 HU) and in no other common image.
CT_AIR_BELOW = -200.0

#: Dragging over this many pixels doubles the width (or moves the centre by one width).
DRAG_PIXELS = 300.0


#: Stands for the unit of values where it is unknown.
NO_UNIT = "value"

#: Rescale types of CT (PS3.3 C.11.1.1.2): left out means HU; US, unspecified, does not say HU.
HOUNSFIELD, UNSPECIFIED = ("", "HU"), "US"

#: With these, values lie where Hounsfield units do, so that air is air and CT windows fit.
LIKE_HOUNSFIELD = (*HOUNSFIELD, "HU_MOD", UNSPECIFIED)


def preset(name: str, volume: Volume) -> Window:
    """The window of that name (one of `PRESETS`) for a volume."""
    return full_range(volume) if name == FULL_RANGE else WINDOWS[name]


def full_range(volume: Volume) -> Window:
    """The window from the smallest to the largest value of a volume."""
    low, high = volume.value_range
    return Window((low + high) / 2, max(high - low, 1e-6))


def is_ct(volume: Volume) -> bool:
    """Whether values are like those of CT: the file says CT, or has no modality but air."""
    if volume.info.unit not in LIKE_HOUNSFIELD:
        return False
    if volume.info.modality:
        return volume.info.is_ct
    return float(_sample(volume).min()) < CT_AIR_BELOW


def unit_of(volume: Volume) -> str:
    """The unit in the file; HU for CT without one; `NO_UNIT` where it is unknown."""
    own = volume.info.unit
    if own in HOUNSFIELD:
        return "HU" if is_ct(volume) else NO_UNIT
    return NO_UNIT if own == UNSPECIFIED else own


def with_unit(number: str, unit: str) -> str:
    """A number with its unit, e.g. "40 HU"; the number alone where the unit is unknown."""
    return number if unit in ("", NO_UNIT) else f"{number} {unit}"


def initial(volume: Volume) -> Window:
    """The first window: the file's, else soft tissue for CT, else the middle 98 % of values."""
    for window in volume.info.windows:
        if math.isfinite(window.centre) and window.width >= 1:
            return window
    if is_ct(volume):
        return WINDOWS["soft tissue"]
    low, high = (float(v) for v in np.percentile(_sample(volume).astype(np.float64), (1, 99)))
    return Window((low + high) / 2, max(high - low, 1e-6))


def dragged(window: Window, dx: float, dy: float) -> Window:
    """The window after a drag in logical pixels: right widens it, down raises its centre.

    The steps are proportional to the width.
    """
    width = window.width * 2 ** (dx / DRAG_PIXELS)
    return Window(window.centre + dy * window.width / DRAG_PIXELS, max(width, 1e-6))


def name_of(window: Window) -> str:
    """The name of the preset that equals a window, or an empty string."""
    return next((name for name, known in WINDOWS.items() if known == window), "")


def describe(window: Window) -> str:
    """E.g. "W 400 L 40"; two decimals only for windows narrower than 10."""
    digits = 0 if window.width >= 10 else 2
    return f"W {window.width:.{digits}f} L {signed(window.centre, digits)}"


def _sample(volume: Volume) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    # About 64 positions an axis tell the kind of an image without reading all of it.
    steps = tuple(slice(None, None, max(1, n // 64)) for n in volume.shape)
    return np.asarray(volume.voxels[steps])
