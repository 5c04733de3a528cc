"""Thresholds chosen on phantoms apart, earlier weights beside these, and scans of people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import med2e3
from med2e3.cli import main
from med2e3.errors import InputError
from med2e3.evaluation import real_scans, sure
from med2e3.evaluation.beside import with_earlier
from med2e3.evaluation.calibration import reliability
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import Estimate
from med2e3.evidence.reliability import Reliability, write_reliability
from med2e3.evidence.values import from_json
from med2e3.io.write import write_nifti
from med2e3.phantoms import make_phantom
from med2e3.phantoms.maker import PHANTOM_MAKER

#: Sure from 0.8 on: twenty right answers there, and half right ones below.
APART = [[(0.85, True)] * 20 + [(0.65, k % 2 == 0) for k in range(10)]]


def results(seed: int, said: Any, sha: str = "a" * 64) -> Results:
    return Results(
        "m", f"2 phantoms, seed {seed}, model m",
        {"phantoms": 2, "seed": seed, "weights_sha256": sha},
        {"closed micro": Estimate(0.5, 0.4, 0.6, 10, 0.25)},
        (Section("Closed", ("closed micro",)),), bins={"closed": reliability(said)},
    )  # fmt: skip


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Two phantoms, whose answers `confidences` gives: six of ten sure, of which five right."""
    said = [[(0.9, True)] * 3 + [(0.7, True)] * 2, [(0.9, True)] * 2 + [(0.8, False), (0.1, True)]]
    monkeypatch.setattr(sure, "confidences", lambda examined, form: examined)
    return replace(results(7, said), examined=tuple(said))  # type: ignore[arg-type]


def test_thresholds_are_those_of_the_phantoms_apart(judged: Results, tmp_path: Path) -> None:
    found = sure.with_thresholds(judged, results(8, APART))
    assert found.settings["enough"] == {"closed": 0.8}
    assert found.settings["enough_on"] == "2 phantoms, seed 8"
    assert found.figures["sure, closed"].value == pytest.approx(6 / 9)
    assert found.figures["right where sure, closed"].value == pytest.approx(5 / 6)
    assert found.figures["sure, closed"].low < 6 / 9 < found.figures["sure, closed"].high
    assert "at least as probable as closed 0.8" in found.table()
    path = tmp_path / "reliability.json"
    apart = (found.settings["enough"], found.settings["enough_on"])
    write_reliability(path, "a" * 64, "2 phantoms, seed 7", found.bins, apart)
    read = from_json(Reliability, path.read_text(encoding="utf-8"))
    assert (read.enough, read.enough_on) == ({"closed": 0.8}, "2 phantoms, seed 8")
    assert read.what == "2 phantoms, seed 7"
    assert read.level("closed", 0.85).count == 1, "the levels are of those judged"  # type: ignore[union-attr]


@pytest.mark.parametrize(("seed", "sha"), [(7, "a" * 64), (8, "b" * 64)])
def test_thresholds_of_the_same_phantoms_or_other_weights_are_refused(
    seed: int, sha: str, judged: Results
) -> None:
    with pytest.raises(InputError, match="other phantoms and the same weights"):
        sure.with_thresholds(judged, results(seed, APART, sha))


def test_the_command_wants_another_seed(capsys: Any) -> None:
    assert main(["evaluate", "demo", "--seed", "3", "--sure-seed", "3"]) == 2
    assert "name another seed" in capsys.readouterr().err
    assert main(["evaluate", "demo", "--sure-phantoms", "3"]) == 2
    assert "--sure-seed; give both" in capsys.readouterr().err


def test_earlier_weights_stand_beside_these(tmp_path: Path) -> None:
    earlier = replace(
        results(5, APART, "c" * 64),
        figures={"closed micro": Estimate(0.25, 0.2, 0.3, 8), "gone": Estimate(1, 1, 1, 1)},
    )
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps(earlier.as_dict()), encoding="utf-8")
    found = with_earlier(results(7, APART), file)
    shown = found.table()
    assert "| | these weights | earlier weights | chance | n |" in shown
    assert "| closed micro | 0.500 (0.400–0.600) | 0.250 (0.200–0.300) |  | 8–10 |" in shown
    assert "SHA-256 cccccccccccc…; 2 phantoms, seed 5, model m" in shown
    assert "gone" not in shown
    assert found.as_dict()["beside_weights_sha256"] == "c" * 64
    for said in ("no json", "{}", '{"figures": {}, "what": "x", "weights_sha256": "y"}', "[1]"):
        file.write_text(said, encoding="utf-8")
        with pytest.raises(InputError, match=r"earlier\.json (holds no figures|has no figure)"):
            with_earlier(results(7, APART), file)


def test_scans_of_people_are_counted_by_what_is_said_of_them(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """One names its phantom's maker, two name none; a fourth cannot be read."""
    model = med2e3.load(tiny_folder(demo=True), device="cpu")
    volume = make_phantom(3).volume
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b"):
        write_nifti(volume, folder / f"{name}.nii.gz")
    (folder / "c.nii.gz").write_bytes(b"nothing")
    found = real_scans.run(model, folder)
    figure = found.figures[real_scans.SAID]
    assert (figure.value, figure.count) == (1.0, 2)
    assert figure.low < 1, "two volumes prove little"
    assert any("c.nii.gz" in note for note in found.notes)
    assert "| said that the answer means nothing | 1.000" in found.table()
    from med2e3.io.write import write_dicom_series

    phantom = replace(volume, info=replace(volume.info, manufacturer=PHANTOM_MAKER))
    write_dicom_series(phantom, folder / "d", synthetic=True)
    again = real_scans.run(model, folder)
    assert again.figures[real_scans.SAID].value == pytest.approx(2 / 3)
    other = SimpleNamespace(info=SimpleNamespace(is_demo=False, name="m"))
    with pytest.raises(InputError, match="not of phantoms alone"):
        real_scans.run(other, folder)  # type: ignore[arg-type]
