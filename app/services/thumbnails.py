"""One small grey picture of an image. Knows no files and no widgets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.volume import WINDOWS, SeriesInfo, Window

#: Longest edge in pixels: a thumbnail of 56 logical pixels on a screen of scale 2.
EDGE = 112


def thumbnail(values: NDArray[Any], info: SeriesInfo) -> NDArray[np.uint8]:
    """Grey pixels (row, column) of at most `EDGE` a side, averaged so that nothing flickers."""
    step = max(1, -(-max(values.shape) // EDGE))
    rows, columns = (n // step * step for n in values.shape)
    if not rows * columns:
        return np.zeros((1, 1), np.uint8)
    blocks = np.asarray(values[:rows, :columns], np.float32)
    with np.errstate(all="ignore"):  # numbers that are none, or too large to add, are black
        small = blocks.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
        window = _window(small, info)
        grey = np.nan_to_num((small - window.low) / max(window.width, 1e-6))
    return np.asarray(np.clip(grey, 0, 1) * 255, np.uint8)


def _window(values: NDArray[np.float32], info: SeriesInfo) -> Window:
    """The file's own window; else soft tissue for CT, else all values."""
    if info.windows:
        return info.windows[0]
    if info.is_ct:
        return WINDOWS["soft tissue"]
    low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, max(high - low, 1e-6))
