"""Names of the labels of a label map: its own, those of a text file, those of TotalSegmentator.

A NIfTI file may hold a table of names in an extension of its header, as TotalSegmentator writes it.
Text files are ITK-SNAP's, 3D Slicer's, JSON, or a number and a name a line. Knows no voxels.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from med2e3.errors import ImageReadError

#: Suffixes of files of names, in the order in which they are looked for beside a label map.
SUFFIXES = (".txt", ".json", ".csv", ".ctbl", ".label", ".tsv")

#: Bytes of a file of names at most: 4,000 names take 200 kB.
LONGEST = 4 * 1024**2

#: A row of a table in XML, as GIFTI and TotalSegmentator write it.
XML_LABEL = re.compile(r'<Label\b[^>]*\bKey="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]+)')

#: A row of ITK-SNAP: number, three colours, opacity, two switches, and a name in quotes.
SNAP_ROW = re.compile(r'^\s*(\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+\d+\s+\d+\s+"(.*)"\s*$')

#: A row of 3D Slicer: number, name, four colours.
SLICER_ROW = re.compile(r"^\s*(\d+)\s+(\S+)\s+\d+\s+\d+\s+\d+\s+\d+\s*$")

#: A row of any other table: number, separator, name.
PLAIN_ROW = re.compile(r'^\s*"?(\d+)"?\s*[,;:=\t ]\s*"?(.+?)"?\s*$')


def _numbered(stem: str, first: int, last: int) -> tuple[str, ...]:
    step = 1 if last >= first else -1
    return tuple(f"{stem}{k}" for k in range(first, last + step, step))


def _sides(*stems: str, first: str = "left") -> tuple[str, ...]:
    second = "right" if first == "left" else "left"
    return tuple(f"{stem} {side}" for stem in stems for side in (first, second))


#: The classes of TotalSegmentator's task "total", version 2, from 1 on.
TOTAL_SEGMENTATOR: tuple[str, ...] = (
    "spleen", *_sides("kidney", first="right"), "gallbladder", "liver", "stomach", "pancreas",
    *_sides("adrenal gland", first="right"), "lung upper lobe left", "lung lower lobe left",
    "lung upper lobe right", "lung middle lobe right", "lung lower lobe right", "esophagus",
    "trachea", "thyroid gland", "small bowel", "duodenum", "colon", "urinary bladder", "prostate",
    *_sides("kidney cyst"), "sacrum", "vertebra S1", *_numbered("vertebra L", 5, 1),
    *_numbered("vertebra T", 12, 1), *_numbered("vertebra C", 7, 1), "heart", "aorta",
    "pulmonary vein", "brachiocephalic trunk",
    *_sides("subclavian artery", "common carotid artery", first="right"),
    *_sides("brachiocephalic vein"), "atrial appendage left", "superior vena cava",
    "inferior vena cava", "portal vein and splenic vein", *_sides("iliac artery", "iliac vein"),
    *_sides("humerus", "scapula", "clavicle", "femur", "hip"), "spinal cord",
    *_sides("gluteus maximus", "gluteus medius", "gluteus minimus", "autochthon", "iliopsoas"),
    "brain", "skull", *_numbered("rib left ", 1, 12), *_numbered("rib right ", 1, 12), "sternum",
    "costal cartilages",
)  # fmt: skip


def total_segmentator() -> dict[int, str]:
    """The names by their values."""
    return dict(enumerate(TOTAL_SEGMENTATOR, start=1))


def names_of(path: Path) -> dict[int, str]:
    """The names that the label map at `path`, or a file of names beside it, states; else none."""
    own = _of_nifti(path) if path.name.lower().endswith((".nii", ".nii.gz")) else {}
    if own or not path.is_file():
        return own
    stem = path.name.split(".")[0]
    for suffix in SUFFIXES:
        beside = path.with_name(stem + suffix)
        if beside.is_file() and beside != path:
            try:
                return read_names(beside)
            except ImageReadError:  # any text may lie there
                continue
    return {}


def read_names(path: Path) -> dict[int, str]:
    """The names in a text file. Raises `ImageReadError` where it holds none."""
    with path.open("rb") as file:
        text = file.read(LONGEST).decode("utf-8", "replace")
    names = parse_names(text)
    if not names:
        raise ImageReadError(
            f"{path} holds no names of labels. Choose a file with a number and a name a line, or "
            "one that ITK-SNAP or 3D Slicer wrote."
        )
    return names


def parse_names(text: str) -> dict[int, str]:
    """The names in a text by their values; empty where it holds none."""
    if names := _of_xml(text):
        return names
    if text.lstrip().startswith("{"):
        return _of_json(text)
    found = {}
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for row in (SNAP_ROW, SLICER_ROW, PLAIN_ROW):
            if (match := row.match(line)) is not None:
                found[int(match[1])] = _clean(match[2])
                break
    return _without_background(found)


def _of_json(text: str) -> dict[int, str]:
    """{"1": "liver"}, or {"liver": 1} as nnU-Net writes it, also within "labels"."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    table = read.get("labels", read)
    if not isinstance(table, dict):
        return {}
    found = {}
    for key, value in table.items():
        if key.isdecimal() and isinstance(value, str):
            found[int(key)] = _clean(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            found[value] = _clean(key)
    return _without_background(found)


def _of_xml(text: str) -> dict[int, str]:
    return _without_background({int(key): _clean(name) for key, name in XML_LABEL.findall(text)})


def _of_nifti(path: Path) -> dict[int, str]:
    import nibabel  # here: reading a DICOM study does without it

    try:
        extensions = nibabel.load(path).header.extensions
        texts = [_content(one) for one in extensions]
    except Exception:  # a header without names is opened by the reader, which says what is wrong
        return {}
    for text in texts:
        if names := _of_xml(text):
            return names
    return {}


def _content(extension: Any) -> str:
    """The content of an extension as text; nibabel gives bytes or text, by its code."""
    content = extension.get_content()
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)


def _clean(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _without_background(names: dict[int, str]) -> dict[int, str]:
    return {value: name for value, name in names.items() if value > 0 and name}
