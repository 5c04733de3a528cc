"""M3D-Bench's eight tasks from one folder: which of its files are there, and what they ask.

Retrieval needs M3D-CLIP, masks a model that draws; what cannot be asked is said. Knows nothing of
figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from med2e3.errors import InputError
from med2e3.evaluation.file_asking import with_prompts
from med2e3.evaluation.m3d_files import Item, Listed, read_captions, read_vqa
from med2e3.evaluation.m3d_region_files import (
    BOX_SETS,
    MASK_SETS,
    MaskRow,
    mask_rows,
    read_refseg,
    region_items,
)
from med2e3.model.regions import Terms
from med2e3.model.requests import Requests

T = TypeVar("T")

#: The tasks by name, in the order of the paper.
TASKS = ("retrieval", "report", "closed VQA", "open VQA", "REC", "REG", "segmentation", "referring")


@dataclass(frozen=True)
class BenchFolder:
    """What a folder holds: pairs for retrieval, questions of all other tasks; what is not there."""

    pairs: list[Item]
    items: list[Item]
    skipped: tuple[str, ...]
    missing: dict[str, str]


@dataclass(frozen=True)
class Choices:
    """How the tasks are asked: splits, wordings, terms; whether missing choices are shown."""

    split: str = "test"
    seed: int = 0
    requests: Requests | None = None
    terms: Terms | None = None
    keep_missing: bool = True
    draws: bool = True


def open_bench(folder: Path, choices: Choices) -> BenchFolder:
    """Reads every list that is there. Raises `InputError` for a folder without any."""
    from med2e3.model.regions import read_terms

    terms = choices.terms or read_terms()
    found = _Found(folder)
    missing: dict[str, str] = {}
    caps = found.read("M3D_Cap*.json", "reports and retrieval", missing, ("retrieval", "report"),
                      lambda path: Listed(_captions(path, folder, choices.split)))  # fmt: skip
    vqa = found.read("*VQA*test*.csv", "questions", missing, ("closed VQA", "open VQA"),
                     lambda path: _vqa(path, folder, choices.keep_missing))  # fmt: skip
    ref = found.read("*RefSeg*test*.csv", "M3D-RefSeg", missing, ("referring",), read_refseg)
    boxes = found.masks(BOX_SETS, choices.split)
    masks = found.masks(MASK_SETS, choices.split) if choices.draws else []
    if not found.masks(MASK_SETS, choices.split):
        missing |= dict.fromkeys(("REC", "REG", "segmentation"), "There is no M3D-Seg list.")
    region, odd = region_items(boxes, terms, choices.seed, ("REC", "REG"))
    drawn, odder = region_items(masks, terms, choices.seed, ("SEG",))
    if not choices.draws:
        missing["segmentation"] = missing["referring"] = "The model draws no masks."
        ref = Listed([])
    reports = with_prompts(caps.items, choices.seed, None, choices.requests)
    items = [*reports, *vqa.items, *region, *drawn, *ref.items]
    if not items:
        raise InputError(
            f"{folder} holds none of M3D-Bench's lists: M3D_Cap*.json, *VQA*test*.csv, "
            "NNNN/NNNN.json, *RefSeg*test*.csv."
        )
    skipped = (*vqa.skipped, *found.skipped, *odd, *odder, *ref.skipped)
    return BenchFolder(caps.items, items, skipped, missing)


class _Found:
    """The lists of a folder; of several of one kind the first by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped: list[str] = []
        self._rows: dict[str, list[MaskRow]] = {}

    def read(
        self, pattern: str, what: str, missing: dict[str, str], tasks: Sequence[str],
        reader: Callable[[Path], Listed],
    ) -> Listed:  # fmt: skip
        """What the list says; an empty one where it is missing, which is then told."""
        paths = sorted(self.folder.rglob(pattern))
        if not paths:
            missing |= dict.fromkeys(tasks, f"There is no list of {what} ({pattern}).")
            return Listed([])
        return reader(paths[0])

    def masks(self, sets: Sequence[str], split: str) -> list[MaskRow]:
        """The masks of these sets; each list is read once."""
        rows: list[MaskRow] = []
        for name in sets:
            if name not in self._rows:
                self._rows[name] = []
                for file in sorted(self.folder.rglob(f"{name}/{name}.json"))[:1]:
                    for row in mask_rows(file, split):
                        if isinstance(row, str):
                            self.skipped.append(row)
                        else:
                            self._rows[name].append(row)
            rows += self._rows[name]
        return rows


def _captions(path: Path, folder: Path, split: str) -> list[Item]:
    """Paths of M3D-Cap start from its own folder, or from the one above all."""
    return _from_either(path, folder, lambda root: read_captions(path, root, split))


def _vqa(path: Path, folder: Path, keep_missing: bool) -> Listed:
    return _from_either(path, folder, lambda root: read_vqa(path, root, keep_missing=keep_missing))


def _from_either(path: Path, folder: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(folder)
    except InputError as error:
        if "does not exist" not in str(error) or path.parent == folder:
            raise
        return read(path.parent)
