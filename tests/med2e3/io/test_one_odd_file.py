"""One odd file in a folder is named, and the rest opens."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from med2e3.errors import ImageReadError
from med2e3.io import load_volume, open_source

Write = Callable[..., Path]


def patched(path: Path, tag: bytes, vr: bytes | None = None, value: bytes | None = None) -> None:
    """Change the representation or the value of the first element with `tag`, in its own length."""
    raw = bytearray(path.read_bytes())
    at = raw.index(tag, 132 + 12)
    if vr is not None:
        raw[at + 4 : at + 6] = vr
    if value is not None:
        length = int.from_bytes(raw[at + 6 : at + 8], "little")
        assert len(value) <= length
        raw[at + 8 : at + 8 + length] = value.ljust(length)
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (b"\x08\x00\x20\x00", b"DS", b"20A60301"),
        (b"\x20\x00\x11\x00", None, b"inf"),
        (b"\x20\x00\x11\x00", b"FL", None),
        (b"\x28\x00\x02\x01", None, b"\xff\xff"),
    ],
)
def test_an_attribute_that_cannot_be_converted_names_its_file(
    series: Write, tag: bytes, vr: bytes | None, value: bytes | None
) -> None:
    def edit(dataset: object, _k: int) -> None:
        dataset.SeriesNumber, dataset.StudyDate = "3000", "20260301"  # type: ignore[attr-defined]

    folder = series(edit)
    victim = sorted(folder.iterdir())[5]
    patched(victim, tag, vr, value)
    source = open_source(folder)
    assert max(found.count for found in source.series) >= 5
    shown = {file for found in source.series for file in found.files}
    assert victim in shown or [file.path for file in source.skipped] == [victim]


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (b"\x28\x00\x30\x00", b"inf\\inf"),
        (b"\x28\x00\x30\x00", b"9e9\\9e9"),
        (b"\x20\x00\x32\x00", b"1e308\\0\\0"),
    ],
    ids=["no number", "too wide", "too far"],
)
def test_a_series_outside_every_patient_is_named_and_the_other_opens(
    series: Write, tag: bytes, value: bytes
) -> None:
    for path in series(name="odd").iterdir():
        patched(path, tag, value=value)
    good = series(name="good")
    source = open_source(good.parent)
    assert [one.is_volume for one in source.series].count(True) == 1
    assert {one.path.parent.name for one in source.skipped} == {"odd"}
    assert load_volume(good.parent).shape == load_volume(good).shape


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of Unix")
@pytest.mark.parametrize("name", ["pipe.dcm", "pipe.nii", "pipe"])
@pytest.mark.timeout(20)
def test_a_pipe_is_named_and_never_opened(series: Write, name: str) -> None:
    folder = series()
    os.mkfifo(folder / name)
    source = open_source(folder)
    assert [(one.path.name, one.kind) for one in source.skipped] == [(name, "pipe or device")]
    assert load_volume(folder).shape[0] == 6
    with pytest.raises(ImageReadError, match="is a pipe or a device"):
        load_volume(folder / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of Unix")
@pytest.mark.timeout(20)
def test_a_header_that_names_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.raw")
    (tmp_path / "scan.mhd").write_text(
        "NDims = 3\nDimSize = 5 6 7\nElementType = MET_SHORT\nElementDataFile = scan.raw\n",
        encoding="utf-8",
    )
    with pytest.raises(ImageReadError, match=r"names scan\.raw .*pipe"):
        load_volume(tmp_path / "scan.mhd")


class TestOneSentence:
    """Damage of any kind is an error of the tree, which names the file."""

    @pytest.mark.parametrize(
        "head", ["{'descr': '<i2', 'shape': (", "{'descr': ,,}", "((((((((((("]
    )
    def test_a_damaged_header_of_an_array(self, tmp_path: Path, head: str) -> None:
        body = head.encode().ljust(117) + b"\n"
        raw = b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body
        (tmp_path / "scan.npy").write_bytes(raw + b"\0" * 64)
        with pytest.raises(ImageReadError, match=r"scan\.npy cannot be read"):
            load_volume(tmp_path / "scan.npy")

    def test_an_archive_with_an_empty_name(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
            archive.writestr("x", b"nothing")
        raw = (tmp_path / "study.zip").read_bytes().replace(b"x", b"\0")
        (tmp_path / "study.zip").write_bytes(raw)
        with pytest.raises(ImageReadError, match=r"study\.zip|no image"):
            load_volume(tmp_path / "study.zip")

    def test_numbers_beyond_the_type_become_air_and_are_counted(self, tmp_path: Path) -> None:
        values = np.zeros((4, 5, 6))
        values[1, 1, :2] = 1e300, -1e300
        np.save(tmp_path / "scan.npy", values)
        loaded = load_volume(tmp_path / "scan.npy")
        assert np.isfinite(loaded.voxels).all()
        assert any(said.startswith("2 voxels were not finite") for said in loaded.warnings)
