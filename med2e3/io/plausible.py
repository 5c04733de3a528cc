"""Which values can be Hounsfield units, and what is said of those that cannot.

Formats beside DICOM name no modality and no unit: their values alone tell. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Nothing in a body is darker than air; noise and sharp kernels reach some hundreds below it.
DARKEST_PLAUSIBLE_HU = -1500

#: The extended scale of CT, which holds metal, ends at 30,710 HU.
BRIGHTEST_PLAUSIBLE_HU = 30_710

#: A body that holds values above this without one below 0 (fat is at -100, air at -1000) is not
#: in HU: soft tissue without its intercept of -1024 lies here.
SOFT_TISSUE_WITHOUT_INTERCEPT = 1000


def doubts(value_range: tuple[float, float]) -> Iterator[str]:
    """Sentences about values between a lowest and a highest one that are not HU as they stand."""
    lowest, highest = value_range
    if lowest < DARKEST_PLAUSIBLE_HU:
        yield (
            f"The lowest value is {lowest:g}. In Hounsfield units that is below air: it is "
            "padding, or the values are of another unit. It is kept."
        )
    if highest > BRIGHTEST_PLAUSIBLE_HU:
        yield (
            f"The highest value is {highest:g}. In Hounsfield units that is above any metal: the "
            "values are of another unit, or stored in another way than the header says. It is kept."
        )
    elif lowest >= 0 and highest > SOFT_TISSUE_WITHOUT_INTERCEPT:
        yield (
            f"The values go from {lowest:g} to {highest:g}, and none is below 0 as fat and air are "
            "in Hounsfield units: the file is no CT, or lost its rescale intercept. CT windows "
            "will not fit."
        )
    elif not (float(lowest).is_integer() and float(highest).is_integer()) and _is_small(
        lowest, highest
    ):
        yield (
            f"The values go from {lowest:g} to {highest:g}: they are scaled to a unit range, or a "
            "map, and not Hounsfield units. CT windows will not fit."
        )


def _is_small(lowest: float, highest: float) -> bool:
    return lowest >= -1 and highest <= 1
