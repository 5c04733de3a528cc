"""The difference of two texts: whole words, each text complete in it, and bounded work."""

from __future__ import annotations

import time

import pytest

from app.viewmodels.report.difference import MOST_WORDS, Kind, difference


def words(kinds: set[Kind], before: str, after: str) -> str:
    return "".join(change.text for change in difference(before, after) if change.kind in kinds)


def test_whole_words_are_removed_and_added() -> None:
    found = [(c.kind.value, c.text.strip()) for c in difference("No nodule.", "A nodule, 4 mm.")]
    assert found == [("removed", "No nodule."), ("added", "A nodule, 4 mm.")]
    found = [(c.kind.value, c.text) for c in difference("There is no cyst.", "There is a cyst.")]
    assert found == [
        ("same", "There is "), ("removed", "no "), ("added", "a "), ("same", "cyst.")
    ]  # fmt: skip


def test_space_alone_makes_no_difference() -> None:
    assert {c.kind for c in difference("One.\nTwo.", "One. Two.\n")} == {Kind.SAME}
    assert difference("", "") == ()


@pytest.mark.parametrize(("before", "after"), [("", "a b"), (" a\n\nb", "b c"), ("a", "")])
def test_each_text_is_complete_in_it(before: str, after: str) -> None:
    assert words({Kind.SAME, Kind.ADDED}, before, after) == after
    assert "".join(words({Kind.SAME, Kind.REMOVED}, before, after).split()) == "".join(
        before.split()
    )


def test_a_text_of_any_length_takes_no_time() -> None:
    began = time.process_time()
    changes = difference("no " * MOST_WORDS, "yes no " * MOST_WORDS)
    assert time.process_time() - began < 1
    assert [change.kind for change in changes] == [Kind.REMOVED, Kind.ADDED]
