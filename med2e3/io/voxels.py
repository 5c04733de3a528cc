"""Fill a volume slice by slice, in int16 as long as all values fit.

Knows stored numbers, slopes and intercepts; nothing of files or geometry.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from med2e3.volume import AIR_HU
from med2e3.words import counted

Voxels = NDArray[np.int16] | NDArray[np.float32]

_LIMITS = np.iinfo(np.int16)

#: A larger number becomes infinity in the volume.
_LARGEST = float(np.finfo(np.float32).max)


class VoxelBuffer:
    """A (slice, row, column) array: int16 until a value does not fit, float32 from then on.

    `replaced` counts the voxels that were not finite numbers and became air. With `shown_early`
    slices are air until they are put; without it they are undefined, which saves the filling.
    """

    def __init__(self, shape: tuple[int, int, int], *, shown_early: bool = True) -> None:
        self._values: Voxels = np.empty(shape, dtype=np.int16)
        if shown_early:
            self._values.fill(AIR_HU)
        self.replaced = 0
        self._low, self._high = float("inf"), -float("inf")

    def put(
        self, k: int, stored: NDArray[np.generic], slope: float = 1.0, intercept: float = 0.0
    ) -> None:
        """Set slice `k` to slope · stored + intercept; `stored` is (row, column)."""
        if self._put_whole(k, stored, slope, intercept):
            return
        with np.errstate(all="ignore"):  # what becomes of it is counted below
            values = np.asarray(stored, dtype=np.float64) * slope + intercept
            bad = ~(np.abs(values) <= _LARGEST)
        if bad.any():
            self.replaced += int(np.count_nonzero(bad))
            values[bad] = AIR_HU
        if self._values.dtype == np.int16 and not _fits(values):
            filled = self._values
            self._values = np.empty(filled.shape, dtype=np.float32)
            self._values[...] = filled
        self._values[k] = values
        self._extend(float(values.min()), float(values.max()))

    def _put_whole(
        self, k: int, stored: NDArray[np.generic], slope: float, intercept: float
    ) -> bool:
        """Set slice `k` in place if it holds 16-bit whole numbers with slope 1; whether it did."""
        if self._values.dtype != np.int16 or slope != 1 or intercept != int(intercept):
            return False
        if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
            return False
        low, high = int(stored.min()) + intercept, int(stored.max()) + intercept
        if low < _LIMITS.min or high > _LIMITS.max:
            return False
        # Sums of 16 bits wrap around; since the true result fits, the wrapped one equals it.
        offset = np.array(int(intercept) & 0xFFFF, dtype=np.uint16)
        target = self._values[k].view(np.uint16)
        same = stored.dtype.itemsize == 2 and stored.dtype.isnative
        np.add(stored.view(np.uint16) if same else stored.astype(np.uint16), offset, out=target)
        self._extend(low, high)
        return True

    def _extend(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)

    @property
    def values(self) -> Voxels:
        """The array, of which some slices may not have been put yet."""
        return self._values

    @property
    def value_range(self) -> tuple[float, float]:
        """The smallest and largest value put in, as the array holds them, without another pass."""
        kind = self._values.dtype.type
        return float(kind(self._low)), float(kind(self._high))


def replaced_sentence(count: int) -> Iterator[str]:
    """A sentence about voxels that became air because they were not finite; none for none."""
    if count:
        yield (
            f"{counted(count, 'voxel')} were not finite numbers (NaN, infinity or a number above "
            f"{_LARGEST:.1g}) and became {AIR_HU}, which is air in Hounsfield units."
        )


def middle_out(count: int) -> list[int]:
    """The indices 0 to count − 1 by their distance from the middle, which a viewer shows first."""
    return sorted(range(count), key=lambda k: abs(k - count // 2))


def _fits(values: NDArray[np.float64]) -> bool:
    return bool(
        values.min() >= _LIMITS.min
        and values.max() <= _LIMITS.max
        and np.array_equal(values, np.rint(values))
    )
