"""Read all of a header a second time, as texts, where what is read of every image is not enough.

Knows the layout of a data set, and no attribute's meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from med2e3.io.dicom.attributes import as_text
from med2e3.io.dicom.headers import Frame

#: Longer values are no labels.
LONGEST_VALUE = 200

#: What is pixels, or says how they are stored.
NO_LABELS = frozenset((0x0002, 0x0028, 0x7FE0))

#: Texts by keyword, or by tag where there is none, kept as long as their frames.
_DETAILS: WeakKeyDictionary[Frame, Mapping[str, str]] = WeakKeyDictionary()


def details(
    frames: Sequence[Frame], look: Callable[[], object] = lambda: None
) -> list[Mapping[str, str]]:
    """For each frame the texts of its header by keyword, nested ones included.

    An element without keyword goes by its name, or by "(0019,1027)". Of an enhanced file a frame
    has the elements of its own functional groups. A file that cannot be read again has none.
    `look` is called before each file is read.
    """
    files: dict[Path, Dataset] = {}
    for frame in frames:
        if frame not in _DETAILS:
            if frame.path not in files:
                look()
                files = {frame.path: _whole(frame.path)}
            _DETAILS[frame] = dict(_texts(files[frame.path], frame.number))
    return [_DETAILS[frame] for frame in frames]


def _whole(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception:  # it was readable before; loading says what has happened to it
        return Dataset()


def _texts(dataset: Dataset, number: int) -> Iterator[tuple[str, str]]:
    own = dataset.get("PerFrameFunctionalGroupsSequence")
    for element in _elements(dataset):
        if element.keyword != "PerFrameFunctionalGroupsSequence":
            yield from _of(element)
    if own and number < len(own):
        for element in _elements(own[number]):
            yield from _of(element)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for key in sorted(dataset.keys()):
        try:
            element = dataset[key]
        except Exception:
            continue
        if element.tag.group not in NO_LABELS:
            yield element


def _of(element: DataElement) -> Iterator[tuple[str, str]]:
    if element.VR == "SQ":
        for item in element.value or []:
            for inner in _elements(item):
                yield from _of(inner)
        return
    value = element.value
    text = value.hex() if isinstance(value, bytes) else as_text(value)
    if 0 < len(text) <= LONGEST_VALUE:
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        yield element.keyword or tag, text
