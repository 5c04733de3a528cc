"""A few hundred damaged files of every kind, always the same: no fault of any sort."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.driver import Fuzz
from tests.fuzz.mutations import ANYWHERE, IN_ELEMENTS, elements
from tests.fuzz.subjects import SUBJECTS, write_dicom

#: The seed of the default tests, and how many files of each part they damage.
SEED = 11
PARTS = {"DICOM": 60, "ZIP,settings,annotations,reports": 60}


@pytest.mark.parametrize("part", PARTS)
def test_damaged_files_are_the_same_are_said_or_are_refused(part: str) -> None:
    tally = Fuzz(SEED, PARTS[part], only=part).run()
    assert tally.cases == PARTS[part]
    faults = [f"{one['kind']} {one['number']}: {one['doing']}" for one in tally.faults]
    assert not faults, (
        f"python -m tests.fuzz --seed {SEED} --only {part} --case N shows it: {faults}"
    )


def test_one_seed_gives_the_same_damage() -> None:
    raw = bytes(range(256)) * 20
    for maker in ANYWHERE:
        assert maker(raw, random.Random(3)) == maker(raw, random.Random(3))


def test_elements_are_found_up_to_the_pixels(tmp_path: object) -> None:
    raw = sorted(write_dicom(tmp_path).iterdir())[0].read_bytes()  # type: ignore[arg-type]
    found = list(elements(raw))
    assert found[-1].name == "(7FE0,0010)"
    assert found[-1].end == len(raw)
    for maker in IN_ELEMENTS:
        assert maker(raw, random.Random(1)).doing


def test_every_kind_of_file_has_a_name_of_its_own() -> None:
    assert len({one.name for one in SUBJECTS}) == len(SUBJECTS)
