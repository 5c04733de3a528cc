"""`med2e3 evaluate` on files in the layouts of M3D-Bench, with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import med2e3
from med2e3.cli import main
from med2e3.cli.evaluating import evaluate as command
from med2e3.engine import Reply, Session
from med2e3.errors import InputError
from med2e3.evaluation.examiner import phantom_seeds
from med2e3.evaluation.file_asking import FileTask, with_prompts
from med2e3.evaluation.intervals import estimate
from med2e3.evaluation.m3d_bench import run
from med2e3.evaluation.m3d_files import Item
from med2e3.evaluation.m3d_retrieval import figures_of, ranks_of
from med2e3.evaluation.texts import bleu1, open_metrics
from med2e3.model.requests import read_requests

from .conftest import ROWS, Files

Evaluate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evaluate(
    capsys: pytest.CaptureFixture[str], tiny_folder: Callable[..., Path], files: Files
) -> Evaluate:
    """`evaluate("--m3d-vqa", file)` → exit code, stdout, stderr."""
    folder = tiny_folder(score_norm="layer_norm")

    def call(*words: object, model: Path = folder) -> tuple[int, str, str]:
        capsys.readouterr()
        images = () if "--images" in words else ("--images", files.root)
        code = main(["evaluate", *map(str, (model, *words, *images, "--max-new-tokens", 6))])
        return code, *capsys.readouterr()

    return call


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_questions_are_judged_by_type_and_over_all(evaluate: Evaluate, files: Files) -> None:
    said = files.root / "said.jsonl"
    code, out, _ = evaluate("--m3d-vqa", files.csv(*ROWS), "--json", "--predictions", said)
    assert code == 0
    results = json.loads(out)
    assert (results["questions"], results["volumes"]) == (6, 2)
    figures = results["figures"]
    for topic in ("plane", "phase", "location", "macro", "micro"):
        closed = figures[f"closed {topic}"]
        assert closed["low"] <= closed["value"] <= closed["high"]
        assert f"closed {topic} (published rule)" in figures
        assert f"open {topic}, BLEU-1" in figures
        assert f"open {topic}, ROUGE-1" in figures
    assert figures["closed plane"]["chance"] == pytest.approx(1 / 3, abs=1e-4)  # one is NA
    assert figures["closed phase"]["chance"] == 0.5
    assert figures["closed micro"]["chance"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 4) / 3, abs=1e-4)
    assert figures["closed micro"]["count"] == 3
    lines = lines_of(said)
    assert [(line["row"], line["letter"]) for line in lines] == [
        (1, ""), (1, "A"), (2, ""), (2, "A"), (3, ""), (3, "B"),
    ]  # fmt: skip
    for line in lines:
        assert len(line["scores"]) == 8
        assert line["weights_sha256"] == results["weights_sha256"]
        assert (line["correct"] is None) is (line["letter"] == "")
    open_bleu = [bleu1(line["answer"], line["truth"]) for line in lines if not line["letter"]]
    assert figures["open micro, BLEU-1"]["value"] == pytest.approx(np.mean(open_bleu), abs=1e-4)


def test_answers_from_files_are_the_engines_own(
    evaluate: Evaluate, files: Files, tiny_folder: Callable[..., Path]
) -> None:
    said = files.root / "said.jsonl"
    evaluate("--m3d-vqa", files.csv(*ROWS), "--json", "--predictions", said)
    session = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu").read(
        np.load(files.root / "a/1.npy")
    )
    for line in lines_of(said)[:4]:
        answer = session.ask(line["prompt"], max_new_tokens=6)
        assert answer.complete() == line["answer"]
        np.testing.assert_allclose(answer.token_probabilities, line["probabilities"], atol=1e-4)


def test_missing_choices_may_be_left_out(evaluate: Evaluate, files: Files) -> None:
    said = files.root / "said.jsonl"
    evaluate("--m3d-vqa", files.csv(*ROWS), "--predictions", said)
    assert "D. nan" in lines_of(said)[1]["prompt"]
    evaluate("--m3d-vqa", files.csv(*ROWS), "--predictions", said, "--omit-missing")
    assert lines_of(said)[1]["prompt"].endswith("C. sagittal")


def test_fewer_questions_are_drawn_by_the_seed(evaluate: Evaluate, files: Files) -> None:
    said = files.root / "said.jsonl"
    rows = []
    for seed in (1, 1, 2, 3, 4):
        evaluate("--m3d-vqa", files.csv(*ROWS), "--predictions", said, "--limit", 2, "--seed", seed)
        rows.append([(line["row"], line["letter"]) for line in lines_of(said)])
    assert rows[0] == rows[1]
    assert all(len(row) == 2 for row in rows)
    assert len({tuple(row) for row in rows}) > 1


def test_reports_are_asked_for_in_our_own_words_and_that_is_said(
    evaluate: Evaluate, files: Files
) -> None:
    pairs = [{"image": f"{name}.npy", "text": f"{name}.txt"} for name in ("a/1", "b/2", "b/3")]
    cap = files.json("cap.json", {"test": pairs})
    card = files.root / "card.md"
    code, out, _ = evaluate("--m3d-cap", cap, "--card", card)
    assert code == 0
    assert "in wordings of our own" in out
    assert card.read_text(encoding="utf-8") == out
    assert "| report |" in out
    said = files.root / "said.jsonl"
    code, out, _ = evaluate(
        "--m3d-cap", cap, "--prompt", "Say it.", "--predictions", said, "--json"
    )
    assert json.loads(out)["notes"][1:] == []
    assert {line["prompt"] for line in lines_of(said)} == {"Say it."}
    assert lines_of(said)[0]["truth"] == "A nodule in the left lung of a/1."
    assert set(json.loads(out)["figures"]) >= {"open report, BLEU-1", "open report, ROUGE-1"}


def test_answers_and_reports_are_bounded_alike_as_published(
    files: Files, tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_many, bounds = Session.ask_many, []

    def noted(self: Session, questions: list[str], **options: Any) -> list[Reply]:
        bounds.append(options["max_new_tokens"])
        return ask_many(self, questions, **{**options, "max_new_tokens": 2})

    monkeypatch.setattr(Session, "ask_many", noted)
    model = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu")
    image = files.root / "a/1.npy"
    items = [
        Item(1, image, "plane", "Which plane?", "axial"),
        Item(2, image, "report", "Say.", "x"),
    ]
    results = run(model, FileTask("x", items), open_metrics())
    assert results.settings["questions"] == 2
    assert set(bounds) == {256}


def test_wordings_of_reports_differ_and_repeat_with_the_seed() -> None:
    items = [Item(k, Path("x"), "report", "", "truth") for k in range(30)]
    first, again, other = (with_prompts(items, seed, None) for seed in (1, 1, 2))
    assert first == again != other
    assert len({i.prompt for i in first}) > 3


def test_an_odd_row_is_counted_and_named_with_the_figures(evaluate: Evaluate, files: Files) -> None:
    odd = (*ROWS[1][:-1], "NA")
    code, out, _ = evaluate("--m3d-vqa", files.csv(ROWS[0], odd, ROWS[2]), "--json")
    assert code == 0
    results = json.loads(out)
    assert results["questions"] == 4
    (said,) = results["skipped"]
    assert "row 2: the answer choice is 'NA'" in said
    assert results["notes"][-1] == f"1 row was skipped: {said}"


@pytest.mark.parametrize("kept", [0, 1, 3, 5, 6])
def test_a_stopped_evaluation_goes_on_and_asks_nothing_twice(
    kept: int, evaluate: Evaluate, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = files.root / "said.jsonl"
    words = ("--m3d-vqa", files.csv(*ROWS), "--json", "--predictions", said)
    _, whole, _ = evaluate(*words)
    text = said.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    cut = lines[kept][:40] if kept < len(lines) else ""
    said.write_text("".join(lines[:kept]) + cut, encoding="utf-8")
    asked: list[str] = []
    ask_many = Session.ask_many

    def noted(self: Session, questions: list[str], **options: Any) -> list[Reply]:
        asked.extend(questions)
        return ask_many(self, questions, **options)

    monkeypatch.setattr(Session, "ask_many", noted)
    code, out, _ = evaluate(*words, "--resume")
    assert code == 0
    assert len(asked) == 6 - kept
    again, first = json.loads(out), json.loads(whole)
    assert again["figures"].keys() == first["figures"].keys()
    for name, figure in again["figures"].items():
        assert figure == pytest.approx(first["figures"][name], abs=2e-4), name
    assert [line["answer"] for line in lines_of(said)] == [json.loads(k)["answer"] for k in lines]


def test_answers_of_another_evaluation_are_not_gone_on_with(
    evaluate: Evaluate, files: Files
) -> None:
    said = files.root / "said.jsonl"
    words = ("--m3d-vqa", files.csv(*ROWS), "--predictions", said)
    assert evaluate(*words)[0] == 0
    before = said.read_text(encoding="utf-8")
    for more, says in (
        (("--omit-missing",), "prompt was"), (("--seed", 3), "seed was 1, and is 3 now"),
        (("--limit", 2), "another evaluation"),
    ):  # fmt: skip
        code, _, err = evaluate(*words, "--resume", *more)
        assert code == 1
        assert says in " ".join(err.split())
    code, _, err = evaluate("--m3d-vqa", files.csv(*ROWS), "--resume")
    assert (code, "--predictions" in err) == (2, True)
    assert said.read_text(encoding="utf-8") == before


@pytest.mark.slow
def test_processes_share_the_volumes_and_answers_are_recounted(
    evaluate: Evaluate, files: Files
) -> None:
    said, alone = files.root / "said.jsonl", files.root / "alone.jsonl"
    table = files.csv(*ROWS)
    _, one, _ = evaluate("--m3d-vqa", table, "--json", "--predictions", alone)
    code, out, _ = evaluate("--m3d-vqa", table, "--json", "--predictions", said, "--workers", 2)
    assert code == 0
    assert [k["answer"] for k in lines_of(said)] == [k["answer"] for k in lines_of(alone)]
    assert json.loads(out)["figures"].keys() == json.loads(one)["figures"].keys()
    assert main(["evaluate", "--recount", str(said), "--json"]) == 0


def test_saved_answers_are_counted_again(
    evaluate: Evaluate, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    said = files.root / "said.jsonl"
    _, out, _ = evaluate("--m3d-vqa", files.csv(*ROWS), "--json", "--predictions", said)
    assert main(["evaluate", "--recount", str(said), "--json"]) == 0
    again, first = json.loads(capsys.readouterr().out), json.loads(out)
    assert again["figures"] == first["figures"]
    assert (again["what"], again["seed"]) == (first["what"], first["seed"])
    with said.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**lines_of(said)[0], "seed": 9}) + "\n")
    assert main(["evaluate", "--recount", str(said)]) == 1
    assert "line 7, is of" in capsys.readouterr().err


def test_a_file_of_prompts_is_drawn_from_and_stated(evaluate: Evaluate, files: Files) -> None:
    own = files.root / "own.txt"
    own.write_text("Say it.\nWrite it.\nTell.\n", encoding="utf-8")
    pairs = [{"image": f"{name}.npy", "text": f"{name}.txt"} for name in ("a/1", "b/2", "b/3")]
    cap, said = files.json("cap.json", {"test": pairs}), files.root / "said.jsonl"
    _, out, _ = evaluate("--m3d-cap", cap, "--prompts", own, "--predictions", said, "--json")
    results = json.loads(out)
    assert results["prompts"]["source"] == str(own)
    assert str(own) in results["notes"][1]
    wanted = [read_requests(own).draw(1, row) for row in (1, 2, 3)]
    assert [line["prompt"] for line in lines_of(said)] == wanted
    code, _, err = evaluate("--m3d-cap", cap, "--prompts", own, "--prompt", "x")
    assert (code, "give one of them" in err) == (2, True)


def test_conversations_are_asked_with_the_right_answers_before(
    evaluate: Evaluate, files: Files, tiny_folder: Callable[..., Path]
) -> None:
    turns = [
        {"from": "human", "value": "<image3d>\nWhich plane?"}, {"from": "gpt", "value": "axial"},
        {"from": "human", "value": "Is there a nodule?"}, {"from": "gpt", "value": "yes"},
    ]  # fmt: skip
    entry = {"id": "x", "conversations": turns, "vision3d": ["a/1.npy"]}
    talk = files.json("c.json", [{**entry, "question": "Which plane and nodule?"}])
    said = files.root / "said.jsonl"
    code, _, _ = evaluate("--conversations", talk, "--predictions", said)
    assert code == 0
    _, second = lines_of(said)
    assert (second["id"], second["history"]) == ("x", [["Which plane?", "axial"]])
    model = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu")
    session = model.read(np.load(files.root / "a/1.npy"))
    answer = session.ask(
        "Is there a nodule?", history=[("Which plane?", "axial")], max_new_tokens=6,
        scored_by="Which plane and nodule?",
    )  # fmt: skip
    assert answer.complete() == second["answer"]
    assert answer.scores is not None
    np.testing.assert_allclose(second["scores"], answer.scores.values, atol=1e-6)
    assert second["scored_by"] == "Which plane and nodule?"


def test_what_is_wrong_is_said_before_the_model_is_loaded(evaluate: Evaluate, files: Files) -> None:
    (files.root / "b/2.npy").unlink()
    code, out, err = evaluate(
        "--m3d-vqa", files.csv(*ROWS), model=files.root / "no model at all"
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert "row 3: the image" in err
    assert "Traceback" not in err


def test_a_volume_out_of_range_is_named_with_its_row(evaluate: Evaluate, files: Files) -> None:
    np.save(files.root / "b/2.npy", np.full((8, 32, 32), -1000.0, np.float32))
    code, _, err = evaluate("--m3d-vqa", files.csv(*ROWS))
    assert code == 1
    assert "Row 3" in err
    assert "2.npy" in err
    assert "-1000" in err


def test_two_evaluations_at_once_are_refused(evaluate: Evaluate, files: Files) -> None:
    code, _, err = evaluate("--m3d-vqa", files.csv(*ROWS), "--phantoms", 3)
    assert code == 2
    assert "--phantoms and --m3d-vqa are different evaluations" in err


def test_retrieval_finds_texts_and_volumes(
    capsys: pytest.CaptureFixture[str], fixtures: Path, files: Files
) -> None:
    source = fixtures / "m3d_clip"
    golden = np.load(source / "golden.npz")
    texts = json.loads((source / "texts.json").read_text())
    grids = golden["volumes_u8"][:, 0].astype(np.float32) / 255
    pairs = []
    for k, grid in enumerate(grids):
        np.save(files.root / f"{k}.npy", grid)
        (files.root / f"{k}.txt").write_text(texts[k], encoding="utf-8")
        pairs.append({"image": f"{k}.npy", "text": f"{k}.txt"})
    said = files.root / "said.jsonl"
    words = (
        "evaluate", source / "checkpoint", "--retrieval", files.json("cap.json", pairs),
        "--hub", source / "hub", "--device", "cpu", "--json", "--predictions", said,
    )  # fmt: skip
    assert main([str(word) for word in words]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    similarity = golden["similarity"][: len(grids), : len(grids)]
    for name, matrix in (("image to text", similarity), ("text to image", similarity.T)):
        right = (np.argmax(matrix, axis=1) == np.arange(len(grids))).mean()
        assert figures[f"{name}, R@1"]["value"] == pytest.approx(right, abs=1e-4)
        assert figures[f"{name}, R@1"]["chance"] == pytest.approx(1 / len(grids), abs=1e-4)
    assert len(lines_of(said)) == len(grids)
    assert main(["evaluate", "--recount", str(said), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"] == figures


def test_ranks_and_recalls_by_hand() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.3, 0.3, 0.3]])
    np.testing.assert_array_equal(ranks_of(similarity), [0, 1, 2])
    figures = figures_of({"image to text": ranks_of(similarity)}, ["a", "b", "c"])
    assert figures["image to text, R@1"].value == pytest.approx(1 / 3)
    assert figures["image to text, R@5"].value == 1
    assert figures["image to text, R@5"].chance == 1


def test_series_of_one_case_are_drawn_together(evaluate: Evaluate, files: Files) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for case in ("c", "d", "e"):
        (files.root / case).mkdir()
        (files.root / case / "text.txt").write_text("A nodule.")
        for series in ("1", "2", "3"):
            name = f"{case}/{series}.npy"
            np.save(files.root / name, rng.random((1, 8, 32, 32), dtype=np.float32))
            rows.append((name, *ROWS[2][1:]))
    said = files.root / "said.jsonl"
    _, out, _ = evaluate("--m3d-vqa", files.csv(*rows), "--json", "--predictions", said)
    results = json.loads(out)
    assert (results["questions"], results["volumes"], results["cases"]) == (18, 9, 3)
    assert "over cases" in results["notes"][0]
    lines = [line for line in lines_of(said) if line["letter"]]
    groups: dict[str, list[float]] = {}
    for line in lines:
        assert line["case"] == str(Path(line["image"]).parent)
        groups.setdefault(line["case"], []).append(line["confidence"])
    found = results["figures"]["mean probability, closed"]
    wanted = estimate(list(groups.values()))
    assert wanted is not None
    assert found == wanted.as_dict()


def test_queries_of_one_case_are_drawn_together() -> None:
    ranks = {"image to text": np.array([0, 0, 0, 0, 20, 20, 20, 20])}
    apart = figures_of(ranks, list("abcdefgh"))["image to text, R@1"]
    together = figures_of(ranks, list("aaaabbbb"))["image to text, R@1"]
    assert apart.value == together.value == 0.5
    assert (together.low, together.high) == (0, 1)
    assert 0 < apart.low < apart.high < 1


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        (["--phantoms", "1", "--limit", "5", "--prompt", "x"], "--prompt, --limit"),
        (["--ablation", "runs", "--device", "cpu"], "--device"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(words: list[str], unread: str) -> None:
    said = CliRunner().invoke(command, ["demo", *words])
    assert said.exit_code == 2
    assert f"{unread} would change nothing" in said.output


def test_seeds_of_training_are_no_seeds_of_an_evaluation() -> None:
    with pytest.raises(InputError, match="below 0"):
        phantom_seeds(3, -200)
