"""The file of preferences: no content stops the start, no window undoes what another changed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.settings import Mouse, Preferences
from app.viewmodels.core.settings import Settings
from tests.app.conftest import Gui

#: Files that are no preferences at all.
DAMAGED: dict[str, bytes] = {
    "nested": b"[" * 1000 + b"]" * 1000,
    "nested deeper": b'{"a":' * 100_000,
    "digits": b'{"text_size": ' + b"9" * 5000 + b"}",
    "half": b'{"theme": "li',
    "empty": b"",
    "another encoding": b'{"theme": "\xff\xfe"}',
    "a list": b"[1, 2]",
    "zeros": b"\0" * 500,
    "huge": b" " * 6_000_000,
}

#: Files with preferences that are none.
WRONG: dict[str, dict[str, Any]] = {
    "surrogates": {"theme": "\ud800", "window_geometry": "\udfff", "custom_layout": "\ud83d"},
    "types": {"theme": 3, "text_size": "x", "recent": "x", "shortcuts": [1], "crosshair": 1},
    "entries": {"recent": [1, None, "\ud800"], "hidden_panels": [{}], "shortcuts": {"a": 1}},
    "nothing": dict.fromkeys(("theme", "model", "splitters", "recent", "corner")),
    "zero bytes": {"model": "a\0b", "last_folder": "\0"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.json"


def written(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_gives_the_defaults_and_is_kept_and_said(name: str, file: Path) -> None:
    settings = Settings(written(file, DAMAGED[name]))
    said: list[str] = []
    settings.listen(said.append)
    assert settings.values == Preferences()
    aside = file.with_name("settings.damaged-1.json")
    assert aside.read_bytes() == DAMAGED[name]
    assert len(said) == 1
    assert aside.name in said[0]
    settings.values.theme = "light"
    settings.save()
    assert Settings(file).values.theme == "light"
    assert aside.read_bytes() == DAMAGED[name]


@pytest.mark.parametrize("name", WRONG)
def test_preferences_of_a_wrong_type_are_as_at_first_and_the_file_is_kept_once(
    name: str, file: Path
) -> None:
    content = json.dumps({**WRONG[name], "wheel": "zoom"}).encode()
    settings = Settings(written(file, content))
    said: list[str] = []
    settings.listen(said.append)
    assert settings.values == Preferences(mouse=Mouse(wheel="zoom"))
    assert all(word in said[0] for word in WRONG[name])
    settings.save()
    again = Settings(file)
    again.listen(said.append)
    assert again.values == settings.values
    assert len(said) == 1
    assert [p.read_bytes() for p in file.parent.glob("*damaged*")] == [content]


@pytest.mark.parametrize("name", [*DAMAGED, *WRONG])
def test_the_window_starts_with_any_file_and_says_what_happened(
    name: str, file: Path, loop: Any, engine: Any
) -> None:
    content = DAMAGED.get(name) or json.dumps(WRONG.get(name, "")).encode()
    gui = Gui(loop, engine, Settings(written(file, content if name != "empty" else b"")))
    message = gui.workspace.notices.message
    assert message is not None
    assert "settings.damaged-1.json" in message.sentence
    gui.do(gui.window.close)
    assert gui.run(gui.application.close())
    assert json.loads(file.read_text())["theme"] == "dark"


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_the_window_starts_with_places_whose_names_are_no_utf8(
    file: Path, loop: Any, engine: Any
) -> None:
    place = os.fsdecode(b"/scans/caf\xe9")
    settings = Settings(
        written(file, json.dumps({"recent": [place], "last_folder": place}).encode())
    )
    gui = Gui(loop, engine, settings)
    assert gui.workspace.notices.message is None
    gui.do(gui.window.close)
    assert gui.run(gui.application.close())
    assert Settings(file).values.recent == [place]


def test_a_file_that_cannot_be_read_is_never_replaced(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(file, b'{"theme": "light"}')

    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", refuse)
        settings = Settings(file)
    said: list[str] = []
    settings.listen(said.append)
    assert "Permission denied" in said[0]
    settings.values.text_size = 130
    settings.save()
    assert file.read_bytes() == b'{"theme": "light"}'


def test_a_save_replaces_the_file_and_never_writes_into_it(file: Path) -> None:
    """Whoever reads the file meanwhile, and a kill at any moment, finds it whole."""
    settings = Settings(written(file, b'{"theme": "light"}'))
    with file.open("rb") as before:
        settings.values.text_size = 130
        settings.save()
        assert before.read() == b'{"theme": "light"}'
    damaged = file.read_bytes().replace(b"130", b'"large"')
    with written(file, damaged).open("rb") as before:
        assert Settings(file).values.theme == "light"  # reading puts what was damaged aside
        assert before.read() == damaged
    assert Settings(file).values.text_size == Settings(None).values.text_size


def test_what_a_newer_version_keeps_stays(file: Path) -> None:
    newer = {"theme": "sepia", "eye_tracking": {"on": True}}
    settings = Settings(written(file, json.dumps(newer).encode()))
    settings.values.text_size = 130
    settings.save()
    assert json.loads(file.read_text()) | newer == json.loads(file.read_text())
    assert json.loads(file.read_text())["text_size"] == 130


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_the_preferences_are_their_users_alone(file: Path) -> None:
    Settings(file).save()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_two_windows_keep_each_others_preferences(file: Path) -> None:
    one, other = Settings(file), Settings(file)
    one.values.theme = "light"
    one.save()
    other.values.text_size = 130
    other.save()
    one.values.shortcuts["invert"] = ["I"]
    one.save()
    other.values.shortcuts["flip"] = ["F"]
    other.save()
    values = Settings(file).values
    assert (values.theme, values.text_size) == ("light", 130)
    assert values.shortcuts == {"invert": ["I"], "flip": ["F"]}
    del one.values.shortcuts["invert"]
    one.save()
    assert Settings(file).values.shortcuts == {"flip": ["F"]}


def test_two_windows_keep_each_others_places_and_forget_them_together(file: Path) -> None:
    one, other = Settings(file), Settings(file)
    for number in range(4):
        one.remember_place(Path(f"/one/{number}"))
        other.remember_place(Path(f"/other/{number}"))
    recent = Settings(file).values.recent
    assert recent[0] == "/other/3"
    assert sorted(recent) == sorted(f"/{who}/{n}" for who in ("one", "other") for n in range(4))
    one.forget_places()
    assert Settings(file).values.recent == []


CHILD = """
import sys
from pathlib import Path
from app.viewmodels.core.settings import Settings
settings = Settings(Path(sys.argv[1]))
for number in range(100):
    settings.values.shortcuts[f"{sys.argv[2]}-{number}"] = ["K"]
    settings.save()
"""


def test_two_windows_lose_nothing_in_200_interleaved_changes(file: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(file), who]) for who in ("a", "b")
    ]
    assert [child.wait(60) for child in children] == [0, 0]
    kept = Settings(file).values.shortcuts
    assert set(kept) == {f"{who}-{number}" for who in "ab" for number in range(100)}
