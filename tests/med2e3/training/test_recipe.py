"""Recipes are read strictly: what is wrong is refused at load, with its line and its key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from med2e3.cli import main
from med2e3.errors import InputError, RecipeError
from med2e3.training import Options, open_recipe
from med2e3.training.recipe import load_recipe
from med2e3.training.recipe_file import FOLDER, line_of
from med2e3.training.recipe_record import RECIPE_FILE, as_json, keep_to_recipe
from med2e3.training.stages.tuning import TuningRecipe

#: A key of the demo's recipe, as it stands there → as somebody may write it, and what is said.
WRONG = {
    "a key of a stage": ("questions = 4 ", "qestions = 4 ", r"“qestions” is no key of "
                         r"\[stages\.align\]\. Did you mean “questions”\?"),
    "a stage": ("[stages.align]", "[stages.aling]", r"“aling” is no key of \[stages\]\. Did you "
                r"mean “align”\?"),
    "a topic": ("organ = 0.2\n", "orgn = 0.2\n", r"“orgn” is no key of "
                r"\[stages\.align\.mix\]\. Did you mean “organ”\?"),
    "a key of the data": ("tuning_phantoms =", "tunning_phantoms =", "“tuning_phantoms”"),
    "a key of the file": ("seed = 1", "sed = 1", "“sed” is no key of the recipe. Did you mean"),
    "a key of the model": ("aggregation =", "agregation =", r"no key of \[model\]\. Did you mean "
                           "“aggregation”"),
    "a key of an encoder": ("class_token = false", "class_tokens = false",
                            r"\[model\.vision3d_config\]\. Did you mean “class_token”"),
    "a choice of the model": ('"tgis"', '"tgif"', r"\[model\] makes no model: .*tgif"),
    "text for a number": ("steps = 150", 'steps = "150"', "steps = “150” must be a whole number"),
    "a fraction of a step": ("steps = 150", "steps = 1.5", "steps = 1.5 must be a whole number"),
    "a switch for a number": ("rows = 64", "rows = true", "rows = true must be a whole number"),
    "a number for a switch": ("language_model = false", "language_model = 0",
                              "language_model = 0 must be true or false"),
    "no number": ("pointing = 0.3", "pointing = nan", "pointing = nan must be a number"),
    "no step": ("steps = 150", "steps = 0", "steps = 0 must be at least 1"),
    "a rate of 0": ("learning_rate = 2e-3\noptimizer = \"muon\"\nparts", "learning_rate = 0\nparts",
                    "learning_rate = 0 must be more than 0"),
    "a share above 1": ("text = 0.0 ", "text = 1.2 ", "text = 1.2 must lie between 0 and 1"),
    "a weight below 0": ("organ = 0.2\n", "organ = -0.2\n", "organ = -0.2 must be at least 0"),
    "a list that is too short": ("[0, 9000]", "[0]", "train_seeds = .* a list of 2 values"),
    "no phantoms": ("[0, 9000]", "[9000, 9000]", "holds no phantom"),
    "a window without width": ("width = 2000.0", "width = 0", "width = 0 must be more than 0"),
}  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a recipe's text to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def line_in(error: Exception, text: str) -> str:
    """The line of the file that an error names."""
    number = re.search(r"mine\.toml, line (\d+): ", str(error))
    assert number, str(error)
    return text.split("\n")[int(number[1]) - 1]


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_key_or_value_is_refused_with_its_line(case: str, written: Any) -> None:
    right, wrong, said = WRONG[case]
    demo = (FOLDER / "demo.toml").read_text(encoding="utf-8")
    assert right in demo
    changed = demo.replace(right, wrong, 1)
    with pytest.raises(RecipeError, match=said) as refused:
        load_recipe(written(changed))
    there = line_in(refused.value, changed)
    if case != "a choice of the model":  # transformers does not say which key it is
        assert there in changed.replace(demo, "").split("\n")
        assert there not in demo.split("\n")
    else:
        assert there == "[model]"


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("rows = 64\n", r"line \d+: \[stages\.align\] lacks “rows”"),
        ("volumes = 6 ", r"line \d+: \[stages\.align\] lacks “volumes”"),
        ("width = 2000.0 ", r"\[window\] lacks “width”"),
        ('name = "demo"', r"the recipe lacks “name”.*demo\.toml"),
    ],
)
def test_a_missing_key_is_named_with_its_table(gone: str, said: str, written: Any) -> None:
    demo = (FOLDER / "demo.toml").read_text(encoding="utf-8")
    assert gone in demo
    with pytest.raises(RecipeError, match=said):
        load_recipe(written(demo.replace(gone, "# ", 1)))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("batch = 64 ", "bach = 64 ", "“bach” is no key of the recipe. Did you mean"),
        ("warmup = 0.03", "warmup = 3", "warmup = 3 must lie between 0 and 1"),
        ("epochs = 3", 'epochs = "3"', "epochs = “3” must be a number"),
        ('template = "pretrain"', 'template = "pretrian"', "template = “pretrian” is not"),
        ('train = ["connector3d"', 'train = ["connector2"', "train = .*connector2"),
        ("scale = 0.1", "scael = 0.1", r"“scael” is no key of \[augment\]"),
        ("shift_probability = 0.5", "shift_probability = 5", "shift_probability = 5"),
        ('file = "m3d', 'fiel = "m3d', r"“fiel” is no key of \[\[data\]\], entry 1"),
        ('format = "conversations"', 'format = "conversation"', "There is no data format"),
        ("m3d_clip =", "m3dclip =", "start must name either"),
        ("parts = 2", "parts = 3", "batch = 64 samples cannot be cut into parts = 3"),
        ('kind = "med2e3"', 'kind = "med2e"', "kind = “med2e” is not “med2e3”"),
    ],
)
def test_published_recipes_are_read_as_strictly(
    right: str, wrong: str, said: str, written: Any
) -> None:
    text = (FOLDER / "pretrain.toml").read_text(encoding="utf-8")
    assert right in text
    changed = text.replace(right, wrong, 1)
    with pytest.raises(RecipeError, match=said) as refused:
        open_recipe(written(changed), Options())
    there = line_in(refused.value, changed)
    assert there.startswith("[start]" if "start must" in said else wrong.split(" ")[0])


def test_a_dry_run_tells_a_typo_as_a_sentence(written: Any, capsys: Any) -> None:
    text = (FOLDER / "demo-more.toml").read_text(encoding="utf-8")
    path = written(text.replace("questions", "qestions"))
    assert main(["train", str(path), "--dry-run"]) != 0
    said = capsys.readouterr().err
    assert "line 17: “qestions” is no key of [stages.tune]. Did you mean “questions”?" in said


def test_keys_of_a_stage_that_have_a_usual_value_may_be_left_out(written: Any) -> None:
    text = (FOLDER / "demo-more.toml").read_text(encoding="utf-8")
    for line in ("language_model = true", "text = 0.12", "pointing = 0.6"):
        text = text.replace(line, "")
    tune = load_recipe(written(text)).stages["tune"]
    assert isinstance(tune, TuningRecipe)
    assert (tune.language_model, tune.text, tune.pointing) == (True, 0.0, 0.0)
    assert (tune.parts, tune.optimizer) == (1, "adamw")


def test_the_line_of_a_key_is_where_its_statement_begins() -> None:
    text = (
        'a = [\n  1,\n  2,\n]\n\n# b = 3\n[t]\nb.c = """\nb = 1\n"""\n[[d]]\n[[d]]\ne = { f = 1 }'
    )
    lines = {("a",): 1, ("a", 1): 1, ("t",): 7, ("t", "b", "c"): 8, ("d", 1): 12}
    assert {key: line_of(text, key) for key in lines} == lines
    assert line_of(text, ("d", 1, "e", "f")) == 13
    assert line_of(text, ("d", 2)) is None


def test_run_folders_of_the_version_before_are_gone_on_with(fixtures: Path, tmp_path: Path) -> None:
    """It wrote a stage's own keys as options, and those of every stage into each smoke run."""
    recipe = load_recipe(fixtures / "runs" / "demo.toml")
    before = (fixtures / "runs" / "recipe.json").read_text(encoding="utf-8")
    assert as_json(recipe) == json.loads(before)
    smoke = (fixtures / "runs" / "recipe-smoke.json").read_text(encoding="utf-8")
    for text, said in ((before, recipe), (smoke, recipe.smoke())):
        (tmp_path / RECIPE_FILE).write_text(text, encoding="utf-8")
        keep_to_recipe(said, tmp_path)
    changed = smoke.replace('"slices": 8', '"slices": 9')
    (tmp_path / RECIPE_FILE).write_text(changed, encoding="utf-8")
    with pytest.raises(InputError, match=r"encoder2d\.options\.slices was 9, and is 8 now"):
        keep_to_recipe(recipe.smoke(), tmp_path)
