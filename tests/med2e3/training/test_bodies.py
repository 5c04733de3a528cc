"""Recipes name the bodies of their phantoms; runs from before they could still resume."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from med2e3.errors import RecipeError
from med2e3.training.recipe import load_recipe
from med2e3.training.recipe_file import FOLDER
from med2e3.training.recipe_record import as_json


def recipe_with(line: str, folder: Path) -> Path:
    text = (FOLDER / "demo.toml").read_text(encoding="utf-8")
    path = folder / "own.toml"
    path.write_text(re.sub(r"^bodies = .*$", line, text, flags=re.M), encoding="utf-8")
    return path


def test_a_recipe_gives_bodies_their_shares(tmp_path: Path) -> None:
    made = load_recipe(recipe_with("bodies = { detailed = 3, simple = 1 }", tmp_path))
    assert made.bodies == {"detailed": 3.0, "simple": 1.0}
    assert as_json(made)["bodies"] == made.bodies


def test_a_recipe_that_names_none_draws_simple_ones_and_its_record_is_as_before(
    tmp_path: Path,
) -> None:
    made = load_recipe(recipe_with("", tmp_path))
    assert made.bodies == {"simple": 1.0}
    assert "bodies" not in as_json(made)


@pytest.mark.parametrize("line", ["bodies = { cubist = 1 }", "bodies = { simple = 0 }"])
def test_bodies_that_there_are_not_or_that_have_no_share_are_refused(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"bodies|cubist"):
        load_recipe(recipe_with(line, tmp_path))
