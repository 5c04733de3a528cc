"""Counts, sizes and names in words."""

from __future__ import annotations

import pytest

from med2e3.words import (
    counted,
    fine_size_text,
    percent_text,
    person_name,
    size_text,
    some_names,
)


def test_a_count_agrees_with_its_noun() -> None:
    assert counted(1, "file") == "1 file"
    assert counted(0, "file") == "0 files"
    assert counted(2, "picture was", "pictures were") == "2 pictures were"
    assert counted(1, "picture was", "pictures were") == "1 picture was"


def test_a_sentence_lists_the_first_names_and_counts_the_rest() -> None:
    assert some_names(["a", "b"]) == "a, b"
    assert some_names(list("abcde")) == "a, b, c, d, e"
    assert some_names(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert some_names(list("abc"), most=1) == "a and 2 more"


@pytest.mark.parametrize(
    ("dicom", "read"),
    [("DOE^JANE^^Dr.", "DOE JANE Dr."), ("", ""), ("^^", ""), (" Ng ^ Li ", "Ng Li")],
)
def test_a_person_is_named_without_dicoms_carets(dicom: str, read: str) -> None:
    assert person_name(dicom) == read


@pytest.mark.parametrize(
    ("count", "coarse", "fine", "rounded"),
    [
        (16_200_000_000, "16.2 GB", "16.2 GB", "16.2 GB"),
        (412_300_000, "0.4 GB", "412.3 MB", "412 MB"),
        (8_250_000, "8.2 MB", "8.2 MB", "8 MB"),
        (1_440, "0.0 MB", "1.4 kB", "1 kB"),
        (3, "0.0 MB", "0.1 kB", "1 kB"),
        (0, "0.0 MB", "0.0 kB", "0 kB"),
    ],
)
def test_sizes_are_coarse_or_fine(count: int, coarse: str, fine: str, rounded: str) -> None:
    assert size_text(count) == coarse
    assert fine_size_text(count) == fine
    assert fine_size_text(count, decimals=0) == rounded


def test_a_share_is_never_written_as_surer_than_it_can_be() -> None:
    shares = (1.0, 0.996, 0.994, 0.5, 0.006, 0.004, 0.0)
    assert [percent_text(share) for share in shares] == [
        "over 99 %", "over 99 %", "99 %", "50 %", "1 %", "under 1 %", "under 1 %",
    ]  # fmt: skip
