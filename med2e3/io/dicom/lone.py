"""Put images together of which each was given a series UID of its own.

Some converters and de-identifiers do that. Knows headers; whether the images form a stack is judged
by positions alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from med2e3.errors import GeometryError
from med2e3.io.dicom.attributes import text
from med2e3.io.dicom.duplicates import SAME_POSITION_MM
from med2e3.io.dicom.headers import Frame, Header
from med2e3.io.dicom.positions import is_even, slice_positions

#: Fewest images that are a series: two lie evenly wherever they are.
FEWEST = 3

#: What images of one series share, whatever became of their UIDs.
SHARED = (
    "PatientID", "PatientName", "StudyDate", "StudyTime", "SeriesDescription", "ProtocolName",
    "Modality",
)  # fmt: skip

#: UIDs that all images share, or none.
ALL_OR_NONE = ("StudyInstanceUID", "FrameOfReferenceUID")

Key = tuple[str, ...]


def reunited(groups: Mapping[Key, Sequence[Header]]) -> dict[Key, Sequence[Header]]:
    """The `groups` of headers by series, where single images that form an even stack are one."""
    alike: dict[tuple[object, ...], list[Key]] = defaultdict(list)
    for key, members in groups.items():
        if len(members) == 1 and len(members[0].frames) == 1:
            alike[_likeness(members[0].frames[0])].append(key)
    joined: dict[Key, Sequence[Header]] = {}
    gone: set[Key] = set()
    for keys in alike.values():
        headers = [groups[key][0] for key in keys]
        if _are_stack(headers):
            joined[("of lone images", *keys[0])] = headers
            gone.update(keys)
    return {**{key: members for key, members in groups.items() if key not in gone}, **joined}


def lone_note(key: Key, count: int) -> tuple[str, ...]:
    """What is said of a series that was put together here; nothing of others."""
    if key[0] != "of lone images":
        return ()
    return (
        f"Each of the {count} images has a series UID of its own. They were put together because "
        "they lie on one grid and all else fits.",
    )


def _likeness(frame: Frame) -> tuple[object, ...]:
    words = tuple(text(frame.header, word) for word in SHARED)
    turned = tuple(round(cosine, 3) + 0.0 for cosine in frame.orientation)
    size = frame.pixels.rows, frame.pixels.columns, *(round(mm, 3) for mm in frame.spacing)
    return (*words, frame.kernel, frame.thickness, frame.image_type, turned, size)


def _are_stack(headers: Sequence[Header]) -> bool:
    frames = [header.frames[0] for header in headers]
    if len(frames) < FEWEST or not all(frame.has_position for frame in frames):
        return False
    for word in ALL_OR_NONE:
        if len({text(header.dataset, word) for header in headers}) not in (1, len(headers)):
            return False
    try:
        order = np.argsort(slice_positions(frames).along)
        positions = slice_positions([frames[k] for k in order])
    except GeometryError:
        return False
    return bool(np.diff(positions.along).min() > SAME_POSITION_MM) and is_even(positions)
