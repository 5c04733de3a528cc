"""Reads M3D-Bench's tasks about regions: boxes, names and masks of M3D-Seg and M3D-RefSeg.

Prepared files, as published: `NNNN/NNNN.json` with rows of image and mask of one class
(`masks/mask_3.npy`), and M3D-RefSeg's CSV. Knows nothing of models.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from med2e3.errors import InputError
from med2e3.evaluation.m3d_files import Item, Listed
from med2e3.evaluation.reading import Reading, load_array
from med2e3.evaluation.tables import columns_of, json_of, rows_of
from med2e3.model.regions import Terms, ask_region, mask_to_box

REFSEG_COLUMNS = ("Image", "Mask", "Mask_ID", "Question", "Answer")

#: The sets that M3D-Bench takes for boxes and names, and those for masks.
BOX_SETS, MASK_SETS = ("0003",), ("0003", "0011", "0012")

#: Topics by kind of question, and whether it is asked by a description.
TOPICS = {
    ("REC", False): "REC, named", ("REC", True): "REC, described",
    ("REG", False): "REG, named", ("REG", True): "REG, described",
    ("SEG", False): "segmentation, named", ("SEG", True): "segmentation, described",
}  # fmt: skip
REFERRING = "referring segmentation"

#: Set apart the draws of wordings from others of the seed.
_STREAM = 77

_CLASS = re.compile(r"mask_(\d+)$")
_WHOLE = Reading(crop=False)


@dataclass(frozen=True)
class MaskRow:
    """One mask of one class: its files, the set and the number of the class."""

    dataset: str
    row: int
    image: Path
    mask: Path
    number: int


def mask_rows(file: Path, split: str = "test") -> Iterator[MaskRow | str]:
    """The rows of one set's list, or a sentence for a row that is none. Raises `InputError`."""
    said = json_of(file)
    if not isinstance(said, dict) or not isinstance(said.get(split), list):
        raise InputError(f"{file} has no list “{split}”; it is no M3D-Seg list.")
    for row, entry in enumerate(said[split], start=1):
        where = f"{file}, entry {row}"
        try:
            image, mask = (place(str(entry[key]), file.parent) for key in ("image", "label"))
            found = _CLASS.search(mask.stem)
            if found is None:
                raise InputError(f"{mask.name} does not say its class (mask_NUMBER.npy).")
            yield MaskRow(file.stem, row, image, mask, int(found[1]))
        except (InputError, KeyError, TypeError) as error:
            yield f"{where}: {error}"


def region_items(
    rows: Sequence[MaskRow], terms: Terms, seed: int, kinds: Sequence[str]
) -> tuple[list[Item], list[str]]:
    """Every mask asked for by name and by description, in each of the kinds; wordings by the seed.

    Also a sentence for every mask that could not be asked about.
    """
    items: list[Item] = []
    skipped: list[str] = []
    for one in rows:
        try:
            items += _items_of(one, terms, seed, kinds)
        except InputError as error:
            skipped.append(f"{one.mask}: {error}")
    return items, skipped


def _items_of(one: MaskRow, terms: Terms, seed: int, kinds: Sequence[str]) -> Iterator[Item]:
    name = terms.name(one.dataset, one.number)
    mask = np.squeeze(load_array(one.mask))
    box = mask_to_box(mask) if mask.ndim == 3 and mask.any() else None
    for place_, (kind, described) in enumerate(TOPICS):
        if kind not in kinds:
            continue
        rng = np.random.default_rng(
            [_STREAM, seed, zlib.crc32(one.dataset.encode()), one.row, place_]
        )
        about = terms.describe(name, rng) if described else ""
        prompt, truth = ask_region(kind, name, about, box, rng)
        yield Item(
            one.row, one.image, TOPICS[kind, described], prompt, truth, id=one.mask.name,
            spaced=True, reading=_WHOLE, mask=one.mask if kind == "SEG" else None,
            grid=mask.shape if kind != "SEG" else (),
        )  # fmt: skip


def read_refseg(file: Path) -> Listed:
    """The questions of M3D-RefSeg with the masks that answers should draw. Odd rows are skipped."""
    absent = [name for name in REFSEG_COLUMNS if name not in columns_of(file)]
    if absent:
        raise InputError(f"{file} has no column {', '.join(absent)}; it is no M3D-RefSeg list.")
    items: list[Item] = []
    skipped: list[str] = []
    for row, said in rows_of(file):
        try:
            image, mask = (place(said[name], file.parent) for name in ("Image", "Mask"))
            question, answer = said["Question"].strip(), said["Answer"].strip()
            number = int(float(said["Mask_ID"]))
            if not question or not answer or number < 1:
                raise InputError("question, answer or Mask_ID is empty.")
        except (InputError, ValueError) as error:
            skipped.append(f"{file}, row {row}: {error}")
            continue
        items.append(
            Item(row, image, REFERRING, question, answer, spaced=True, reading=_WHOLE,
                 mask=mask, mask_id=number)
        )  # fmt: skip
    if not items:
        raise InputError(f"No row of {file} can be asked. {(skipped or ['It is empty.'])[0]}")
    return Listed(items, tuple(skipped))


def place(name: str, near: Path) -> Path:
    """A file that a list names; lists name them from their own folder, from one above, or by the
    whole path of the computer on which they were prepared. Raises `InputError`.
    """
    parts = PurePosixPath(name.replace("\\\\", "/")).parts
    if ".." in parts:
        raise InputError(f"{name} leads out of its folder, and such a file is not read.")
    for folder in (near, *list(near.parents)[:2]):
        for skip in range(len(parts)):
            path = folder.joinpath(*(p for p in parts[skip:] if p != "/"))
            if path.is_file():
                return path
    raise InputError(f"{name} is not below {near.parent}.")
