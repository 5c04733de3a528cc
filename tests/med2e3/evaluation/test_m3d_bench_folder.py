"""M3D-Bench's eight tasks from one folder of small files in the published formats."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.cli import main
from med2e3.errors import InputError
from med2e3.evaluation.judge import Judge, score_in
from med2e3.evaluation.m3d_bench_folder import Choices, open_bench
from med2e3.evaluation.m3d_region_files import mask_rows
from med2e3.evaluation.metrics import (
    box_iou,
    closed_right_published,
    dice,
    enclosing_overlap,
    soft_dice,
)
from med2e3.evaluation.region_scoring import count_regions
from med2e3.evaluation.texts import bleu1, rouge1, rouge_l
from med2e3.model.regions import ask_region, box_in, box_text, read_terms

from .conftest import COLUMNS

GRID = (32, 64, 64)


def write_volumes(root: Path, golden: Any) -> None:
    for folder in ("M3D_Cap_npy", "M3D_Seg_npy/0003/1", "M3D_RefSeg_npy/s0"):
        (root / folder).mkdir(parents=True)
    for k in (0, 1):
        grid = golden["volumes_u8"][k].astype(np.float32) / 255
        np.save(root / f"M3D_Cap_npy/{k}.npy", grid)
        (root / f"M3D_Cap_npy/{k}.txt").write_text(("A liver lesion.", "No lesion.")[k])
    np.save(root / "M3D_Seg_npy/0003/1/image.npy", grid)
    np.save(root / "M3D_RefSeg_npy/s0/ct.npy", grid)


@pytest.fixture
def bench(tmp_path: Path, fixtures: Path) -> Path:
    """One file of each kind; paths in the lists as the published preparation leaves them."""
    root = tmp_path / "data"
    write_volumes(root, np.load(fixtures / "m3d_lamed" / "golden.npz"))
    pairs = [{"image": f"M3D_Cap_npy/{k}.npy", "text": f"M3D_Cap_npy/{k}.txt"} for k in (0, 1)]
    (root / "M3D_Cap_npy/M3D_Cap.json").write_text(json.dumps({"train": [], "test": pairs}))
    (root / "M3D-VQA").mkdir()
    with (root / "M3D-VQA/M3D_VQA_test.csv").open("w", newline="") as file:
        row = ("M3D_Cap_npy/0.npy", "t", "3", "Which organ?", "liver", "lung", "NA", "NA")
        csv.writer(file).writerows(
            [COLUMNS, (*row, "liver", "A"), (*row, "spleen", "NA")]
        )  # fmt: skip
    masks = root / "M3D_Seg_npy/0003/1/masks"
    masks.mkdir()
    liver = np.zeros((1, *GRID), bool)
    liver[0, 4:12, 10:30, 20:40] = True
    np.save(masks / "mask_0.npy", liver)
    np.save(masks / "mask_2.npy", np.zeros((1, 1, 1, 1)))  # how an empty class is stored
    prefix = "/home/somebody/M3D_Seg_npy/0003/1"
    said = [
        {"image": f"{prefix}/image.npy", "label": f"{prefix}/masks/mask_{n}.npy"} for n in (0, 2, 9)
    ]
    (root / "M3D_Seg_npy/0003/0003.json").write_text(json.dumps({"train": [], "test": said}))
    marks = np.zeros((1, *GRID), np.int16)
    marks[0, 3:9, 3:9, 3:9] = 5
    np.save(root / "M3D_RefSeg_npy/s0/mask.npy", marks)
    with (root / "M3D_RefSeg_npy/M3D_RefSeg_test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([
            ("Image", "Mask", "Mask_ID", "Question_Type", "Question", "Answer"),
            ("M3D_RefSeg_npy/s0/ct.npy", "M3D_RefSeg_npy/s0/mask.npy", "5", "0", "Where?", "[SEG]"),
            ("M3D_RefSeg_npy/s0/ct.npy", "M3D_RefSeg_npy/s0/no.npy", "5", "0", "Where?", "[SEG]"),
        ])  # fmt: skip
    return root


def test_every_list_is_found_and_every_task_is_asked(bench: Path) -> None:
    found = open_bench(bench, Choices())
    topics = [item.topic for item in found.items]
    assert topics == [
        "report", "report", "organ", "organ",
        "REC, named", "REC, described", "REG, named", "REG, described",
        "REC, named", "REC, described", "REG, named", "REG, described",
        "segmentation, named", "segmentation, described", "segmentation, named",
        "segmentation, described", "referring segmentation",
    ]  # fmt: skip
    assert len(found.pairs) == 2
    assert found.missing == {}
    assert len(found.skipped) == 3  # a closed row, a mask that is not there, a mask of RefSeg
    rec, described, reg = found.items[4:7]
    box = (4 / 32, 10 / 64, 20 / 64, 11 / 32, 29 / 64, 39 / 64)
    assert box_in(rec.truth) == pytest.approx(box, abs=6e-4)
    assert "liver" in rec.prompt
    assert "liver" not in described.prompt
    assert "liver" in described.truth
    assert box_in(reg.prompt) == box_in(rec.truth)
    assert "spleen" in found.items[8].truth  # class 2 of the set, which is not there
    assert box_in(found.items[8].truth) is None
    assert open_bench(bench, Choices()).items == found.items
    assert open_bench(bench, Choices(seed=1)).items != found.items
    undrawn = open_bench(bench, Choices(draws=False))
    assert not any("segmentation" in item.topic for item in undrawn.items)
    assert set(undrawn.missing) == {"segmentation", "referring"}


def test_what_is_not_there_is_told(bench: Path, tmp_path: Path) -> None:
    (bench / "M3D-VQA/M3D_VQA_test.csv").unlink()
    assert set(open_bench(bench, Choices()).missing) == {"closed VQA", "open VQA"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds none of M3D-Bench's lists"):
        open_bench(tmp_path / "empty", Choices())
    (bench / "M3D_Seg_npy/0003/0003.json").write_text('{"train": []}')
    with pytest.raises(InputError, match="no list “test”"):
        list(mask_rows(bench / "M3D_Seg_npy/0003/0003.json"))


@pytest.fixture
def lamed(fixtures: Path) -> Path:
    return fixtures / "m3d_lamed" / "checkpoint"


def test_one_command_measures_all_eight_tasks(
    bench: Path, lamed: Path, fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, said = fixtures / "m3d_clip", tmp_path / "said.jsonl"
    words = [
        "evaluate", lamed, "--m3d-bench", bench, "--clip", clip / "checkpoint", "--hub",
        clip / "hub", "--max-new-tokens", 6, "--predictions", said, "--device", "cpu",
    ]  # fmt: skip
    assert main([*map(str, words), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    figures = results["figures"]
    for name in (
        "image to text, R@1", "text to image, R@10", "open report, BLEU-1", "closed organ",
        "closed organ (published rule)", "open organ, ROUGE-1", "REC, named, enclosing overlap",
        "REC, described, IoU", "REC, named, absent", "open REG, named, BLEU-1",
        "segmentation, named, soft Dice", "segmentation, described, Dice",
        "referring segmentation, Dice", "referring segmentation, soft Dice",
    ):  # fmt: skip
        assert name in figures, name
    assert figures["REC, named, enclosing overlap"]["value"] == -1  # random weights write no box
    assert figures["REC, named, IoU"]["value"] == 0
    assert results["not_computed"].keys() <= {"METEOR", "BERTScore"}
    assert len(results["skipped"]) == 3
    assert main([*map(str, words)]) == 0
    table = capsys.readouterr().out
    for title in ("**Retrieval**", "**Boxes (REC)**", "**Masks**", "**Open questions**"):
        assert title in table
    assert main(["evaluate", "--recount", str(said), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["figures"]
    assert again == {k: v for k, v in figures.items() if "R@" not in k}


def test_a_mask_is_judged_on_the_models_own_grid(
    lamed: Path, fixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens as recorded from the published code, with [SEG] among them: its logits come out."""
    golden = np.load(fixtures / "m3d_lamed" / "golden.npz")
    texts = json.loads((fixtures / "m3d_lamed" / "texts.json").read_text())["questions"]
    model = med2e3.load(lamed, device="cpu")
    session = model.read(golden["volumes_u8"][1, 0].astype(np.float32) / 255, crop=False)
    logits = session.mask_logits(texts[1], golden["seg1.generated_ids"].tolist())
    assert logits is not None
    recorded = golden["seg1.mask_logits_sub"]
    np.testing.assert_allclose(logits[0, ::2, ::4, ::4].numpy(), recorded, atol=2e-5)
    assert session.mask_logits(texts[1], golden["noseg.generated_ids"].tolist()) is None


def test_a_model_without_masks_is_asked_the_rest(
    bench: Path, tiny_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_folder(score_norm="layer_norm")
    words = ["evaluate", model, "--m3d-bench", bench, "--max-new-tokens", 3, "--json"]
    assert main([*map(str, words)]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["not_computed"]["segmentation"] == "The model draws no masks."
    assert results["not_computed"]["retrieval"].startswith("It needs M3D-CLIP")
    assert "closed organ" in results["figures"]


def test_figures_of_boxes_and_masks_by_hand() -> None:
    """Two boxes of 2 × 4 × 4 voxels on a grid of 8³, half of each in the other."""
    one = box_text((0.0, 0.0, 0.0, 0.125, 0.375, 0.375))  # 0..1, 0..3, 0..3
    other = box_text((0.0, 0.0, 0.25, 0.125, 0.375, 0.625))  # 0..1, 0..3, 2..5
    assert box_iou(box_in(one), box_in(other), (8, 8, 8)) == pytest.approx(16 / 48)
    assert box_iou(box_in(one), box_in(one), (8, 8, 8)) == 1
    flat = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert box_iou(flat, flat, (8, 8, 8)) == 1, "a box of one voxel has a volume"
    assert enclosing_overlap(flat, flat) == 0, "which the published rule does not see"
    enclosing = enclosing_overlap(box_in(one), box_in(other))
    assert enclosing == pytest.approx(
        (0.125 * 0.375 * 0.125) / (0.125 * 0.375 * 0.625 + 1e-6), rel=1e-6
    )
    base = {"topic": "REC, named", "case": "", "grid": [8, 8, 8]}
    lines = [
        {**base, "image": "a", "truth": one, "answer": f"It is {other}."},
        {**base, "image": "b", "truth": one, "answer": "I do not know."},
        {**base, "image": "c", "truth": "None is seen.", "answer": "None."},
        {**base, "image": "d", "truth": "None is seen.", "answer": one},
    ]
    figures = count_regions(lines)
    assert figures["REC, named, enclosing overlap"].value == pytest.approx((enclosing - 3) / 4)
    assert figures["REC, named, IoU"].value == pytest.approx((1 / 3 + 0) / 2)
    assert figures["REC, named, absent"].value == 0.5
    shares = np.array([0.9, 0.6, 0.2, 0.0])
    target = np.array([1, 1, 0, 0])
    assert soft_dice(shares, target) == pytest.approx(2 * 1.5 / (1.7 + 2 + 1))
    assert dice(shares > 0.5, target > 0) == 1
    nothing = np.zeros(4, bool)
    assert (dice(nothing, nothing), soft_dice(nothing, nothing)) == (1, 0)
    assert dice(nothing, target > 0) == 0


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("<bx_start>[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]<bx_end>", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        ("at [0, 0, 0, 1, 1, 1] and [2]", (0, 0, 0, 1, 1, 1)),
        ("[0.1, 0.2]", None), ("[a, b, c, d, e, f]", None), ("[1.2.3, 1, 1, 1, 1, 1]", None),
        ("", None),
    ],
)  # fmt: skip
def test_boxes_are_found_in_texts(text: str, box: Any) -> None:
    assert box_in(text) == box


def test_metrics_equal_the_recorded_ones(fixtures: Path) -> None:
    golden = json.loads((fixtures / "metrics" / "golden.json").read_text(encoding="utf-8"))
    for pair in golden["text"]:
        said, wanted = pair["prediction"], pair["reference"]
        assert bleu1(said, wanted) == pytest.approx(pair["bleu1"], abs=1e-6)
        assert rouge1(said, wanted) == pytest.approx(pair["rouge1_f"], abs=1e-6)
        assert rouge_l(said, wanted) == pytest.approx(pair["rougeL_f"], abs=1e-6)
    for case in golden["closed_ended"]:
        right = closed_right_published(case["output"], case["answer_choice"])
        assert right is case["official_correct"]


def test_terms_may_be_the_published_dictionary(tmp_path: Path) -> None:
    own = read_terms()
    assert own.name("0003", 0) == "liver"
    rng = np.random.default_rng(0)
    for names in own.names.values():
        for name in names:
            assert name not in own.describe(name, rng).lower().split(" on the ")[0] or " " in name
    path = tmp_path / "terms.json"
    path.write_text('{"liver": ["It is theirs."]}')
    theirs = read_terms(path)
    assert theirs.describe("liver", rng) == "It is theirs."
    with pytest.raises(InputError, match="no description of “spleen”"):
        theirs.describe("spleen", rng)
    with pytest.raises(InputError, match="no name for class 4 of the set 0003"):
        theirs.name("0003", 4)
    path.write_text('{"liver": "x"}')
    with pytest.raises(InputError, match="“liver” must have a list"):
        read_terms(path)


def test_questions_of_every_kind_hold_what_they_need() -> None:
    box = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    for k in range(20):
        rng = np.random.default_rng(k)
        for kind in ("REC", "REG", "SEG"):
            for about in ("", "It makes bile."):
                asked, told = ask_region(kind, "liver", about, box, rng)
                assert "{" not in asked + told
                assert (box_in(told) == box) is (kind == "REC")
                assert ("[SEG]" in told) is (kind == "SEG")
                if kind != "REG":
                    assert ("bile" in asked) is bool(about)
                asked, told = ask_region(kind, "liver", about, None, rng)
                assert "[SEG]" not in told
                assert box_in(told) is None


def test_a_judge_is_read_with_and_without_decimals() -> None:
    assert score_in("Score: 85") == 0.85
    assert score_in("score 12.5.") == 0.125
    assert np.isnan(score_in("I cannot tell."))
    assert np.isnan(score_in("Score: 150"))

    def write(prompts: Sequence[str]) -> list[str]:
        return ["Score: 40" if "liver" in prompt else "no" for prompt in prompts]

    judge = Judge(write)
    assert judge(["liver"], ["liver"]) == [0.4]
    assert np.isnan(judge(["x"], ["y"])[0])
    assert judge.unread == 1


@pytest.fixture
def writer(tmp_path: Path, tiny_tokenizer: Any) -> Path:
    """A causal model of a few thousand random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=512,
        eos_token_id=tiny_tokenizer.eos_token_id, pad_token_id=tiny_tokenizer.pad_token_id,
    )  # fmt: skip
    folder = tmp_path / "writer"
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_a_local_model_judges_only_when_it_is_named(
    bench: Path, tiny_folder: Callable[..., Path], writer: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from med2e3.engine.writer import LocalWriter

    one = LocalWriter(writer, max_new_tokens=4, device="cpu")
    two = LocalWriter(writer, max_new_tokens=4, batch=2, device="cpu")
    asked = ["liver left ?", "lung"]
    assert one(asked) == one(asked)
    assert len(two(asked)) == 2
    model = tiny_folder(score_norm="layer_norm")
    cap = bench / "M3D_Cap_npy/M3D_Cap.json"
    words = ["evaluate", model, "--m3d-cap", cap, "--images", bench, "--max-new-tokens", 2]
    assert main([*map(str, words), "--judge", str(writer), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert "open report, LLM judge" not in results["figures"], "nothing that it said could be read"
    assert results["notes"][-1].startswith("2 of the judge's answers had no score")
    assert main([*map(str, words), "--judge", str(bench)]) == 1
    assert "no model's folder" in capsys.readouterr().err


def test_the_command_tells_of_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--m3d-bench", "--clip", "--terms", "--judge", "--ct-rate", "--rad3d",
                   "--radbert", "--radeval", "--prompts", "--resume", "--window"):  # fmt: skip
        assert option in said
    assert main(["data", "--help"]) == 0
    listed = capsys.readouterr().out
    assert "questions" in listed
    assert "phantoms" in listed
    assert main(["evaluate", "demo", "--m3d-bench", ".", "--prompt", "x"]) == 2
    assert "--prompt would change nothing" in capsys.readouterr().err
