"""One small grey picture of an image. Knows no files and no widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from med2e3.volume import WINDOWS, SeriesInfo, Window

if TYPE_CHECKING:
    from med2e3.io.single import Single

#: Longest edge in pixels: a thumbnail of 56 logical pixels on a screen of scale 2.
EDGE = 112


#: The page that stands for a report: its edge in pixels, and where lines of it are written.
PAGE_EDGE, PAGE_GREY, INK_GREY = 56, 235, 120
PAGE_LINES = range(8, 50, 6)


def thumbnail_of_single(single: Single) -> NDArray[np.uint8]:
    """The picture of an image that belongs to no volume; a page with lines for a report."""
    from med2e3.io.single import SingleImage

    if not isinstance(single, SingleImage):
        return _page()
    if single.is_colour:
        return _reduced(single.values).astype(np.uint8)
    window = single.windows[0]
    with np.errstate(all="ignore"):
        grey = np.nan_to_num((_reduced(single.values) - window.low) / max(window.width, 1e-6))
    grey = 1 - grey if single.is_inverted else grey
    return np.asarray(np.clip(grey, 0, 1) * 255, np.uint8)


def _page() -> NDArray[np.uint8]:
    page = np.full((PAGE_EDGE, PAGE_EDGE * 3 // 4), PAGE_GREY, np.uint8)
    for k, line in enumerate(PAGE_LINES):
        page[line : line + 2, 6 : 26 if k % 3 == 2 else 36] = INK_GREY
    return page


def thumbnail(values: NDArray[Any], info: SeriesInfo) -> NDArray[np.uint8]:
    """Grey pixels (row, column) of at most `EDGE` a side, averaged so that nothing flickers."""
    with np.errstate(all="ignore"):  # numbers that are none, or too large to add, are black
        small = _reduced(values)
        window = _window(small, info)
        grey = np.nan_to_num((small - window.low) / max(window.width, 1e-6))
    return np.asarray(np.clip(grey, 0, 1) * 255, np.uint8)


def _reduced(values: NDArray[Any]) -> NDArray[np.float32]:
    """Means over blocks of (row, column) or (row, column, 3) values, at most `EDGE` a side."""
    step = max(1, -(-max(values.shape[:2]) // EDGE))
    rows, columns = (n // step * step for n in values.shape[:2])
    if not rows * columns:
        return np.zeros((1, 1, *values.shape[2:]), np.float32)
    blocks = np.asarray(values[:rows, :columns], np.float32)
    whole = (rows // step, step, columns // step, step, *values.shape[2:])
    return np.asarray(blocks.reshape(whole).mean(axis=(1, 3)))


def _window(values: NDArray[np.float32], info: SeriesInfo) -> Window:
    """The file's own window; else soft tissue for CT, else all values."""
    if info.windows:
        return info.windows[0]
    if info.is_ct:
        return WINDOWS["soft tissue"]
    low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, max(high - low, 1e-6))
