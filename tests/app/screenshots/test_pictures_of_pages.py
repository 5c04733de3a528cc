"""The pictures of a page: the browser is optional, and what is missing is named."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.screenshots import pages
from app.screenshots.states import STATES


def test_every_picture_of_the_window_is_a_state() -> None:
    assert set(pages.WINDOW) <= set(STATES)


def test_without_a_browser_the_page_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not pages.photograph_page(tmp_path / "report.html", tmp_path / "report.png")
    said = capsys.readouterr().err
    assert said.startswith("report.png: none of chromium,")


def test_the_browser_is_told_which_page_and_where_the_picture_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").write_text("<p>A report.")
    browser = tmp_path / "chromium"
    browser.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/words"\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert pages.photograph_page(tmp_path / "report.html", tmp_path / "report.png")
    words = (tmp_path / "words").read_text().split()
    assert f"--screenshot={tmp_path / 'report.png'}" in words
    assert words[-1] == (tmp_path / "report.html").as_uri()
