"""M3D-Seg and M3D-RefSeg, raw and prepared: arrays equal the recorded ones, masks move along."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from scipy import sparse

from med2e3.errors import DataError, Med2E3Error, ResourceError
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.masks import RefSegDataset, SegDataset
from med2e3.training.data.samples import read_volume

GRID = (32, 256, 256)
SMALL = (4, 8, 8)


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> Any:
    return np.load(fixtures / "preprocessing" / "m3d_seg.npz")


def write_list(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "0001.json"
    path.write_text(json.dumps({"train": rows, "test": []}), encoding="utf-8")
    return path


def test_raw_m3d_seg_is_read_as_published(recorded: Any, tmp_path: Path) -> None:
    stored = recorded["seg.in_u8"]
    values = stored.astype(np.float32)
    np.save(tmp_path / "image.npy", (values - values.mean()) / values.std())
    masks = np.concatenate([stored > 140, np.zeros_like(stored)])
    name = f"mask_{masks.shape}.npz".replace("np.int64", "")
    flat = sparse.csr_matrix(masks.reshape(len(masks), -1).astype(np.uint8))
    sparse.save_npz(tmp_path / name, flat)
    rows = [{"image": "image.npy", "label": name}]
    item = SegDataset(write_list(tmp_path, rows), tmp_path, GRID)[0]
    np.testing.assert_array_equal(item.volume[:, ::3, ::7, ::7], recorded["seg.image_sub"])
    assert item.labels == (0, 1)
    assert int(item.masks[0].sum()) == recorded["seg.label_sum"]
    assert not item.masks[1].any()


def test_raw_m3d_refseg_is_read_as_published(recorded: Any, tmp_path: Path) -> None:
    values = recorded["refseg.in_u8"].astype(np.float64) * 8 - 1000
    marks = (values > 100).astype(np.uint8) * 3
    for name, array in (("ct", values), ("seg", marks)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    path = tmp_path / "refseg.csv"
    path.write_text(
        "Image,Mask,Mask_ID,Question_Type,Question,Answer\n"
        "ct.nii.gz,seg.nii.gz,3,0,Where is it?,[SEG].\n"
    )  # fmt: skip
    item = RefSegDataset(path, tmp_path, GRID)[0]
    np.testing.assert_array_equal(item.volume[:, ::3, ::7, ::7], recorded["refseg.image_sub"])
    assert int(item.masks.sum()) == recorded["refseg.seg_sum"]
    assert (item.question, item.answer, item.labels) == ("Where is it?", "[SEG].", (3,))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepared volume whose brightest voxels are class 2, and an empty class 5."""
    image = np.arange(256, dtype=np.float32).reshape(1, *SMALL) / 255
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks" / "mask_2.npy", image > 0.9)
    np.save(tmp_path / "masks" / "mask_5.npy", np.zeros((1, 1, 1, 1), bool))
    return tmp_path


def test_prepared_m3d_seg_has_a_class_a_row(prepared: Path) -> None:
    rows = [{"image": "image.npy", "label": f"masks/mask_{k}.npy"} for k in (2, 5)]
    data = SegDataset(write_list(prepared, rows), prepared, SMALL)
    assert [item.labels for item in (data[0], data[1])] == [(2,), (5,)]
    assert torch.equal(data[0].masks[0], data[0].volume[0] > 0.9)
    assert data[1].masks.shape == (1, *SMALL)
    assert not data[1].masks.any()


def test_masks_move_with_their_volumes(prepared: Path) -> None:
    rows = [{"image": "image.npy", "label": "masks/mask_2.npy"}] * 12
    spatial = Augmentation(flip_probability=0.5, scale_probability=0, shift_probability=0)
    listed = write_list(prepared, rows)
    data = SegDataset(listed, prepared, SMALL, augmentation=spatial, seed=4)
    moved = [data[k] for k in range(12)]
    assert len({tuple(item.volume.flatten().tolist()) for item in moved}) > 4
    assert all(torch.equal(item.masks[0], item.volume[0] > 0.9) for item in moved)
    assert torch.equal(data[3].volume, moved[3].volume), "the same at every reading"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"image": "image.npy"}, "“label” is missing"),
        ({"image": "none.npy", "label": "masks/mask_2.npy"}, r"none\.npy is not there"),
        ({"image": "image.npy", "label": "masks/liver.npy"}, "does not say its class"),
        ({"image": "image.npy", "label": "mask_(1, 2).npz"}, "does not name its shape"),
        ({"image": "cut.npy", "label": "masks/mask_2.npy"}, "truncated"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(
    row: dict[str, str], said: str, prepared: Path
) -> None:
    whole = (prepared / "image.npy").read_bytes()
    (prepared / "cut.npy").write_bytes(whole[: len(whole) // 2])
    data = SegDataset(write_list(prepared, [row]), prepared, SMALL)
    with pytest.raises(DataError, match=said) as caught:
        data[0]
    assert "entry 1" in str(caught.value)


class TestWhatAFileMayClaim:
    """Each file is of a few hundred bytes and claims gigabytes, or numbers outside itself."""

    def refused(self, folder: Path, kind: type[Med2E3Error], said: str) -> None:
        rows = [{"image": "image.npy", "label": next(folder.glob("mask_*.npz")).name}]
        with pytest.raises(kind, match=said) as caught:
            SegDataset(write_list(folder, rows), folder, SMALL)[0]
        assert "entry 1" in str(caught.value)

    def sparse(self, folder: Path, shape: tuple[int, ...]) -> Path:
        path = folder / f"mask_{shape}.npz"
        sparse.save_npz(path, sparse.csr_matrix((shape[0], math.prod(shape[1:])), dtype=np.uint8))
        return path

    def test_a_mask_of_more_than_is_free(self, prepared: Path) -> None:
        self.sparse(prepared, (1, 99999, 9999, 9999))
        self.refused(prepared, ResourceError, "a mask of 1 × 99999 × 9999 × 9999")

    @pytest.mark.parametrize("shape", ["(01, 2, x, 4)", "(,,,)", f"({'9' * 5000}, 1, 1, 1)"[:200]])
    def test_a_name_that_is_no_shape(self, prepared: Path, shape: str) -> None:
        (prepared / f"mask_{shape}.npz").write_bytes(b"")
        self.refused(prepared, DataError, "does not name its shape")

    def test_numbers_outside_the_matrix_are_refused(self, prepared: Path) -> None:
        """They would be written into memory that is not the mask's."""
        path = self.sparse(prepared, (1, *SMALL))
        matrix = sparse.csr_matrix(np.ones((1, 256), np.uint8))
        matrix.indices[-1] = 10_000_000
        sparse.save_npz(path, matrix)
        self.refused(prepared, DataError, "no sparse mask")

    def test_an_archive_that_unpacks_to_more_than_it_can_hold(self, prepared: Path) -> None:
        path = self.sparse(prepared, (1, *SMALL))
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02")
        raw[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")
        path.write_bytes(bytes(raw))
        self.refused(prepared, DataError, "cannot hold them")

    def test_a_nifti_header_of_more_than_the_file(self, tmp_path: Path) -> None:
        for name in ("ct", "seg"):
            path = tmp_path / f"{name}.nii"
            nibabel.save(nibabel.Nifti1Image(np.ones(SMALL, np.uint8), np.eye(4)), path)
            raw = bytearray(path.read_bytes())
            raw[42:48] = struct.pack("<3h", 30000, 30000, 30000)
            path.write_bytes(bytes(raw))
        listed = tmp_path / "refseg.csv"
        listed.write_text(
            "Image,Mask,Mask_ID,Question_Type,Question,Answer\nct.nii,seg.nii,1,0,Where?,There.\n"
        )
        with pytest.raises(DataError, match=r"ct\.nii: .*cannot hold them"):
            RefSegDataset(listed, tmp_path, SMALL)[0]

    def test_a_prepared_volume_of_more_than_is_free(
        self, prepared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 1000)
        with pytest.raises(ResourceError, match="an array of 1 × 4 × 8 × 8"):
            read_volume(prepared / "image.npy", SMALL, "row 3")
