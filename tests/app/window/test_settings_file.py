"""The file of preferences: flat, read and written as by the version that had no groups."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from app.settings import Preferences, declared, group_of, read, save
from app.viewmodels.core.settings import Settings

#: Written by version 0.1 with no preference at its default.
OF_BEFORE = Path(__file__).with_name("settings_0_1.json")

FLAT = json.loads(OF_BEFORE.read_text(encoding="utf-8"))


def test_every_preference_of_the_file_before_is_read() -> None:
    values, first = read(OF_BEFORE).values, Preferences()
    assert {name: values.get(name) for name in FLAT} == FLAT
    assert not [name for name in FLAT if FLAT[name] == first.get(name)]


def test_the_version_before_reads_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    save(file, Preferences(), read(OF_BEFORE).values)
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {name: written[name] for name in FLAT} == FLAT  # it passes over names it does not know


def test_a_value_that_no_preference_can_be_gives_the_default_in_a_group_too(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"wheel": "sideways", "letters": 1, "corner_slice": false, "mouse": {}}')
    values, first = read(file).values, Preferences()
    assert (values.mouse, values.display) == (first.mouse, first.display)
    assert not values.corners.corner_slice


def test_a_name_stands_in_one_group_only() -> None:
    first = Preferences()
    groups = [first, *(getattr(first, one.name) for one in fields(first))]
    names = [
        one.name
        for group in groups
        if is_dataclass(group)
        for one in fields(group)
        if not is_dataclass(getattr(group, one.name))
    ]
    assert sorted(names) == sorted(set(names))
    assert set(FLAT) <= set(names)


def test_pages_of_the_dialog_stand_in_the_order_of_the_file() -> None:
    pages = list(dict.fromkeys(how.page for how in declared().values()))
    assert pages == ["Window", "Text over images", "Images", "Mouse", "Start"]
    assert [group_of(name) for name in ("wheel", "letters", "patient_name", "theme")] == [
        "mouse",
        "display",
        "corners",
        "",
    ]


def test_who_listens_hears_each_preference_that_changed_and_no_other() -> None:
    settings, heard = Settings(), []
    settings.changed.connect(lambda name: heard.append((name, settings.values.mouse.wheel)))
    settings.set("theme", "dark")
    assert heard == []
    settings.update({"letters": False, "theme": "dark", "wheel": "zoom"})
    assert heard == [("letters", "zoom"), ("wheel", "zoom")]
    with pytest.raises(KeyError):
        settings.set("mouse", None)
