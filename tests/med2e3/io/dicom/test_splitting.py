"""One folder, many stacks: what a radiologist would not want mixed lies apart, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from med2e3.errors import ImageReadError
from med2e3.geometry import Plane
from med2e3.io import Source, Watch, load_volume, open_source
from med2e3.io.series import Defect, Grouping, skipped_sentence
from tests.med2e3.io.mixed import add, body, dose_report, kernel, mixed, scout, two_kernels


def volumes(source: Source) -> dict[str, int]:
    return {s.part: s.count for s in source.series if s.is_volume}


def test_a_mixed_folder_is_split_as_a_radiologist_expects(tmp_path: Path) -> None:
    source = open_source(mixed(tmp_path / "mixed"))
    assert volumes(source) == {
        "axial, kernel B30f": 12,
        "axial, kernel B70f": 12,
        "coronal, kernel B30f": 8,
        "acquisition 1": 10,
        "acquisition 2": 10,
    }
    reasons = {s.split_by for s in source.series if s.is_volume}
    assert reasons == {"orientation: axial / coronal; kernel: B30f / B70f", "acquisition: 1 / 2"}


def test_what_is_left_out_is_counted_by_kind_and_named_by_file(tmp_path: Path) -> None:
    source = open_source(mixed(tmp_path / "mixed"))
    said = source.skipped_sentence
    assert said == skipped_sentence(source.skipped)
    assert said == "3 files left out: 1 scout, 1 dose report (SR), 1 text file"
    assert {(one.path.name, one.kind) for one in source.skipped} == {
        ("scout_000.dcm", "scout"),
        ("dose_000.dcm", "dose report (SR)"),
        ("readme.txt", "text file"),
    }


def test_every_file_is_either_in_a_volume_or_left_out(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "mixed")
    (folder / "again.dcm").write_bytes((folder / "soft_003.dcm").read_bytes())
    (folder / "broken.dcm").write_bytes((folder / "soft_003.dcm").read_bytes()[:800])
    source = open_source(folder)
    shown = [file for s in source.series if s.is_volume for file in s.files]
    left = [one.path for one in source.skipped]
    assert sorted(shown + left) == sorted(folder.iterdir())
    assert {one.kind for one in source.skipped} >= {"copy", "damaged file"}


def test_a_scout_is_one_whatever_its_reason_says(tmp_path: Path) -> None:
    source = open_source(mixed(tmp_path / "mixed"))
    assert [s.part for s in source.series if s.is_scout] == ["scout"]
    assert not any(s.is_volume for s in source.series if s.is_scout)


def test_what_is_wrong_with_a_file_is_told_apart_from_what_it_is_called(tmp_path: Path) -> None:
    folder = two_kernels(tmp_path / "k")
    (folder / "broken.dcm").write_bytes((folder / "soft_003.dcm").read_bytes()[:800])
    (folder / "nothing").touch()
    (folder / "letter.txt").touch()
    assert {one.path.name: one.defect for one in open_source(folder).skipped} == {
        "broken.dcm": Defect.DAMAGED,
        "nothing": Defect.EMPTY,
        "letter.txt": Defect.NONE,
    }


def test_each_kernel_loads_its_own_values(tmp_path: Path) -> None:
    source = open_source(two_kernels(tmp_path / "k"))
    tops = {s.facts.kernel: source.load(s, Watch()).voxels.max() for s in source.series}
    assert tops == {"B30f": 40, "B70f": 60}


def test_kernels_are_apart_even_where_they_share_no_position(tmp_path: Path) -> None:
    """Soft images above, sharp ones below: one grid, and still two reconstructions."""

    def lower(dataset: pydicom.Dataset, _k: int) -> None:
        kernel("B70f")(dataset, 0)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z - 36]

    folder = tmp_path / "k"
    add(folder, "soft", body(), kernel("B30f"))
    add(folder, "sharp", body(), lower)
    assert volumes(open_source(folder)) == {"kernel B30f": 12, "kernel B70f": 12}


def test_phases_that_lie_between_each_other_are_apart(tmp_path: Path) -> None:
    """Shifted by half a step: no position is doubled, and stacking them would mix two phases."""

    def second(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.AcquisitionNumber = 2
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 1.5]

    folder = tmp_path / "p"
    add(folder, "one", body(), lambda d, _k: setattr(d, "AcquisitionNumber", 1))
    add(folder, "two", body(), second)
    assert volumes(open_source(folder)) == {"acquisition 1": 12, "acquisition 2": 12}


def test_two_phases_by_two_echoes_are_four_stacks(tmp_path: Path) -> None:
    folder = tmp_path / "four"
    for number in (1, 2):
        for time in (1, 2):

            def edit(d: pydicom.Dataset, _k: int, n: int = number, t: int = time) -> None:
                d.AcquisitionNumber, d.TemporalPositionIdentifier = n, t

            add(folder, f"s{number}{time}", body(value=10 * number + time), edit)
    counts = volumes(open_source(folder))
    assert list(counts.values()) == [12] * 4
    assert "acquisition 2, time 1" in counts


def test_steps_of_a_sequential_scan_stay_one_stack(tmp_path: Path) -> None:
    folder = tmp_path / "steps"
    add(folder, "s", body(), lambda d, k: setattr(d, "AcquisitionNumber", k // 2 + 1))
    (series,) = open_source(folder).series
    assert (series.count, series.split_by, series.ways) == (12, "", ())


class TestEndToEnd:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        folder = tmp_path / "long"
        add(folder, "s", body(20), lambda d, k: setattr(d, "AcquisitionNumber", 1 + k // 10))
        return open_source(folder)

    def test_they_open_as_one_with_a_word(self, source: Source) -> None:
        (series,) = source.series
        assert "Acquisitions 1, 2 lie end to end" in source.load(series, Watch()).warnings[0]

    def test_they_can_be_split_and_joined_again(self, source: Source) -> None:
        (series,) = source.series
        assert series.ways == (Grouping.ACQUISITIONS,)
        apart = source.regrouped({series.key: Grouping.ACQUISITIONS})
        assert volumes(apart) == {"acquisition 1": 10, "acquisition 2": 10}
        assert apart.series[0].ways == (Grouping.APART,)
        assert volumes(apart.regrouped({})) == {"": 20}


def test_a_split_by_thickness_can_be_undone(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    add(folder, "s", body(), lambda d, k: setattr(d, "SliceThickness", 3 if k < 6 else 5))
    source = open_source(folder)
    assert [s.split_by for s in source.series] == ["slice thickness: 3 mm / 5 mm"] * 2
    joined = source.regrouped({source.series[0].key: Grouping.JOINED})
    (series,) = joined.series
    np.testing.assert_array_equal(joined.load(series, Watch()).voxels, body().voxels[::-1])


def test_kernels_at_the_same_places_do_not_join_silently(tmp_path: Path) -> None:
    source = open_source(two_kernels(tmp_path / "k"))
    (series,) = source.regrouped({source.series[0].key: Grouping.JOINED}).series
    assert not series.is_volume
    assert "different images lie at the same place in 12 positions" in series.reason
    assert "sharp_011.dcm and soft_011.dcm" in series.reason


def test_the_facts_are_those_of_the_headers(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.ConvolutionKernel = "B30f"
        dataset.SliceThickness = 5
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = 12

    folder = tmp_path / "f"
    add(folder, "s", body(plane=Plane.SAGITTAL), edit)
    source = open_source(folder)
    facts = source.series[0].facts
    assert (facts.plane, facts.thickness_mm, facts.step_mm) == ("sagittal", 5.0, 3.0)
    assert (facts.kernel, facts.pixel_mm) == ("B30f", 1.0)
    assert (facts.phase, facts.phase_from) == ("portal venous", "Abdomen portal venous")
    assert facts.lossy == "before it was stored 12:1"
    assert any("compressed with loss" in w for w in load_volume(folder).warnings)


def test_trouble_with_positions_is_told_before_opening(tmp_path: Path) -> None:
    folder = tmp_path / "gap"
    add(folder, "s", body())[5].unlink()
    (series,) = open_source(folder).series
    assert "1 gap between slices" in series.facts.trouble
    assert "s_006.dcm and s_004.dcm" in series.facts.trouble


def test_the_slices_say_which_file_they_are_from(tmp_path: Path) -> None:
    source = open_source(two_kernels(tmp_path / "k"))
    found = source.indexed(source.series[0])
    volume = source.load(source.series[0], Watch())
    assert tuple(source.uid for source in found.slices) == volume.slice_uids
    uid = str(pydicom.dcmread(found.slices[4].path).SOPInstanceUID)
    assert uid == volume.slice_uids[4]
    assert found.middle is not None
    np.testing.assert_array_equal(found.middle(), volume.voxels[6])


def test_several_places_open_as_one_list(tmp_path: Path) -> None:
    one, two = two_kernels(tmp_path / "one"), tmp_path / "two"
    files = add(two, "b", body(5), uid="1.2.3")
    source = open_source(one, *files[:3], tmp_path / "missing")
    assert volumes(source) == {"kernel B30f": 12, "kernel B70f": 12, "": 3}
    assert any("There is no file or folder" in note for note in source.scan.notes)


def test_several_places_without_an_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="There is no file or folder"):
        open_source(tmp_path / "a", tmp_path / "b")


def test_what_was_found_so_far_is_told_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("med2e3.io.dicom.reader.REPORT_EVERY_S", 0.0)
    monkeypatch.setattr("med2e3.io.dicom.reader.SCAN_TO_REPORT", 0)
    folder = mixed(tmp_path / "mixed")
    counts: list[int] = []
    whole = open_source(folder, so_far=lambda p: counts.append(sum(s.count for s in p.series)))
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] == sum(s.count for s in whole.series)


def test_a_scout_alone_and_a_report_alone_are_no_volume(tmp_path: Path) -> None:
    for make in (scout, dose_report):
        folder = tmp_path / make.__name__
        folder.mkdir()
        make(folder)
        with pytest.raises(ImageReadError, match="No volume"):
            load_volume(folder)
