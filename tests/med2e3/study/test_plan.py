"""Plans are read strictly: what is wrong is named with its line, before anything is computed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from med2e3.errors import InputError, RecipeError, ResourceError
from med2e3.study.plan import Plan, read_plan

GOOD = """\
title: Effusions
volumes:
  - a.nii.gz
  - {path: b.nii.gz, name: second, series: "2"}
questions:
  - Is there an effusion?
models: [demo]
decoding:
  max_new_tokens: 8
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Plan]:
    """Reads a plan of this text."""

    def from_text(text: str) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(text, encoding="utf-8")
        return read_plan(path)

    return from_text


def test_a_plan_says_everything_with_its_names_and_places(read: Callable, tmp_path: Path) -> None:
    plan = read(GOOD)
    assert [v.name for v in plan.volumes] == ["a.nii.gz", "second"]
    assert [v.path for v in plan.volumes] == [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    assert plan.volumes[1].series == "2"
    assert plan.questions[0].name == "Is there an effusion?"
    assert plan.models[0].model == "demo"
    assert plan.decoding.max_new_tokens == 8
    assert Plan.from_json(plan.as_json()) == plan


def test_a_pattern_stands_for_what_it_fits_in_order(read: Callable, tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii", ".hidden.nii", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    plan = read("volumes: ['*.nii']\nquestions: [What?]\n")
    assert [v.name for v in plan.volumes] == ["a.nii", "b.nii"]
    assert [m.name for m in plan.models] == ["demo"], "the demo model where none is named"


def test_a_name_with_a_bracket_that_is_there_is_no_pattern(read: Callable, tmp_path: Path) -> None:
    (tmp_path / "ct[1].nii").write_bytes(b"")
    assert read("volumes: ['ct[1].nii']\nquestions: [What?]\n").volumes[0].name == "ct[1].nii"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("questions:", "qestions:", 5, "“qestions” is no key of the plan. Did you mean “quest"),
        ("  max_new_tokens: 8", "  max_tokens: 8", 9, "“max_tokens” is no key of “decoding”. Did"),
        ("name: second, s", "nane: second, s", 4, "“nane” is no key of “volumes”, entry 2. Did"),
        ("max_new_tokens: 8", "max_new_tokens: 0", 9, "max_new_tokens = 0 must be at least 1"),
        ("max_new_tokens: 8", "temperature: 1", 9, "needs a seed"),
        ("models: [demo]", "models: [demo]\nplane: axal", 8, "axal” is not one of: axial"),
        ("models: [demo]", "models: [demo, demo]", 7, "“demo” is given twice"),
        ('{path: b.nii.gz, name: second, series: "2"}', "./a.nii.gz", 4, "repeats line 3"),
        ("name: second", "name: a.nii.gz", 4, "“a.nii.gz” is given twice"),
        ("  - Is there an effusion?", "  - What?\n  - ' What?'", 7, "given twice"),
        ("  - Is there an effusion?", "  - no", 6, "entry 1 must be a table, not false"),
        ("  - Is there an effusion?", "  - ' '", 6, "The question is empty"),
        ("  - a.nii.gz", "  - nothing/*.nii", 3, "Nothing fits “nothing/*.nii”"),
        ("title: Effusions", "title: E\ntitle: F", 2, "“title” is given twice"),
        ("title: Effusions", "1: E", 1, "a key must be a word"),
        ("title: Effusions", "title: &a [b, *a]", 1, "used twice by an alias"),
        ("title: Effusions", "title: [", 3, "not valid YAML: line 3"),
        ("title: Effusions", "title: !!python/name:os.system", 1, "could not determine a constr"),
        ("models: [demo]", "models: []", 7, "“models” has no entry"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    read: Callable, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        read(GOOD.replace(old, new, 1))
    assert words in str(caught.value)
    assert f"line {line}" in str(caught.value)


def test_a_pattern_that_overlaps_a_named_volume_is_refused(read: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"")
    with pytest.raises(RecipeError, match=r"given twice.*entry 2 repeats line 1"):
        read("volumes: ['*.nii', a.nii]\nquestions: [What?]\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it must hold the keys volumes and questions"),
        (b"- a\n- b\n", "it must hold the keys volumes and questions"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "nested too deeply|maximum nesting depth"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_plan(path)


def test_a_plan_that_is_not_there_or_far_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"There is no plan .*gone\.yaml"):
        read_plan(tmp_path / "gone.yaml")
    (tmp_path / "large.yaml").write_text(GOOD)
    monkeypatch.setattr("med2e3.study.plan_file.LARGEST", 10)
    with pytest.raises(InputError, match=r"has 1\d\d bytes; a plan has at most 10"):
        read_plan(tmp_path / "large.yaml")


def test_without_the_extra_the_sentence_says_what_to_install(
    read: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ResourceError, match=r"PyYAML.*pip install 'med2e3\[study\]'"):
        read(GOOD)
