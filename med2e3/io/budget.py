"""Whether a series fits into memory, said before it is read. Knows nothing of models or windows."""

from __future__ import annotations

from pathlib import Path

import psutil

from med2e3.errors import ResourceError
from med2e3.io.loading import Source
from med2e3.io.series import SeriesSummary, counted
from med2e3.words import size_text

#: Left to the system and to what the window itself needs while it shows a volume.
RESERVE_BYTES = 300 * 1024**2

#: An int16 volume; what the files do not tell before they are read (fractions) comes on top.
BYTES_A_VOXEL = 2

#: Where Linux keeps a container's own limit and use (cgroup v2, then v1).
LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def check_room(source: Source, series: SeriesSummary) -> None:
    """Raise `ResourceError`, with the numbers and the ways out, if `series` does not fit."""
    need = bytes_needed(source, series)
    free = free_bytes()
    if need + RESERVE_BYTES <= free:
        return
    slices, rows, columns = series.shape
    smaller = [
        s.label
        for s in source.series
        if s.is_volume and s is not series and bytes_needed(source, s) + RESERVE_BYTES <= free
    ]
    other = f", or open {smaller[0]}, which fits" if smaller else ""
    raise ResourceError(
        f"{series.label} ({counted(slices, 'slice')} of {columns} × {rows}) needs "
        f"{size_text(need)} of memory, and {size_text(max(0, free - RESERVE_BYTES))} are free "
        f"beside what the system needs. Close other programs{other}, or export it with "
        "thicker slices."
    )


def bytes_needed(source: Source, series: SeriesSummary) -> int:
    """Memory at the height of loading."""
    return source.indexed(series).bytes_needed or series.voxels * BYTES_A_VOXEL


def free_bytes() -> int:
    """Memory that a program may still take, within the limit of its container if it has one."""
    free = int(psutil.virtual_memory().available)
    for limit, used in LIMITS:
        bounds = _number(limit), _number(used)
        if bounds[0] is not None and bounds[1] is not None:
            return min(free, max(0, bounds[0] - bounds[1]))
    return free


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such limit, or the word "max"
        return None
