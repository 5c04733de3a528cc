"""Whatever is dropped on the window: what opens, what is said, and what stays untouched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from med2e3.errors import Cancelled, GapError, ImageReadError
from med2e3.io import Watch, list_series, load_volume, open_source
from med2e3.volume import Volume

Write = Callable[..., Path]


def nifti(path: Path, slices: int = 4) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.full((3, 5, slices), slices, np.int16), np.eye(4)), path)
    return path


class TestNothingThere:
    def test_a_path_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ImageReadError, match=r"no file or folder .*missing"):
            load_volume(tmp_path / "missing")

    def test_an_empty_folder_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ImageReadError, match="no files"):
            load_volume(tmp_path)

    def test_a_folder_without_images_names_what_is_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").write_text("Dear colleague")
        (tmp_path / "table.bin").write_bytes(b"\x08\0\0\0\4\0\0\0" + bytes(300))
        with pytest.raises(ImageReadError, match=r"no image .* letter\.txt, table\.bin"):
            load_volume(tmp_path)

    def test_a_text_file_renamed_to_dcm_is_not_dicom(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.dcm"
        path.write_text("Dear colleague, thank you for sending the patient. " * 10)
        with pytest.raises(ImageReadError, match=r"scan\.dcm is not a DICOM file"):
            load_volume(path)

    def test_an_empty_file_is_not_dicom(self, tmp_path: Path) -> None:
        (tmp_path / "empty.dcm").touch()
        with pytest.raises(ImageReadError, match="not a DICOM file"):
            load_volume(tmp_path / "empty.dcm")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not bind here")
    def test_a_file_without_the_right_to_read_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "secret.dcm"
        path.write_bytes(b"\0" * 200)
        path.chmod(0)
        with pytest.raises(ImageReadError, match=r"secret\.dcm cannot be opened"):
            load_volume(path)


class TestDicomFolders:
    def test_other_files_among_the_slices_are_ignored_and_counted(
        self, series: Write, volume: Volume
    ) -> None:
        folder = series()
        for k in range(7):
            (folder / f"page{k}.html").write_text("<html>")
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        (warning,) = loaded.warnings
        assert warning.startswith("7 files ignored, not DICOM: page0.html, page1.html")
        assert warning.endswith("and 2 more.")

    def test_what_operating_systems_leave_is_not_worth_a_word(self, series: Write) -> None:
        folder = series()
        (folder / ".DS_Store").write_bytes(b"\0" * 10)
        (folder / "Thumbs.db").write_bytes(b"\0" * 10)
        (folder / "._slice_0001.dcm").write_bytes(b"\0" * 10)
        assert load_volume(folder).warnings == ()
        assert open_source(folder).skipped == ()

    def test_a_hidden_file_is_named(self, series: Write) -> None:
        folder = series()
        last = sorted(folder.iterdir())[-1]
        hidden = last.rename(last.with_name(".hidden.dcm"))
        source = open_source(folder)
        (skipped,) = source.skipped
        assert (skipped.path, skipped.kind) == (hidden, "hidden file")
        assert source.skipped_sentence == "1 file left out: 1 hidden file"

    def test_a_folder_of_hidden_files_alone_says_so(self, tmp_path: Path) -> None:
        (tmp_path / ".slice.dcm").write_bytes(b"x")
        with pytest.raises(ImageReadError, match=r"slice\.dcm is a hidden file: its name begins"):
            open_source(tmp_path)

    def test_folders_are_searched_to_the_bottom(self, series: Write, volume: Volume) -> None:
        folder = series(name="study/ST1/SE2")
        loaded = load_volume(folder.parents[1])
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)

    def test_files_without_preamble_are_dicom_too(self, series: Write, volume: Volume) -> None:
        """Before 1993 (ACR-NEMA), and from some tools until today."""
        folder = series()
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            bare = pydicom.Dataset()
            bare.update({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
            pydicom.dcmwrite(path, bare, implicit_vr=True, little_endian=True)
            assert path.read_bytes()[128:132] != b"DICM"
        np.testing.assert_array_equal(load_volume(folder).voxels, volume.voxels)

    def test_a_damaged_header_at_the_end_is_left_out_with_a_word(self, series: Write) -> None:
        folder = series()
        victim = sorted(folder.iterdir())[-1]
        victim.write_bytes(victim.read_bytes()[:400])
        loaded = load_volume(folder)
        assert loaded.shape[0] == 5
        assert victim.name in " ".join(loaded.warnings)

    def test_a_damaged_header_in_the_middle_is_named_with_the_gap_that_it_leaves(
        self, series: Write
    ) -> None:
        folder = series()
        victim = sorted(folder.iterdir())[2]
        content = bytearray(victim.read_bytes())
        at = content.index(b"\x28\x00\x10\x00US")  # Rows: claim more bytes than there are
        content[at + 6 : at + 8] = b"\xff\xff"
        victim.write_bytes(bytes(content))
        with pytest.raises(GapError, match=rf"1 gap .* may belong to it: {victim.name}"):
            load_volume(folder)


class TestSingleFiles:
    def test_one_slice_opens_its_whole_series_and_no_other(
        self, series: Write, volume: Volume
    ) -> None:
        folder = series()
        other = series(name="other", of=Volume(volume.voxels[:4], volume.geometry.cropped(
            (0, 0, 0), (4, 5, 4))))  # fmt: skip
        for path in other.iterdir():
            path.rename(folder / f"other_{path.name}")
        loaded = load_volume(folder / "slice_0003.dcm")
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert loaded.warnings == (
            "All 6 files of the series of slice_0003.dcm in its folder were opened.",
        )
        assert load_volume(folder / "other_slice_0001.dcm").shape[0] == 4

    def test_what_may_be_missing_of_its_series_is_named(self, series: Write) -> None:
        """At an end of the stack no gap would show that slices are missing."""
        folder = series()
        (folder / "slice_0001.dcm").write_bytes(b"")
        cut = folder / "slice_0002.dcm"
        cut.write_bytes(cut.read_bytes()[:300])
        source = open_source(folder / "slice_0004.dcm")
        assert {one.path.name for one in source.skipped} == {"slice_0001.dcm", "slice_0002.dcm"}
        (warning,) = load_volume(folder / "slice_0004.dcm").warnings[1:]
        assert warning == (
            "2 damaged or empty files in the folder may belong to it: slice_0001.dcm, "
            "slice_0002.dcm."
        )

    def test_a_copy_opens_the_series_that_it_is_a_copy_of(self, series: Write) -> None:
        folder = series()
        for name in ("slice_0003 (1).dcm", "a copy.dcm"):
            shutil.copy(folder / "slice_0003.dcm", folder / name)
            for path in (folder / name, folder / "slice_0003.dcm"):
                assert load_volume(path).shape[0] == 6

    def test_a_file_that_is_alone_is_one_image(self, series: Write) -> None:
        folder = series(lambda _d, k: k == 2)
        with pytest.raises(ImageReadError, match="one image only"):
            load_volume(folder / "slice_0003.dcm")

    def test_a_damaged_file_is_named_before_its_neighbours_are_read(self, series: Write) -> None:
        folder = series()
        victim = folder / "slice_0002.dcm"
        victim.write_bytes(victim.read_bytes()[:300])
        with pytest.raises(ImageReadError, match=r"slice_0002\.dcm"):
            load_volume(victim)


class TestMedia:
    def medium(self, series: Write, tmp_path: Path) -> Path:
        """A CD with two series and a table of contents."""
        files = FileSet()
        for number in ("1", "2"):

            def identified(dataset: pydicom.Dataset, _k: int, number: str = number) -> None:
                dataset.PatientID, dataset.StudyID, dataset.SeriesNumber = "7", "1", number
                dataset.StudyDate, dataset.StudyTime = "20260101", "120000"

            for path in sorted(series(identified, name=f"raw{number}").iterdir()):
                files.add(path)
        files.write(tmp_path / "cd")
        files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, with a warning
        return tmp_path / "cd"

    def test_dicomdir_opens_what_it_lists(
        self, series: Write, tmp_path: Path, volume: Volume
    ) -> None:
        medium = self.medium(series, tmp_path)
        (medium / "AUTORUN.INF").write_text("[autorun]")
        assert [s.count for s in list_series(medium / "DICOMDIR")] == [6, 6]
        loaded = load_volume(medium / "DICOMDIR", series="2")
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert loaded.warnings == ()

    def test_listed_files_that_are_missing_are_named(self, series: Write, tmp_path: Path) -> None:
        medium = self.medium(series, tmp_path)
        listed = [p for p in sorted(medium.rglob("*")) if p.is_file() and p.name != "DICOMDIR"]
        listed[0].unlink()
        loaded = load_volume(medium / "DICOMDIR", series="2")
        assert "1 file listed in DICOMDIR missing" in loaded.warnings[0]

    @pytest.mark.parametrize(
        "parts", [["..", "study", "slice_0001.dcm"], ["/etc", "passwd"], "../study/slice_0001.dcm"]
    )
    def test_a_list_that_leaves_the_medium_is_refused(
        self, series: Write, tmp_path: Path, parts: list[str] | str
    ) -> None:
        directory = self.medium(series, tmp_path) / "DICOMDIR"
        dataset = pydicom.dcmread(directory)
        images = [r for r in dataset.DirectoryRecordSequence if "ReferencedFileID" in r]
        images[-1].ReferencedFileID = parts
        dataset.save_as(directory)
        said = "/".join([parts] if isinstance(parts, str) else parts)
        with pytest.raises(ImageReadError, match=rf"DICOMDIR names .*ReferencedFileID: {said}"):
            load_volume(directory)

    def test_names_that_a_copy_turned_into_small_letters_are_found(
        self, series: Write, tmp_path: Path, volume: Volume
    ) -> None:
        """Half of the names are in small letters, the list has large ones."""
        medium = self.medium(series, tmp_path)
        dataset = pydicom.dcmread(medium / "DICOMDIR")
        for record in dataset.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = [part.upper() for part in record.ReferencedFileID]
        dataset.save_as(medium / "DICOMDIR")
        for k, path in enumerate(sorted(medium.rglob("*"), key=lambda p: -len(p.parts))):
            if path.name != "DICOMDIR":
                path.rename(path.with_name(path.name.lower() if k % 2 else path.name.upper()))
        loaded = load_volume(medium / "DICOMDIR", series="2")
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert loaded.warnings == ()

    def test_the_folder_of_a_medium_opens_like_any_other(
        self, series: Write, tmp_path: Path
    ) -> None:
        loaded = load_volume(self.medium(series, tmp_path), series="1")
        assert loaded.shape[0] == 6
        assert loaded.warnings == ()


class TestFoldersOfVolumes:
    def test_a_single_nifti_in_a_folder_opens(self, tmp_path: Path) -> None:
        nifti(tmp_path / "scan.nii.gz")
        assert load_volume(tmp_path).shape == (4, 5, 3)

    def test_of_several_the_largest_opens_and_the_others_are_named(self, tmp_path: Path) -> None:
        for slices in (4, 9, 6):
            nifti(tmp_path / f"scan{slices}.nii.gz", slices)
        loaded = load_volume(tmp_path)
        assert loaded.shape[0] == 9
        assert 'Series "scan4.nii.gz"' in loaded.warnings[0]
        assert 'Series "scan6.nii.gz"' in loaded.warnings[0]
        assert load_volume(tmp_path, series="#2").shape[0] == 6

    def test_one_that_cannot_be_read_does_not_hide_the_others(self, tmp_path: Path) -> None:
        nifti(tmp_path / "good.nii.gz")
        (tmp_path / "bad.nii").write_bytes(b"no NIfTI")
        loaded = load_volume(tmp_path)
        assert loaded.shape[0] == 4
        assert "bad.nii cannot be read as NIfTI" in " ".join(loaded.warnings)

    def test_beside_dicom_other_volumes_are_named_and_left_closed(
        self, series: Write, volume: Volume
    ) -> None:
        folder = series()
        nifti(folder / "labels.nii.gz", slices=50)
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert loaded.warnings == (
            "1 other file beside the DICOM files not opened: labels.nii.gz.",
        )


class TestArchives:
    def zipped(self, folder: Path, path: Path) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                archive.write(file, file.relative_to(folder))
        return path

    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A place of its own for what is unpacked."""
        place = tmp_path / "temporary"
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        return place

    def test_a_zipped_study_opens_and_nothing_stays_behind(
        self, series: Write, volume: Volume, tmp_path: Path, temporary: Path
    ) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert loaded.source == str(path)
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("twin", ["IM3", "../IM3", "./im3"])
    def test_files_that_would_lie_at_one_place_are_all_kept(
        self, series: Write, tmp_path: Path, volume: Volume, twin: str
    ) -> None:
        path = tmp_path / "study.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
            warnings.simplefilter("ignore")  # zipfile warns of a name that is there already
            for k, file in enumerate(sorted(series().iterdir())):
                archive.write(file, twin if k == 5 else f"IM{k}")
        np.testing.assert_array_equal(load_volume(path).voxels, volume.voxels)

    def damaged_within(self, path: Path, which: int) -> str:
        """Overwrite packed bytes of an entry; its name."""
        with zipfile.ZipFile(path) as archive:
            entry = archive.infolist()[which]
        content = bytearray(path.read_bytes())
        begin = entry.header_offset + 30 + len(entry.filename) + 20
        content[begin : begin + 60] = bytes(range(160, 220))
        path.write_bytes(bytes(content))
        return entry.filename

    def test_an_entry_that_is_damaged_is_named_and_the_rest_opens(
        self, series: Write, tmp_path: Path, temporary: Path
    ) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        name = self.damaged_within(path, 0)
        source = open_source(path)
        (lost,) = source.skipped
        assert (lost.path, lost.kind) == (path / name, "damaged file")
        loaded = load_volume(path)
        assert loaded.shape[0] == 5
        assert f"1 entry of study.zip not unpacked: {name}." in loaded.warnings
        assert str(temporary) not in " ".join(loaded.warnings)

    def test_a_gap_that_a_damaged_entry_leaves_names_it(
        self, series: Write, tmp_path: Path
    ) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        name = self.damaged_within(path, 2)
        with pytest.raises(GapError, match=rf"1 gap .* could not be unpacked: {name}"):
            load_volume(path)

    def test_an_archive_without_a_whole_entry_is_refused(
        self, series: Write, tmp_path: Path
    ) -> None:
        path = self.zipped(series(lambda _dataset, k: k == 0), tmp_path / "study.zip")
        self.damaged_within(path, 0)
        with pytest.raises(ImageReadError, match="Copy or download the archive again"):
            load_volume(path)

    def test_a_zipped_nifti_opens(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        nifti(tmp_path / "in" / "scan.nii.gz")
        assert load_volume(self.zipped(tmp_path / "in", tmp_path / "x.zip")).shape == (4, 5, 3)

    def test_the_unpacked_files_stay_while_the_place_is_in_use(
        self, series: Write, tmp_path: Path, temporary: Path
    ) -> None:
        source = open_source(self.zipped(series(), tmp_path / "study.zip"))
        assert all(file.is_file() for file in source.series[0].files)
        assert source.load(source.choose(), Watch()).shape[0] == 6
        assert len(list(temporary.iterdir())) == 1
        del source
        assert list(temporary.iterdir()) == []

    def test_what_a_killed_program_unpacked_goes_with_the_next_archive(
        self, series: Write, tmp_path: Path, temporary: Path
    ) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        program = (
            "import sys; from pathlib import Path; from med2e3.io.archive import Unpacked; "
            "from med2e3.io.watch import Watch; kept = Unpacked(Path(sys.argv[1]), Watch()); "
            "print('unpacked', flush=True); sys.stdin.read()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(temporary)},
        )  # fmt: skip
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"unpacked\n"
            assert load_volume(path).shape[0] == 6
            (left,) = temporary.iterdir()  # in use by the child
        finally:
            child.kill()
            child.communicate()
        assert left.is_dir()
        assert load_volume(path).shape[0] == 6
        assert list(temporary.iterdir()) == []

    def test_a_damaged_archive_is_named(
        self, series: Write, tmp_path: Path, temporary: Path
    ) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ImageReadError, match=r"study\.zip cannot be unpacked") as caught:
            load_volume(path)
        assert list(temporary.iterdir()) == []  # also while somebody still holds the error
        assert caught.value is not None

    def test_a_password_is_asked_for_elsewhere(self, series: Write, tmp_path: Path) -> None:
        path = self.zipped(series(), tmp_path / "study.zip")
        content = bytearray(path.read_bytes())
        for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = content.find(signature)
            while at >= 0:
                content[at + flag] |= 1  # general purpose bit 0: encrypted
                at = content.find(signature, at + 4)
        path.write_bytes(bytes(content))
        with pytest.raises(ImageReadError, match="protected by a password"):
            load_volume(path)

    def test_names_that_climb_out_of_the_archive_stay_inside(
        self, tmp_path: Path, temporary: Path
    ) -> None:
        path = tmp_path / "evil.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../escaped.txt", "x")
        with pytest.raises(ImageReadError, match="no image"):
            load_volume(path)
        assert not list(tmp_path.rglob("escaped.txt"))

    def test_an_archive_too_large_for_the_disk_is_refused_before_unpacking(
        self, series: Write, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from med2e3.errors import ResourceError
        from med2e3.io import archive

        monkeypatch.setattr(archive, "DISK_RESERVE", 1 << 60)
        with pytest.raises(ResourceError, match=r"study\.zip needs .* GB of disk"):
            load_volume(self.zipped(series(), tmp_path / "study.zip"))
        assert list(temporary.iterdir()) == []


class TestWatching:
    def test_progress_rises_from_0_to_1_in_words(self, series: Write) -> None:
        seen: list[tuple[float, str]] = []
        load_volume(series(), progress=lambda fraction, doing: seen.append((fraction, doing)))
        fractions = [fraction for fraction, _ in seen]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)
        assert [doing for _, doing in seen][::7] == ["Reading headers", "Reading slices"]

    def test_a_stage_of_a_stage_lies_within_it(self) -> None:
        seen: list[float] = []
        whole = Watch(lambda fraction, _doing: seen.append(fraction))
        inner = whole.stage(0.2, 0.6).stage(0.5, 1.0)
        for fraction in (0.0, 0.5, 1.0):
            inner.step(fraction, "Reading")
        assert seen == pytest.approx([0.4, 0.5, 0.6])

    @pytest.mark.parametrize("after", [0, 3, 8])
    def test_it_stops_at_the_next_file_when_told_to(self, series: Write, after: int) -> None:
        asked = 0

        def cancelled() -> bool:
            nonlocal asked
            asked += 1
            return asked > after

        with pytest.raises(Cancelled, match="Stopped while reading"):
            load_volume(series(), cancelled=cancelled)
        assert asked == after + 1

    @pytest.mark.parametrize("kind", ["dicom", "nifti"])
    def test_the_first_look_shows_the_middle_slice_while_the_others_are_still_air(
        self, series: Write, tmp_path: Path, kind: str
    ) -> None:
        looks: list[tuple[np.ndarray, tuple[int, int, int]]] = []
        path = series() if kind == "dicom" else nifti(tmp_path / "scan.nii.gz", 6)
        source = open_source(path)
        watch = Watch(first_look=lambda v: looks.append((v.voxels.copy(), v.shape)))
        loaded = source.load(source.choose(), watch)
        ((voxels, shape),) = looks
        assert shape == loaded.shape
        np.testing.assert_array_equal(voxels[3], loaded.voxels[3])
        assert (np.delete(voxels, 3, axis=0) == -1024).all()
