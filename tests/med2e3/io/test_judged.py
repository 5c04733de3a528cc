"""What is read is judged: values that are no HU, that are not finite, files that nobody opened."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from med2e3.cli.asking import info
from med2e3.errors import ImageReadError, Med2E3Error
from med2e3.io import load_volume, open_source
from med2e3.io.watch import Watch
from tests.med2e3.io.conftest import SHAPE

Write = Callable[..., Path]


def nifti(path: Path, values: np.ndarray, **header: Any) -> Path:
    image = nibabel.Nifti1Image(values.T, np.eye(4))
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def ct(low: float = -1000, high: float = 900, dtype: type = np.float64) -> np.ndarray:
    return np.linspace(low, high, 120).reshape(4, 5, 6).astype(dtype)


class TestValues:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (ct(-3024, 900), "The lowest value is -3024. In Hounsfield units that is below air"),
            (ct(-1000, 62512), "The highest value is 62512. In Hounsfield units that is above any"),
            (ct(0, 4095), "The values go from 0 to 4095, and none is below 0 as fat and air are"),
            (ct(0.01, 0.99), "they are scaled to a unit range, or a map, and not Hounsfield units"),
        ],
    )
    @pytest.mark.parametrize("ending", [".npy", ".nii"])
    def test_what_cannot_be_hounsfield_units_is_said_once(
        self, tmp_path: Path, values: np.ndarray, words: str, ending: str
    ) -> None:
        path = tmp_path / f"a{ending}"
        np.save(path, values) if ending == ".npy" else nifti(path, values)
        said = [one for one in load_volume(path).warnings if words in one]
        assert len(said) == 1

    def test_usual_values_are_worth_no_word(self, tmp_path: Path) -> None:
        assert load_volume(nifti(tmp_path / "a.nii", ct(-1024, 3071, np.int16))).warnings == ()

    def test_a_mask_is_worth_no_word(self, tmp_path: Path) -> None:
        mask = (ct() > 0).astype(np.uint8)
        assert load_volume(nifti(tmp_path / "a.nii", mask)).warnings == ()

    @pytest.mark.parametrize("case", ["1e300", "slope", "double", "NaN"])
    def test_what_is_not_finite_after_the_cast_is_counted(self, tmp_path: Path, case: str) -> None:
        values = ct()
        if case == "slope":
            path = nifti(tmp_path / "a.nii", ct(dtype=np.int16), scl_slope=3e38, scl_inter=0)
            count = int(
                (np.abs(ct(dtype=np.int16).astype(float) * np.float32(3e38)) > 3.4028e38).sum()
            )
        else:
            worst = {"1e300": 1e300, "double": 3.5e38, "NaN": np.nan}[case]
            values[1, 1, :2] = worst, -worst
            np.save(path := tmp_path / "a.npy", values)
            count = 2
        loaded = load_volume(path)
        assert np.isfinite(loaded.voxels).all()
        assert np.isfinite(loaded.value_range).all()
        said = [one for one in loaded.warnings if one.startswith(f"{count} voxels were not finite")]
        assert len(said) == 1

    def test_a_rescale_beyond_the_type_is_counted_in_dicom_too(self, series: Write) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.RescaleSlope = "1e37"

        loaded = load_volume(series(edit))
        assert np.isfinite(loaded.voxels).all()
        assert any("voxels were not finite numbers" in said for said in loaded.warnings)

    def test_bytes_behind_the_voxels_are_said(self, tmp_path: Path) -> None:
        """As where a transfer put a carriage return before each line feed."""
        path = nifti(tmp_path / "a.nii", ct(dtype=np.int16))
        path.write_bytes(path.read_bytes() + b"\r")
        (said,) = load_volume(path).warnings
        assert said.startswith("a.nii holds 1 byte behind the 4 slices that its header describes")


class TestJson:
    def info(self, path: Path) -> str:
        return click.testing.CliRunner().invoke(info, [str(path), "--json"]).stdout

    @pytest.mark.parametrize("worst", [1e300, 3.4e38, np.inf, np.nan])
    def test_an_object_is_whole_whatever_the_values(self, tmp_path: Path, worst: float) -> None:
        values = ct()
        values[0, 0, 0] = worst
        np.save(tmp_path / "a.npy", values)
        text = self.info(tmp_path / "a.npy")
        facts = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        assert facts["shape"] == [4, 5, 6]

    def test_numbers_that_are_not_finite_become_null(self, capsys: Any) -> None:
        from med2e3.cli.console import print_json

        print_json({"a": [float("nan"), 1.5, float("-inf")], "b": {"c": float("inf")}})
        assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, None], "b": {"c": None}}

    def test_what_cannot_be_written_writes_nothing(self, capsys: Any) -> None:
        from med2e3.cli.console import print_json

        with pytest.raises(TypeError):
            print_json({"a": 1, "b": object()})
        assert capsys.readouterr().out == ""

    @pytest.mark.skipif(os.name == "nt", reason="names are bytes on Unix alone")
    def test_a_name_that_is_no_text_is_escaped(self, tmp_path: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.npy"))
        np.save(path, ct())
        facts = json.loads(self.info(path))
        assert facts["shape"] == [4, 5, 6]


class TestMedia:
    @pytest.fixture
    def directory(self, series: Write, tmp_path: Path) -> Path:
        """The table of contents of a medium with one series and a program."""
        files = FileSet()

        def identified(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.PatientID, dataset.StudyID = "7", "1"
            dataset.StudyDate, dataset.StudyTime = "20260101", "120000"

        for path in sorted(series(identified, name="raw").iterdir()):
            files.add(path)
        files.write(tmp_path / "cd")
        files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, with a warning
        (tmp_path / "cd" / "viewer.exe").write_bytes(b"MZ" + bytes(200))
        return tmp_path / "cd" / "DICOMDIR"

    def images(self, directory: Path) -> list[Path]:
        return [p for p in sorted(directory.parent.rglob("IM*")) if p.is_file()]

    @pytest.mark.parametrize("kept", [0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.99])
    def test_a_list_that_is_cut_is_said_and_everything_is_found(
        self, directory: Path, kept: float
    ) -> None:
        raw = directory.read_bytes()
        directory.write_bytes(raw[: int(len(raw) * kept)])
        loaded = load_volume(directory)
        assert loaded.shape == SHAPE
        assert any(said.startswith("The table of contents DICOMDIR ") for said in loaded.warnings)

    def test_a_list_that_is_damaged_is_said_and_everything_is_found(self, directory: Path) -> None:
        raw = bytearray(directory.read_bytes())
        at = raw.index(b"\x04\x00\x00\x15CS")  # of the first ReferencedFileID
        raw[at + 4 : at + 6] = b"SQ"
        directory.write_bytes(bytes(raw))
        assert load_volume(directory).shape == SHAPE

    @pytest.mark.parametrize("content", [b"", b"nothing", bytes(128) + b"DICM"])
    def test_a_list_that_is_none_is_said_and_everything_is_found(
        self, directory: Path, content: bytes
    ) -> None:
        directory.write_bytes(content)
        loaded = load_volume(directory)
        assert loaded.shape == SHAPE
        assert any(said.startswith("The table of contents DICOMDIR ") for said in loaded.warnings)

    def test_images_that_it_does_not_list_are_opened_and_named(self, directory: Path) -> None:
        dataset = pydicom.dcmread(directory)
        last = [r for r in dataset.DirectoryRecordSequence if "ReferencedFileID" in r][-1]
        name = last.ReferencedFileID[-1]
        del last.ReferencedFileID
        dataset.save_as(directory)
        loaded = load_volume(directory)
        assert loaded.shape == SHAPE
        assert loaded.warnings == (f"1 image file opened too that DICOMDIR does not list: {name}.",)

    def test_every_file_is_in_a_volume_or_left_out_by_its_name(self, directory: Path) -> None:
        nifti(directory.parent / "labels.nii", ct())
        source = open_source(directory)
        shown = {file for series in source.series for file in series.files}
        named = {one.path for one in source.skipped}
        there = {p for p in directory.parent.rglob("*") if p.is_file()} - {directory}
        assert shown | named == there
        assert not shown & named

    @pytest.mark.parametrize("change", [str.lower, lambda name: f"{name};1"])
    def test_names_may_be_in_small_letters_or_have_a_version(
        self, directory: Path, change: Callable[[str], str]
    ) -> None:
        for path in self.images(directory):
            path.rename(path.with_name(change(path.name)))
        assert load_volume(directory).warnings == ()

    @pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
    def test_a_folder_that_is_a_link_is_named(self, series: Write, tmp_path: Path) -> None:
        folder = series()
        other = series(name="other")
        (folder / "more").symlink_to(other, target_is_directory=True)
        (lost,) = open_source(folder).skipped
        assert (lost.path, lost.kind) == (folder / "more", "link to a folder")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not bind here")
    def test_a_folder_that_may_not_be_looked_into_is_named(self, series: Write) -> None:
        folder = series()
        (folder / "closed").mkdir(mode=0)
        (lost,) = open_source(folder).skipped
        assert (lost.path, lost.kind) == (folder / "closed", "closed folder")

    def test_a_folder_without_rights_is_not_called_empty(
        self, series: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For the administrator too, who may look into every folder."""
        folder = series()
        (folder / "closed").mkdir()
        look = os.scandir

        def guarded(path: Any = ".") -> Any:
            if os.fspath(path).endswith("closed"):
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return look(path)

        monkeypatch.setattr(os, "scandir", guarded)
        (lost,) = open_source(folder).skipped
        assert (lost.path, lost.kind) == (folder / "closed", "closed folder")
        with pytest.raises(ImageReadError) as caught:
            open_source(folder / "closed")
        assert "no right to look into" in str(caught.value)
        assert "empty" not in str(caught.value)


class TestFilesThatVanish:
    """Between the look at a folder and the reading."""

    @pytest.mark.parametrize("gone", ["header", "voxels"])
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".npy", ".img"])
    def test_of_other_formats(self, tmp_path: Path, ending: str, gone: str) -> None:
        path = tmp_path / f"a{ending}"
        if ending == ".npy":
            np.save(path, ct())
        elif ending == ".img":
            nibabel.save(nibabel.Nifti1Pair(ct().T, np.eye(4)), path)
        else:
            nifti(path, ct())
        source = open_source(path)
        for file in tmp_path.iterdir():
            if gone == "voxels" or file.suffix != ".hdr":
                file.unlink()
        with pytest.raises(ImageReadError, match=r"there is no file a\.|not there any more"):
            source.load(source.choose(), Watch())

    @pytest.mark.parametrize("whole", [True, False])
    def test_of_a_series(self, series: Write, whole: bool) -> None:
        folder = series()
        source = open_source(folder)
        shutil.rmtree(folder) if whole else (folder / "slice_0003.dcm").unlink()
        with pytest.raises(ImageReadError, match=r"slice_000\d\.dcm is not there any more"):
            source.load(source.choose(), Watch())

    def test_between_the_list_of_a_folder_and_its_files(
        self, series: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = series()
        (folder / "a.nii").write_bytes(b"x")
        real = Path.open

        def vanishing(self: Path, *words: Any, **named: Any) -> Any:
            if self.name in ("slice_0006.dcm", "a.nii"):
                raise FileNotFoundError(2, "No such file or directory", str(self))
            return real(self, *words, **named)

        monkeypatch.setattr(Path, "open", vanishing)
        source = open_source(folder)
        assert source.series[0].count == 5
        assert {one.path.name for one in source.skipped} == {"slice_0006.dcm", "a.nii"}


@pytest.mark.parametrize("name", ["", "/", "..", "a" * 300, "dir", "dir/x"])
def test_an_archive_keeps_files_of_any_name(series: Write, tmp_path: Path, name: str) -> None:
    import warnings
    import zipfile

    path = tmp_path / "study.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of a name that is there already
        for k, file in enumerate(sorted(series().iterdir())):
            entry = zipfile.ZipInfo("dir" if k == 0 else f"IM{k}")
            entry.filename = name if k == 3 else entry.filename
            archive.writestr(entry, file.read_bytes())
    if name == "/":  # a folder, by its name
        with pytest.raises(Med2E3Error):
            load_volume(path)
        return
    assert load_volume(path).shape == SHAPE
