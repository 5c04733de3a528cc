"""Which grey-level window a volume is shown with. Knows no pixels and no model."""

from __future__ import annotations

import math

import numpy as np

from app.imaging.numbers import signed
from med2e3.volume import WINDOWS, Volume, Window

#: The preset that spans every value of the volume.
FULL_RANGE = "full range"

#: Presets in the order of the number keys 1 to 7.
PRESETS = (*WINDOWS, FULL_RANGE)

#: Values below this occur in CT (air, about −1000 HU) and in no other common image.
CT_AIR_BELOW = -200.0

#: Dragging over this many pixels doubles the width (or moves the centre by one width).
DRAG_PIXELS = 300.0


#: Said where the unit of the values is not known.
NO_UNIT = "value"

#: Rescale types of CT (PS3.3 C.11.1.1.2): left out means HU; US, unspecified, does not say HU.
HOUNSFIELD, UNSPECIFIED = ("", "HU"), "US"

#: With these, values lie where Hounsfield units do, so that air is air and CT windows fit.
LIKE_HOUNSFIELD = (*HOUNSFIELD, "HU_MOD", UNSPECIFIED)


def preset(name: str, volume: Volume) -> Window:
    """The window of that name (one of `PRESETS`) for a volume."""
    return full_range(volume) if name == FULL_RANGE else WINDOWS[name]


def full_range(volume: Volume) -> Window:
    """From the smallest to the largest value."""
    low, high = volume.value_range
    return Window((low + high) / 2, max(high - low, 1e-6))


def is_ct(volume: Volume) -> bool:
    """Whether values lie as those of CT do: the file says CT, or names nothing and has air."""
    if volume.info.unit not in LIKE_HOUNSFIELD:
        return False
    if volume.info.modality:
        return volume.info.is_ct
    return float(_sample(volume).min()) < CT_AIR_BELOW


def unit_of(volume: Volume) -> str:
    """The file's own word; HU for CT that says nothing else; "value" where nobody knows."""
    own = volume.info.unit
    if own in HOUNSFIELD:
        return "HU" if is_ct(volume) else NO_UNIT
    return NO_UNIT if own == UNSPECIFIED else own


def with_unit(number: str, unit: str) -> str:
    """E.g. "40 HU"; the number alone without a unit."""
    return number if unit in ("", NO_UNIT) else f"{number} {unit}"


def initial(volume: Volume) -> Window:
    """The window that the file asks for; else soft tissue for CT; else the middle 98 %."""
    for window in volume.info.windows:
        if math.isfinite(window.centre) and window.width >= 1:
            return window
    if is_ct(volume):
        return WINDOWS["soft tissue"]
    low, high = (float(v) for v in np.percentile(_sample(volume).astype(np.float64), (1, 99)))
    return Window((low + high) / 2, max(high - low, 1e-6))


def dragged(window: Window, dx: float, dy: float) -> Window:
    """Right: wider; down: higher centre, a darker image. Steps follow the width."""
    width = window.width * 2 ** (dx / DRAG_PIXELS)
    return Window(window.centre + dy * window.width / DRAG_PIXELS, max(width, 1e-6))


def name_of(window: Window) -> str:
    """The preset that a window is, or an empty string."""
    return next((name for name, known in WINDOWS.items() if known == window), "")


def describe(window: Window) -> str:
    """E.g. "W 400 L 40"; two decimals only for windows narrower than 10."""
    digits = 0 if window.width >= 10 else 2
    return f"W {window.width:.{digits}f} L {signed(window.centre, digits)}"


def _sample(volume: Volume) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    # About 64 positions an axis tell the kind of an image without reading all of it.
    steps = tuple(slice(None, None, max(1, n // 64)) for n in volume.shape)
    return np.asarray(volume.voxels[steps])
