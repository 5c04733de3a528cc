"""The example of a finding of one's own: its data, its recipe, and the page's commands."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import med2e3
from med2e3.cli import main
from med2e3.geometry import Plane
from med2e3.phantoms import Phase, Region, Wish, make_phantom
from med2e3.phantoms.anatomy import LABEL
from med2e3.training import Options, open_recipe
from med2e3.training.data.new_finding import INFARCT_HU, with_infarct
from med2e3.training.data.pointers import held_slices
from med2e3.training.data.prepare_scans import read_prepared
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.stages.published import open_parts
from med2e3.volume import Window

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "med2e3/training/README.md"
GRID = (32, 128, 128)


@pytest.fixture(scope="module")
def commands() -> list[list[str]]:
    """What the page shows after a `$`, with numbers that a test can wait for."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"^```console\n(.*?)^```", text, re.S | re.M)
    assert block
    small = block[1].replace("--train 100 --test 50", "--train 6 --test 2")
    return [shlex.split(line.removeprefix("$ ")) for line in small.splitlines()]


@pytest.fixture(scope="module")
def folder(commands: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands up to the lists' copy were run."""
    place = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for command in commands[:3]:
            run(command)
    return place


def run(command: list[str]) -> None:
    if command[0] == "cp":
        for name in command[1:-1]:
            shutil.copy(name, command[-1])
    else:
        assert command[0] == "med2e3"
        assert main(command[1:]) == 0


def test_the_finding_is_a_dark_wedge_of_spleen_and_nothing_else() -> None:
    wish = Wish(plane=Plane.AXIAL, phase=Phase.PORTAL_VENOUS, region=Region.ABDOMEN)
    phantom = make_phantom(40_000_001, wish)
    volume, mask = with_infarct(phantom, np.random.default_rng(1))
    spleen = phantom.labels == LABEL["spleen"]
    assert not (mask & ~spleen).any()
    assert 0.03 < mask.sum() / spleen.sum() < 0.5
    before, after = phantom.volume.voxels, volume.voxels
    assert np.array_equal(before[~mask], after[~mask])
    assert after[mask].mean() == pytest.approx(INFARCT_HU, abs=15)
    assert before[spleen & ~mask].mean() > INFARCT_HU + 40
    assert after[mask].std() > 3, "the noise of the scan stays"


def test_the_prepared_lists_say_where_it_lies(folder: Path) -> None:
    prepared = read_prepared(folder / "prepared")
    assert prepared is not None
    assert (prepared.window, prepared.plane, prepared.grid) == (Window(0, 2000), Plane.AXIAL, GRID)
    data = folder / "prepared"
    options = Options(data=data, cpu=True)
    recipe = open_recipe("own", options)
    assert isinstance(recipe, PublishedRecipe)
    assert recipe.pointing > 0
    assert not recipe.augment.moves
    dataset, validation = open_parts(recipe, None, GRID, options)  # type: ignore[arg-type]
    assert validation is not None
    there = 0
    for k in range(len(dataset)):
        sample = dataset.sample(k)
        answer = sample.turns[0][1]
        assert (sample.pointer is not None) is ("Yes" in answer)
        if sample.pointer is not None and not there:
            held = held_slices(sample.pointer, sample.image, GRID, sample.where)
            there = int(held.sum())
    assert 1 <= there < 20


def test_half_of_the_scans_have_it_and_letters_give_nothing_away(folder: Path) -> None:
    with (folder / "scans" / "train.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert {row["Answer"] for row in rows} == {"Yes", "No"}
    by_letter = {(row["Answer Choice"], row["Answer"]) for row in rows}
    assert by_letter == {("A", "Yes"), ("B", "Yes"), ("A", "No"), ("B", "No")}
    names = {row["Image Path"] for row in rows if row["Answer"] == "Yes"}
    assert len(names) == 3
    again = (folder / "scans" / "train" / "000.nii.gz").stat().st_mtime_ns
    assert main(["data", "new-finding", str(folder / "scans"), "--train", "6", "--test", "2"]) == 0
    assert (folder / "scans" / "train" / "000.nii.gz").stat().st_mtime_ns == again, "it is kept"


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    folder: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """All of them, with a training of three steps."""
    monkeypatch.chdir(folder)
    for command in commands[3:]:
        run([*command, "--smoke"] if command[1] == "train" else command)
    said = capsys.readouterr()
    assert "the model is that of this step" in said.err
    model = med2e3.load(folder / "runs/own/model", device="cpu")
    assert model.info.default_window == Window(0, 2000)
    assert (folder / "runs/own/own.validation.csv").is_file()
