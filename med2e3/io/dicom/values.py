"""From stored numbers to values: slope and intercept, or a table; their unit, and padding.

Knows what a header states of them; nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.io.dicom.attributes import Attributes, OddHeaderError, as_text, first_item
from med2e3.io.plausible import BRIGHTEST_PLAUSIBLE_HU, DARKEST_PLAUSIBLE_HU

#: How files write the Rescale Type of Hounsfield units, in small letters; the standard has "HU".
HOUNSFIELD = ("hu", "h.u.", "hounsfield", "hounsfield unit", "hounsfield units")


@dataclass(frozen=True, eq=False)
class Table:
    """A Modality LUT (PS3.3 C.11.1): stored number `first` has the first of `values`.

    Numbers below `first` have the first value, those beyond the table the last one. `kind` is the
    Modality LUT Type.
    """

    first: int
    values: NDArray[np.float32]
    kind: str

    def __call__(self, stored: NDArray[np.generic]) -> NDArray[np.float32]:
        """The values of stored numbers."""
        index = np.clip(stored.astype(np.int64) - self.first, 0, len(self.values) - 1)
        return self.values[index]


def table_of(dataset: Attributes) -> Table | None:
    """The Modality LUT of a file; None where it has none. `OddHeaderError` for a torn one."""
    item = first_item(dataset, "ModalityLUTSequence")
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or data is None:
        return None
    count, first, bits = (int(n) for n in descriptor)
    if dataset.get("PixelRepresentation") and first >= 1 << 15:
        first -= 1 << 16
    if isinstance(data, bytes):
        values = np.frombuffer(data, "<u2" if bits > 8 else "u1")
    else:
        values = np.asarray(data)
    count = count or 1 << 16  # a count that does not fit its 16 bits is written as 0
    if len(values) < count:
        raise OddHeaderError(f"its Modality LUT has {len(values)} of {count} entries")
    kind = unit_of(item.get("ModalityLUTType"))
    return Table(first, values[:count].astype(np.float32), kind)


def rescale_of(slope: Any, intercept: Any) -> tuple[float, float] | None:
    """(slope, intercept), where a missing one counts as 1 or 0.

    None where both are missing, or where they are not finite or would make all values equal.
    """
    if slope is None and intercept is None:
        return None
    pair = _float(slope, 1.0), _float(intercept, 0.0)
    return pair if pair[0] and all(map(math.isfinite, pair)) else None


def _float(stated: Any, otherwise: float) -> float:
    if stated in (None, ""):
        return otherwise
    return float(stated.replace(",", ".")) if isinstance(stated, str) else float(stated)


def unit_of(stated: Any) -> str:
    """The Rescale Type as the standard writes it."""
    if stated is None or stated == "HU":
        return stated or ""
    text = as_text(stated)
    return "HU" if text.lower() in HOUNSFIELD else text


def padding_of(dataset: Attributes, allocated: int) -> tuple[int, int] | None:
    """The lowest and highest stored number that stand for no data (PS3.3 C.7.5.1.1.2).

    Files exist that write a negative one as unsigned, or one of unsigned pixels as negative: the
    same bits are meant.
    """
    ends = [
        int(end)
        for word in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for end in _several(dataset.get(word))
    ]
    if not ends or not _several(dataset.get("PixelPaddingValue")):
        return None
    whole = 1 << min(allocated, 16)  # the attribute itself has 16 bits
    if dataset.get("PixelRepresentation"):
        ends = [end - whole if end >= whole // 2 else end for end in ends]
    else:
        ends = [end + whole if end < 0 else end for end in ends]
    return min(ends), max(ends)


def is_padding(
    stored: NDArray[np.integer[Any]],
    padding: tuple[int, int],
    rescale: tuple[float, float],
    *,
    is_lossy: bool,
) -> NDArray[np.bool_]:
    """Where the stored numbers of a CT stand for no data.

    Lossy compression moves padding off its value: then all that no CT measures, on the side of the
    declared values, stands for none.
    """
    empty: NDArray[np.bool_] = (stored >= padding[0]) & (stored <= padding[1])
    slope, intercept = rescale
    ends = sorted(slope * end + intercept for end in padding)
    if is_lossy and ends[1] < DARKEST_PLAUSIBLE_HU:
        empty |= stored * slope + intercept < DARKEST_PLAUSIBLE_HU
    elif is_lossy and ends[0] > BRIGHTEST_PLAUSIBLE_HU:
        empty |= stored * slope + intercept > BRIGHTEST_PLAUSIBLE_HU
    return empty


def _several(value: Any) -> tuple[Any, ...]:
    """The values of an attribute, whether it has one or several; none for undecoded bytes."""
    if value is None or isinstance(value, bytes | str):
        return ()
    return tuple(value) if isinstance(value, Iterable) else (value,)
