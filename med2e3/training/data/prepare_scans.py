"""Folders of DICOM series, NIfTI files and other volumes to prepared ones, in one window for all.

What is written is what a model is shown when it is asked about the scan in this window and plane.
Every output is written whole or not at all, and what exists is kept. Knows nothing of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from med2e3.errors import DataError, InputError
from med2e3.evaluation.reference import mask_on_grid
from med2e3.files import write_array, write_whole
from med2e3.geometry import Plane
from med2e3.io.suffixes import volume_suffixes
from med2e3.io.texts import read_json
from med2e3.preprocessing import ModelInput, prepare, resolve_window
from med2e3.retrieval.collection import Candidate, find_candidates
from med2e3.training.data.prepare import (
    LIST_FILE,
    LIST_SPLIT,
    Outcome,
    plain_letters,
    write_report,
)
from med2e3.volume import Volume, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What all volumes of a folder were prepared as; a folder has one such file.
SETTINGS_FILE = "prepared.json"

#: How the mask of a volume's finding is named, beside its file: scan.nii.gz, scan_mask.nii.gz.
MASK_ENDING = "_mask"

#: Black voxels hold so much, in 0..1: readers of prepared volumes cut away what is 0, and the
#: slices would then not be those that a model is shown.
BLACK = 1e-6

#: Corners of a mask and its volume lie as far apart at most, in mm.
SAME_PLACE_MM = 0.1


@dataclass(frozen=True)
class Prepared:
    """How volumes were prepared: window (None: each from its minimum to its maximum), plane, grid.

    `plane` None is the plane in which each series is stored.
    """

    window: Window | None
    plane: Plane | None
    grid: tuple[int, int, int]

    def as_json(self) -> dict[str, Any]:
        """As `SETTINGS_FILE` has it."""
        window = None if self.window is None else [self.window.centre, self.window.width]
        plane = None if self.plane is None else self.plane.value
        return {"window": window, "plane": plane, "grid": list(self.grid)}

    def text(self) -> str:
        """In words: "W400 L40, axial, 32 × 256 × 256"."""
        window = f"W{self.window.width:g} L{self.window.centre:g}" if self.window else "min-max"
        plane = self.plane.value if self.plane else "as stored"
        return f"{window}, {plane}, {' × '.join(map(str, self.grid))}"


def read_prepared(folder: Path) -> Prepared | None:
    """How the volumes of a folder were prepared; None where nothing says so.

    Raises `DataError` for a damaged file.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return None
    try:
        said = read_json(path)
        window = None if said["window"] is None else Window(*map(float, said["window"]))
        plane = None if said["plane"] is None else Plane(said["plane"])
        slices, rows, columns = map(int, said["grid"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Prepare the volumes again in another folder."
        ) from error
    return Prepared(window, plane, (slices, rows, columns))


def window_of(spec: str) -> Window | None:
    """The window that all volumes are prepared in, by its name or numbers; None for "min-max".

    Raises `PreprocessingError` for what is no window, and `InputError` for what differs from volume
    to volume.
    """
    if spec.strip().lower() == "full range":
        raise InputError(
            "“full range” is another window for each volume. Name one for all, as in “W400 L40”."
        )
    nothing = cast("Volume", None)  # a volume is read for "full range" alone
    return resolve_window(spec, nothing, None)


def prepare_scans(
    source: Path,
    target: Path,
    settings: Prepared,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Every volume below `source` to `target`, with the list; returns what became of each.

    A text file of a volume's name, or else the first one beside it, is its report. Raises
    `ImageReadError` where there is no volume, and `InputError` where `target` was prepared
    otherwise.
    """
    found, unreadable = find_candidates(source)
    _keep_to(settings, target)
    volumes = [one for one in found if not _is_mask(one)]
    masks = {_file_stem(Path(one.path)): one for one in found if _is_mask(one)}
    outputs = _outputs(volumes, source)
    outcomes = [
        Outcome(said.partition(":")[0], "", made=False, problems=(said,), failed=True)
        for said in unreadable
    ]
    rows = []
    for number, (one, output) in enumerate(zip(volumes, outputs, strict=True), start=1):
        text = _write_text(one, source, target, output)
        mask = masks.get(_file_stem(Path(one.path)) + MASK_ENDING)
        outcome = _prepare_one(one, mask, target / output, settings)
        outcome = Outcome(output, text, outcome.made, outcome.problems, outcome.failed)
        outcomes.append(outcome)
        if not outcome.failed and text:
            row = {"image": output, "text": text}
            drawn = _mask_path(target / output)
            if drawn.is_file():
                row["mask"] = drawn.relative_to(target).as_posix()
            rows.append(row)
        if progress:
            progress(number, len(volumes))
    write_whole(target / LIST_FILE, json.dumps({LIST_SPLIT: rows}, indent=1))
    return outcomes


def _keep_to(settings: Prepared, target: Path) -> None:
    """Writes how a folder is prepared, or raises `InputError` where it was prepared otherwise."""
    target.mkdir(parents=True, exist_ok=True)
    before = read_prepared(target)
    if before is not None and before != settings:
        raise InputError(
            f"The volumes in {target} were prepared as {before.text()}, and these would be as "
            f"{settings.text()}. One model is shown one window: name another folder, or prepare "
            "as before."
        )
    write_whole(target / SETTINGS_FILE, json.dumps(settings.as_json()))


def _prepare_one(
    one: Candidate, mask: Candidate | None, path: Path, settings: Prepared
) -> Outcome:  # fmt: skip
    """A volume and its mask to their files, unless they are there."""
    if path.is_file() and (mask is None or _mask_path(path).is_file()):
        return Outcome("", "", made=False)
    try:
        volume = one.load()
        read = prepare(volume, settings.grid, plane=settings.plane, window=settings.window)
        drawn = None if mask is None else _mask_of(mask.load(), volume, read)
    except InputError as error:
        return Outcome("", "", made=False, problems=(f"{one.name}: {error}",), failed=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if drawn is not None:  # before the volume: a run that stops between them does both again
        write_array(_mask_path(path), drawn)
    write_array(path, np.maximum(read.grid.numpy(), np.float32(BLACK)))
    problems = () if volume.info.may_be_ct or settings.window is None else (
        f"{one.name}: its modality is {volume.info.modality}, and a window in HU is for CT",
    )  # fmt: skip
    return Outcome("", "", made=True, problems=problems)


def _mask_of(mask: Volume, volume: Volume, read: ModelInput) -> NDArray[np.bool_]:
    """(1, S, H, W): the mask on the grid that the model is shown."""
    ends = np.array([(0, 0, 0), [n - 1 for n in volume.shape]], dtype=np.float64)
    places = [one.geometry.to_patient_mm(ends) for one in (mask, volume)]
    if mask.shape != volume.shape or np.abs(places[0] - places[1]).max() > SAME_PLACE_MM:
        raise DataError(
            f"its mask is {' × '.join(map(str, mask.shape))} voxels and does not lie where the "
            f"volume of {' × '.join(map(str, volume.shape))} does. Draw it on the volume's grid."
        )
    turned = np.asarray(mask.in_plane(read.plane).voxels) != 0
    shape = tuple(read.grid.shape[1:])
    return mask_on_grid(turned, read.crop_start, read.crop_shape, shape)[None]


def _mask_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}{MASK_ENDING}.npy")


def _is_mask(one: Candidate) -> bool:
    return Path(one.path).is_file() and _file_stem(Path(one.path)).endswith(MASK_ENDING)


def _file_stem(path: Path) -> str:
    """A file's path without what says its format."""
    low = path.name.lower()
    ending = next((s for s in sorted(volume_suffixes(), key=len, reverse=True)
                   if low.endswith(s)), "")  # fmt: skip
    return str(path.with_name(path.name[: len(path.name) - len(ending)])) if ending else str(path)


def _outputs(volumes: Sequence[Candidate], source: Path) -> list[str]:
    """Where each volume goes, below the target: its own path, or its series within its folder."""
    made: list[str] = []
    for one in volumes:
        place = Path(one.path)
        if place.is_file():
            name = Path(_file_stem(place)).relative_to(source).as_posix()
        else:
            info = one.series.info
            said = " ".join(filter(None, (info.series_number, info.series_description)))
            name = (place.relative_to(source) / _safe(f"{said} {one.series.part}")).as_posix()
        name = "/".join(plain_letters(part) for part in name.split("/"))
        same = sum(other == name or other.startswith(f"{name}~") for other in made)
        made.append(f"{name}~{same + 1}" if same else name)
    return [f"{name}.npy" for name in made]


def _safe(words: str) -> str:
    """Words of a header as a file's name: nothing in it leads elsewhere."""
    return re.sub(r"[^\w+-]+", "_", words.strip()).strip("_") or "series"


def _write_text(one: Candidate, source: Path, target: Path, output: str) -> str:
    """The report of a volume, cut out of its text, and its name below the target; "" for none."""
    place = Path(one.path)
    beside = place.parent if place.is_file() else place
    own = Path(f"{_file_stem(place)}.txt") if place.is_file() else None
    texts = [own] if own is not None and own.is_file() else sorted(beside.glob("*.txt"))
    if not texts and not place.is_file() and place != source:
        texts = sorted(place.parent.glob("*.txt"))
    if not texts:
        return ""
    name = f"{output.removesuffix('.npy')}.txt"
    write_report(texts[0], target / name)
    return name
