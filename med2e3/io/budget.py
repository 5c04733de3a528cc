"""Memory that a series needs, compared with what is free before the series is read.

Knows nothing of models or windows.
"""

from __future__ import annotations

from med2e3.io.bounds import too_large
from med2e3.io.loading import Source
from med2e3.io.series import SeriesSummary
from med2e3.memory import free_bytes
from med2e3.words import counted

#: Left to the system and to what the window itself needs while it shows a volume.
RESERVE_BYTES = 300 * 1024**2

#: An int16 volume; what the files do not tell before they are read (fractions) comes on top.
BYTES_A_VOXEL = 2


def check_room(source: Source, series: SeriesSummary) -> None:
    """Raise `ResourceError`, with the numbers and the ways out, if `series` does not fit.

    Raises `ImageReadError` where no file of its size can hold what the headers say.
    """
    need = bytes_needed(source, series)
    free = free_bytes()
    if need + RESERVE_BYTES <= free:
        return
    source.indexed(series).check()  # a claim that no file of its size can hold is no need
    slices, rows, columns = series.shape
    smaller = [
        s.label
        for s in source.series
        if s.is_volume and s is not series and bytes_needed(source, s) + RESERVE_BYTES <= free
    ]
    other = f", or open {smaller[0]}, which fits" if smaller else ""
    raise too_large(
        f"{series.label} ({counted(slices, 'slice')} of {columns} × {rows})",
        need,
        free - RESERVE_BYTES,
        f"Close other programs{other}, or export it with thicker slices.",
    )


def bytes_needed(source: Source, series: SeriesSummary) -> int:
    """Memory at the height of loading."""
    return source.indexed(series).bytes_needed or series.voxels * BYTES_A_VOXEL
