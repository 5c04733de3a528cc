"""How much main memory a program can still take: the computer's, within its container's limit.

A limit of the process itself (`ulimit -v`, as clusters set it) counts too.

Page cache counts as free, for the system gives it up when a program asks for memory: after a large
folder was read it fills whatever is left of a container. Knows nothing of GPUs, whose memory torch
alone can ask for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

#: Where Linux shows the limits of groups of processes (the kernel's admin-guide, cgroup-v1 and v2).
CGROUPS = Path("/sys/fs/cgroup")

#: Which of these groups this process is in, one line a hierarchy: "number:controllers:path".
OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class _Files:
    """Names of a group's limit and use, in bytes, and the lines of memory.stat that can be freed.

    A line counts the groups below too, as limit and use do. Shared memory is not among them.
    """

    limit: str
    use: str
    reclaimable: tuple[str, ...]


_V1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
)
_V2 = _Files("memory.max", "memory.current", ("active_file", "inactive_file", "slab_reclaimable"))


def free_bytes(cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> int:
    """Bytes of main memory that this process can take now, without swapping.

    Each group around the process may have a limit, and so may the process; the narrowest counts.
    """
    free = int(psutil.virtual_memory().available)
    rooms = [_room(folder, files) for folder, files in _groups(cgroups, own_cgroups)]
    return min([free, *(room for room in (*rooms, _own_room()) if room is not None)])


def _own_room() -> int | None:
    """Bytes of address space that the process's own limit leaves; None where it has none."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    return max(0, limit - int(psutil.Process().memory_info().vms))


def _groups(cgroups: Path, own_cgroups: Path) -> Iterator[tuple[Path, _Files]]:
    """Folders of the groups around this process, innermost first, in the form of their version.

    A container often sees its own group as the root, below which its path from outside is missing.
    """
    try:
        lines = own_cgroups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, files = cgroups, _V2
        elif "memory" in controllers.split(","):
            root, files = cgroups / "memory", _V1
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for level in (inside, *inside.parents):
            if ".." not in level.parts:
                yield root / level, files


def _room(folder: Path, files: _Files) -> int | None:
    """Bytes that one group's limit leaves; None where it has no limit, or is not visible."""
    try:
        limit = int((folder / files.limit).read_text(encoding="ascii"))
        used = int((folder / files.use).read_text(encoding="ascii"))
        statistics = (folder / "memory.stat").read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
    counts = dict(zip(statistics[::2], map(int, statistics[1::2]), strict=True))
    return max(0, limit - used + sum(counts.get(name, 0) for name in files.reclaimable))
