"""M3D-Seg and M3D-RefSeg: volumes with a mask of what is asked, as published, prepared or not.

Axes and intensities of files that are not prepared are `med2e3.training.data.m3d_arrays`'s. Knows
nothing of models.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from med2e3.errors import DataError, ImageReadError, PreprocessingError
from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.m3d_arrays import refseg_arrays, seg_arrays
from med2e3.training.data.records import CsvRecords, JsonRecords, Records
from med2e3.training.data.samples import check_room, read_array

REFSEG_COLUMNS = ("Image", "Mask", "Mask_ID", "Question", "Answer")

_NIFTI = (".nii", ".nii.gz")

#: Bytes of a voxel at the height of reading: an image as float32 with its mask, prepared; a number
#: of a sparse mask with what it becomes; a scaled number of a NIfTI file.
PREPARED, MASK, SCALED = 8, 2, 8

#: Digits of one size in the name of a sparse mask.
LONGEST_SIZE = 6

#: What damaged archives and arrays raise.
DAMAGE = (
    OSError, ValueError, KeyError, EOFError, TypeError, IndexError, ArithmeticError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class MaskItem:
    """Volume (1, S, H, W) float32 in 0..1 and masks (M, S, H, W) bool, moved together.

    `labels` are the numbers of the classes in `masks`. `question` and `answer` are "" where the
    list has none (M3D-Seg).
    """

    volume: Tensor
    masks: Tensor
    labels: tuple[int, ...]
    question: str = ""
    answer: str = ""


class _Masks(Dataset[MaskItem]):
    """What both lists share: rows by number, moved with a generator of seed and row."""

    def __init__(
        self,
        records: Records,
        images: Path,
        grid_shape: Sequence[int],
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.records, self.images = records, images
        self.grid_shape = tuple(int(n) for n in grid_shape)
        self.augmentation = augmentation or Augmentation.none()
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> MaskItem:
        """Raises `DataError` naming row and file when something is missing, damaged or unfit."""
        return self.item(index, np.random.default_rng([self.seed, index]))

    def item(
        self, index: int, rng: np.random.Generator, augmentation: Augmentation | None = None
    ) -> MaskItem:
        """Row `index`, moved with this generator; raises as `__getitem__`."""
        row, where = self.records[index], self.records.where(index)
        try:
            image, masks, labels = self._read(row, where)
        except PreprocessingError as error:
            raise DataError(f"{where}: {error}") from error
        except ImageReadError as error:  # of `check_claim`: it names the row
            raise DataError(str(error)) from error
        if image.shape[1:] != self.grid_shape:
            raise DataError(
                f"{where}: the prepared image has shape {image.shape[1:]}, the grid is "
                f"{self.grid_shape}. Prepare it for this grid."
            )
        if masks.shape[1:] == (1, 1, 1):  # how an empty class is stored
            masks = np.zeros((len(masks), *self.grid_shape), bool)
        if masks.shape[1:] != image.shape[1:]:
            raise DataError(f"{where}: the image is {image.shape[1:]}, the mask {masks.shape[1:]}.")
        volume, moved = (augmentation or self.augmentation)(
            torch.from_numpy(np.array(image, np.float32)), rng, torch.from_numpy(np.array(masks))
        )
        if moved is None:
            raise AssertionError("a mask that went in comes out")
        return MaskItem(
            volume, moved, labels, str(row.get("Question", "")), str(row.get("Answer", ""))
        )

    def _read(
        self, row: dict[str, Any], where: str
    ) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[int, ...]]:
        raise NotImplementedError

    def _path(self, row: dict[str, Any], name: str, where: str) -> Path:
        value = row.get(name)
        if not isinstance(value, str) or not value:
            raise DataError(f"{where}: “{name}” is missing or empty.")
        return self.images / value


class SegDataset(_Masks):
    """M3D-Seg: one class a row where it is prepared (`masks/mask_3.npy`), else all classes.

    A list that is not prepared names sparse masks whose shape stands in the file's name
    (`mask_(2, 512, 512, 90).npz`).
    """

    def __init__(
        self,
        file: Path,
        images: Path,
        grid_shape: Sequence[int],
        split: str = "train",
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        records = JsonRecords(file, split)
        super().__init__(records, images, grid_shape, augmentation=augmentation, seed=seed)

    def _read(
        self, row: dict[str, Any], where: str
    ) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[int, ...]]:
        image = read_array(self._path(row, "image", where), where)
        path = self._path(row, "label", where)
        if path.suffix == ".npz":
            label = _sparse_mask(path, where)
            pairs = [seg_arrays(image, part[None], self.grid_shape) for part in label]
            masks = np.concatenate([mask for _, mask in pairs])
            return pairs[0][0], masks, tuple(range(len(label)))
        number = re.search(r"mask_(\d+)$", path.stem)
        if number is None:
            raise DataError(f"{where}: {path.name} does not say its class (mask_NUMBER.npy).")
        check_room(path, where, image.shape, PREPARED)
        return image, read_array(path, where) != 0, (int(number[1]),)


class RefSegDataset(_Masks):
    """M3D-RefSeg: a question a row, with the mask of what it is about; .npy prepared, or NIfTI."""

    def __init__(
        self,
        file: Path,
        images: Path,
        grid_shape: Sequence[int],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        records = CsvRecords(file, REFSEG_COLUMNS)
        super().__init__(records, images, grid_shape, augmentation=augmentation, seed=seed)

    def _read(
        self, row: dict[str, Any], where: str
    ) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[int, ...]]:
        try:
            wanted = int(float(row["Mask_ID"]))
        except ValueError as error:
            raise DataError(f"{where}: Mask_ID “{row['Mask_ID']}” is no number.") from error
        paths = [self._path(row, name, where) for name in ("Image", "Mask")]
        if all(path.name.endswith(_NIFTI) for path in paths):
            image, stored = (_nifti(path, where) for path in paths)
            pixels, masks = refseg_arrays(image, stored == wanted, self.grid_shape)
            return pixels, masks, (wanted,)
        image, stored = (read_array(path, where) for path in paths)
        check_room(paths[0], where, image.shape, PREPARED)
        return image, stored == wanted, (wanted,)


def _sparse_mask(path: Path, where: str) -> NDArray[Any]:
    """(C, X, Y, Z), from a sparse matrix and the shape in the file's name."""
    from scipy import sparse

    shape = _named_shape(path, where)
    holds = f"a mask of {' × '.join(map(str, shape))}"
    check_claim(Claim(f"{where}: {path}", holds, 0, memory=MASK * math.prod(shape)))
    try:
        _check_archive(path, where)
        matrix = sparse.load_npz(path)
        if hasattr(matrix, "check_format"):  # else numbers outside the matrix are written anywhere
            matrix.check_format(full_check=True)
    except FileNotFoundError as error:
        raise DataError(f"{where}: {path} is not there.") from error
    except DAMAGE as error:
        raise DataError(f"{where}: {path} is truncated, or no sparse mask ({error}).") from error
    if math.prod(matrix.shape) != math.prod(shape):
        raise DataError(f"{where}: {path} holds {matrix.shape}, which is not {shape}.")
    return np.asarray(matrix.toarray()).reshape(shape)


def _named_shape(path: Path, where: str) -> tuple[int, ...]:
    """The shape in the name of a sparse mask. Raises `DataError` where it has none."""
    found = re.search(r"_\(([\d, ]+)\)$", path.stem)
    sizes = [part.strip() for part in found[1].split(",")] if found else []
    if len(sizes) != 4 or not all(0 < len(size) <= LONGEST_SIZE for size in sizes):
        raise DataError(f"{where}: {path.name} does not name its shape (mask_(C, X, Y, Z).npz).")
    return tuple(map(int, sizes))


def _check_archive(path: Path, where: str) -> None:
    """Raise where the arrays of a packed file unpack to more than it can hold, or memory can."""
    with zipfile.ZipFile(path) as archive:
        need = sum(member.file_size for member in archive.infolist())
    there = path.stat().st_size
    check_claim(Claim(f"{where}: {path}", "packed arrays", need, there, Packing.DEFLATE, need))


def _nifti(path: Path, where: str) -> NDArray[Any]:
    """The stored array, (X, Y, Z), with its scaling."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nibabel.load(path)
        stored = math.prod(image.shape) * image.get_data_dtype().itemsize
        holds = f"an array of {' × '.join(map(str, image.shape))}"
        packing = Packing.DEFLATE if path.name.endswith(".gz") else Packing.RAW
        memory = stored + SCALED * math.prod(image.shape)
        there = path.stat().st_size
        check_claim(Claim(f"{where}: {path}", holds, stored, there, packing, memory))
        return np.asarray(image.dataobj)
    except FileNotFoundError as error:
        raise DataError(f"{where}: {path} is not there.") from error
    except (*DAMAGE, ImageFileError, HeaderDataError) as error:
        raise DataError(f"{where}: {path} is truncated, or no NIfTI file ({error}).") from error
