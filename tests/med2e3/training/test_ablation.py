"""Ablations: each variant differs by config values alone, and ends in a table with intervals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from med2e3.cli.evaluating import evaluate
from med2e3.errors import InputError
from med2e3.model.modeling import Med2E3ForConditionalGeneration
from med2e3.training.ablation import TABLES, Budget, Variant, file_name, run_ablation, variants
from med2e3.training.ablation_tables import ablation_tables, budget_line

SMALL = Budget(steps=1, train_phantoms=2, phantoms=2, seeds=1, volumes=2, questions=2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full model, and one variant each of encoders, aggregation and scoring."""
    patch = pytest.MonkeyPatch()
    full = Variant()
    kept = [
        full,
        Variant({"encoders": "3d"}),
        Variant({"aggregation": "max"}),
        Variant({"local_features": "2d", "text_source": "none", "text_projection": "none"}),
    ]
    with patch.context() as patched:
        few = {file_name(variant): variant for variant in kept}
        patched.setattr("med2e3.training.ablation.variants", lambda: few)
        return run_ablation(tmp_path_factory.mktemp("ablation"), SMALL, workers=1)


def test_every_table_holds_the_full_model_which_is_trained_once() -> None:
    assert all("full" in map(file_name, lines.values()) for lines in TABLES.values())
    assert list(map(file_name, variants().values())).count("full") == 1
    assert len(variants()) == 12


def test_a_result_has_the_figures_of_each_held_out_phantom(results: Path) -> None:
    told = json.loads((results / "full-1.json").read_text(encoding="utf-8"))
    assert len(told["phantoms"]) == SMALL.phantoms
    assert {"closed", "open", "BLEU-1"} <= set(told["phantoms"][0])
    pointed = [row for row in told["phantoms"] if "mass" in row]
    assert all(0 <= row["mass"] <= 1 and 0 < row["chance"] <= 1 for row in pointed)


def test_a_variant_without_scores_points_nowhere(results: Path) -> None:
    for name in ("aggregation-max-1", "encoders-3d-1"):
        told = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        assert all("pointing" not in row for row in told["phantoms"])


def test_the_tables_name_what_is_not_measured(results: Path) -> None:
    text = ablation_tables(results)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert "not measured" in lines["random scores"]
    assert "not measured" not in lines["max pooling"]
    assert "Δ" in lines["max pooling"]
    assert "Δ" not in lines["TG-IS"]
    assert "1 steps of 2 volumes" in budget_line(results)


def test_a_run_goes_on_where_it_was(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("med2e3.training.ablation._measure", fail)
    monkeypatch.setattr("med2e3.training.ablation.variants", lambda: {"full": Variant()})
    assert run_ablation(results.parent, SMALL, workers=1) == results


def test_without_text_every_question_gets_the_same_scores() -> None:
    from med2e3.training.ablation import start_model
    from med2e3.training.recipe import load_recipe
    from med2e3.training.run_folder import RunFolder

    variant = Variant({"text_source": "none", "text_projection": "none"})
    run_folder = RunFolder(load_recipe("demo-more"), Path("unused"))
    model: Med2E3ForConditionalGeneration = start_model(run_folder, variant, seed=3)
    text = model.encode_question(torch.tensor([[5, 6, 7], [8, 9, 10]]))
    keys = torch.randn(1, 32, model.config.text_config.hidden_size).expand(2, -1, -1)
    scores = model.score(keys, text)
    torch.testing.assert_close(scores[0], scores[1])
    assert scores[0].max() > scores[0].min()


def test_one_command_prints_the_tables(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Budget] = []

    def run(folder: Path, budget: Budget, workers: int) -> Path:
        asked.append(budget)
        return results

    monkeypatch.setattr("med2e3.training.ablation.run_ablation", run)
    words = ["demo", "--ablation", str(results.parent), "--steps", "7", "--phantoms", "2"]
    said = CliRunner().invoke(evaluate, words)
    assert said.exit_code == 0, said.output
    assert [(b.steps, b.phantoms) for b in asked] == [(7, 2)]
    assert "| max pooling |" in said.output
    refused = CliRunner().invoke(evaluate, ["some-model", "--ablation", str(results.parent)])
    assert refused.exit_code != 0
    assert "start from the demo model" in refused.output


def test_a_folder_keeps_one_budget(results: Path) -> None:
    with pytest.raises(InputError, match="begun with steps 1, not steps 2"):
        run_ablation(results.parent, replace(SMALL, steps=2), workers=1)
