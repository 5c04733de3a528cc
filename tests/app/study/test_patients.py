"""Who is one patient: by ID, name and birth date, for an ID counts only where it was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.viewmodels.core.patients import different_patients
from app.viewmodels.images.compare import UNKNOWN, Compare
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.browser import browse
from med2e3.io import write_nifti
from med2e3.io.series import SeriesFacts, SeriesSummary
from med2e3.volume import SeriesInfo
from tests.app.bodies import phantom


def patients(*keys: tuple[str, str, str]) -> list[set[int]]:
    """Which series are listed as one patient's, each given by ID, name and birth date."""
    series = []
    for k, (given, name, born) in enumerate(keys):
        info = SeriesInfo(name, given, born, study_uid=f"1.{k}", series_number=str(k))
        series.append(SeriesSummary(info, 5, (5, 4, 4), facts=SeriesFacts()))
    return [
        {int(s.summary.info.series_number) for study in patient.studies for s in study.series}
        for patient in browse(series, series[0])
    ]


def test_one_patient_is_told_by_id_name_and_birth_date() -> None:
    anna, bert = ("ANON", "Alpha^Anna", "19500101"), ("ANON", "Beta^Bert", "19600606")
    assert patients(anna, bert, anna) == [{0, 2}, {1}]
    # One name may be spelled in several ways.
    spelled = ("Doe^John", "DOE^JOHN", "Doe^John^^", "doe  john", "Doe^John=山田^太郎")
    assert patients(*[("A", name, "19500101") for name in spelled]) == [set(range(5))]
    assert patients(("A", "Doe^J", "19500101"), ("A", "Doe^J", "19600101")) == [{0}, {1}]
    assert patients(("", "Doe^J", "19500101"), ("", "DOE^J", "19500101")) == [{0, 1}]


def test_an_id_with_less_beside_it_is_that_of_the_only_patient_it_can_be() -> None:
    anna, bert = ("ANON", "Alpha^Anna", "19500101"), ("ANON", "Beta^Bert", "19600606")
    assert patients(("ANON", "", ""), anna, ("ANON", "ALPHA^ANNA", "")) == [{0, 1, 2}]
    assert patients(("ANON", "", "19600606"), anna, bert) == [{0, 2}, {1}]
    assert patients(("ANON", "", ""), anna, bert) == [{0}, {1}, {2}]
    assert patients(("ANON", "", "19700101"), anna) == [{0}, {1}]
    assert patients(("", "", ""), anna) == [{0}, {1}]
    # The list says who it is, whichever of them comes first.
    info = SeriesInfo(anna[1], anna[0], anna[2])
    bare = SeriesInfo(patient_id="ANON", study_uid="1.1")
    (row,) = browse([SeriesSummary(i, 5, (5, 4, 4), facts=SeriesFacts()) for i in (bare, info)])
    assert (row.title, row.details) == ("Alpha Anna", "ANON · 1950-01-01")


def test_no_identity_is_not_the_same_identity() -> None:
    """Two scans that name nobody are two patients and two studies, each with its own date."""
    infos = [SeriesInfo(study_date=day) for day in ("20240131", "20250301")]
    series = [
        SeriesSummary(info, 5, (5, 4, 4), files=(Path(f"{k}.nii"),), facts=SeriesFacts())
        for k, info in enumerate(infos)
    ]
    rows = browse(series, series[0])
    assert [[s.title for s in patient.studies] for patient in rows] == [
        ["2024-01-31"],
        ["2025-03-01"],
    ]
    assert not any(study.mark for patient in rows for study in patient.studies)
    # A birth date alone names nobody; one study, or one frame of reference, is one patient's.
    assert patients(("", "", "19500101"), ("", "", "19500101")) == [{0}, {1}]
    together = [SeriesInfo(study_uid="1.5", series_number=str(k)) for k in range(2)]
    (row,) = browse([SeriesSummary(i, 5, (5, 4, 4), facts=SeriesFacts()) for i in together])
    assert len(row.studies[0].series) == 2
    # A patient who is named, in studies without a UID, keeps both of their dates.
    named = [SeriesInfo("Doe^J", "A", study_date=day) for day in ("20240131", "20250301")]
    (row,) = browse([SeriesSummary(i, 5, (5, 4, 4), facts=SeriesFacts()) for i in named])
    assert [study.title for study in row.studies] == ["2025-03-01", "2024-01-31"]


def test_two_unnamed_scans_compared_are_not_called_those_of_one_patient() -> None:
    viewer = Viewer()
    compare = Compare(viewer)
    bare = replace(phantom(), info=SeriesInfo(modality="CT"))
    viewer.show(bare)
    compare.open(replace(bare, info=SeriesInfo(modality="CT", patient_name="Doe^J")))
    assert UNKNOWN in compare.note
    compare.open(replace(bare, info=bare.info))
    assert UNKNOWN in compare.note
    viewer.show(phantom())
    compare.open(phantom("Again"))
    assert UNKNOWN not in compare.note


def test_two_unnamed_files_are_listed_as_two(gui: Any, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    for name, value in (("a", 900), ("b", 700)):
        bare = replace(phantom(value=value), info=SeriesInfo())
        write_nifti(bare, tmp_path / "both" / f"{name}.nii.gz")
    gui.open(tmp_path / "both")
    tree = gui.window.series.tree
    titles = [tree.topLevelItem(k).text(0) for k in range(tree.topLevelItemCount())]
    assert titles == ["Patient not named", "Patient not named"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (("A", "Doe^John", "19500101"), ("A", "DOE^JOHN", "19500101"), ""),
        (("A", "Doe^John", "19500101"), ("A", "", ""), ""),
        (("", "", ""), ("A", "Doe^John", "19500101"), ""),
        (
            ("A", "Doe^John", "19500101"),
            ("B", "Doe^John", "19500101"),
            "Different patient IDs: A and B",
        ),
        (("A", "", "1950"), ("B", "", "1960"), "Different patients: A and B"),
    ],
)
def test_two_are_called_different_patients_only_where_both_say_so(
    one: tuple[str, str, str], other: tuple[str, str, str], words: str
) -> None:
    infos = [SeriesInfo(name, given, born) for given, name, born in (one, other)]
    assert different_patients(*infos) == words
