"""Captions by a model: scripted ones that fail in every way, and a tiny real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.cli import main
from med2e3.errors import DataError, InputError
from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.io.write import write_nifti
from med2e3.model.insight import open_insight
from med2e3.phantoms import Wish, make_phantom
from med2e3.training import Options
from med2e3.training.insight.captioning import (
    CAPTIONS_FILE,
    PROMPT,
    REJECTED_FILE,
    CaptionTask,
    Said,
    reason_to_reject,
    write_captions,
)
from med2e3.training.insight.pairs import PLANES, read_pairs
from med2e3.volume import Window

TASK = CaptionTask("scripted", slices=2)


class Scripted:
    """A model that answers from a list, and remembers what it was asked."""

    decoding: dict[str, Any] = {"do_sample": False}  # noqa: RUF012 - as the protocol has it

    def __init__(self, *answers: Said | BaseException, then: str = "The liver is normal.") -> None:
        self.answers, self.then = list(answers), then
        self.asked: list[str] = []
        self.shapes: list[tuple[int, ...]] = []

    def describe(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Said]:
        said = []
        for image, prompt in zip(images, prompts, strict=True):
            self.asked.append(prompt)
            self.shapes.append(image.shape)
            answer = self.answers.pop(0) if self.answers else Said(self.then)
            if isinstance(answer, BaseException):
                raise answer
            said.append(answer)
        return said


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("volumes") / "body.nii.gz"
    phantom = make_phantom(5, Wish(plane=Plane.AXIAL, shape=(8, 32, 32)))
    write_nifti(phantom.volume, path)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_slice_has_a_line_with_all_that_repeats_it(volume: Path, tmp_path: Path) -> None:
    model = Scripted()
    made = write_captions([volume], tmp_path, model, TASK)
    lines = rows(made.file)
    assert (made.kept, made.rejected, made.pass_rate) == (6, {}, 1.0)
    assert [line["plane"] for line in lines] == ["axial"] * 2 + ["coronal"] * 2 + ["sagittal"] * 2
    first = lines[0]
    assert first["text"] == "The liver is normal."
    assert first["prompt"] == PROMPT.format(plane="axial", modality="CT")
    assert (first["model"], first["request"]) == ("scripted", PROMPT)
    assert first["decoding"] == {"do_sample": False}
    assert first["slices"] == 8
    assert (tmp_path / first["png"]).is_file()
    assert (tmp_path / first["volume"]).resolve() == volume.resolve()
    rows_of, columns = model.shapes[2]  # coronal: 8 slices high, made square by their thickness
    assert rows_of > 8 * columns / 32


def test_what_is_there_is_not_asked_again(volume: Path, tmp_path: Path) -> None:
    write_captions([volume], tmp_path, Scripted(), TASK)
    before = (tmp_path / CAPTIONS_FILE).read_bytes()
    model = Scripted()
    made = write_captions([volume], tmp_path, model, TASK)
    assert model.asked == []
    assert made.kept == 6
    assert (tmp_path / CAPTIONS_FILE).read_bytes() == before


def test_an_interrupted_run_goes_on_and_repeats_nothing(volume: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_captions(
            [volume], tmp_path, Scripted(Said("A normal liver."), Said(""), KeyboardInterrupt()),
            TASK,
        )  # fmt: skip
    assert len(rows(tmp_path / CAPTIONS_FILE)) == 1
    assert len(rows(tmp_path / REJECTED_FILE)) == 1
    model = Scripted()
    made = write_captions([volume], tmp_path, model, TASK)
    assert len(model.asked) == 4
    assert (made.kept, made.rejected) == (5, {"empty": 1})
    keys = [(r["plane"], r["slice"]) for r in rows(made.file)]
    assert len(set(keys)) == 5


def test_a_line_that_was_cut_short_counts_for_nothing(volume: Path, tmp_path: Path) -> None:
    write_captions([volume], tmp_path, Scripted(), TASK)
    path = tmp_path / CAPTIONS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-25])  # the power went
    model = Scripted()
    write_captions([volume], tmp_path, model, TASK)
    assert len(model.asked) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said("  "), "empty"),
        (Said("No."), "fewer than 3 words"),
        (Said("a b c d " * 4), "repeats itself"),
        (Said("The liver is large and", ended=False), "did not end"),
        (Said("Sure: say what you see. Then"), "repeats the prompt"),
        (Said("The liver is normal. No mass."), ""),
    ],
)
def test_answers_that_are_no_captions_have_a_reason(said: Said, reason: str) -> None:
    assert reason_to_reject(said, "Say  what you see.") == reason


def test_rejected_answers_are_kept_with_their_reason(volume: Path, tmp_path: Path) -> None:
    made = write_captions([volume], tmp_path, Scripted(Said(""), Said("so " * 40)), TASK)
    assert made.rejected == {"empty": 1, "repeats itself": 1}
    assert made.pass_rate == pytest.approx(4 / 6)
    assert [r["reason"] for r in rows(tmp_path / REJECTED_FILE)] == ["empty", "repeats itself"]


def test_a_batch_asks_the_same(volume: Path, tmp_path: Path) -> None:
    one, four = Scripted(), Scripted()
    write_captions([volume], tmp_path / "one", one, TASK)
    write_captions([volume], tmp_path / "four", four, CaptionTask("scripted", slices=2, batch=4))
    assert one.asked == four.asked


def test_a_missing_volume_is_named_before_anything_is_asked(volume: Path, tmp_path: Path) -> None:
    model = Scripted()
    with pytest.raises(InputError, match=r"no volume .*gone\.nii"):
        write_captions([volume, tmp_path / "gone.nii"], tmp_path / "out", model, TASK)
    assert model.asked == []


def test_a_volume_that_cannot_be_read_is_named_and_the_others_are_captioned(
    volume: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.nii"
    damaged.write_bytes(b"no image")
    made = write_captions([damaged, volume], tmp_path / "out", Scripted(), TASK)
    assert made.kept == 6
    assert len(made.unread) == 1
    assert "damaged.nii" in made.unread[0]


def test_another_model_does_not_go_on(volume: Path, tmp_path: Path) -> None:
    write_captions([volume], tmp_path, Scripted(), TASK)
    with pytest.raises(InputError, match="was begun with"):
        write_captions([volume], tmp_path, Scripted(), CaptionTask("other", slices=2))


def test_a_prompt_that_cannot_be_filled_in_is_named() -> None:
    with pytest.raises(InputError, match="organ"):
        CaptionTask("scripted", prompt="Describe the {organ}.")


def test_too_few_answers_are_an_error(volume: Path, tmp_path: Path) -> None:
    class Short(Scripted):
        def describe(self, images: Any, prompts: Any) -> list[Said]:
            return super().describe(images, prompts)[1:]

    with pytest.raises(InputError, match="0 answers to 1 questions"):
        write_captions([volume], tmp_path, Short(), TASK)


def test_captions_are_what_a_recipe_reads(volume: Path, tmp_path: Path) -> None:
    made = write_captions([volume], tmp_path, Scripted(), TASK)
    pairs = read_pairs(made.file, (8, 16, 16), Window(0, 2000))
    assert len(pairs.volumes) == 1
    assert pairs.volumes[0].shape == (8, 16, 16)
    assert [(PLANES[p.plane].value, p.index) for p in pairs.pairs] == [
        (r["plane"], r["slice"]) for r in rows(made.file)
    ]
    assert pairs.image(0).shape[2] == 3
    window = TASK.window
    stored = load_volume(volume).in_plane(Plane.AXIAL).voxels[pairs.pairs[0].index]
    grey = np.rint(np.clip((stored - window.low) / window.width, 0, 1) * 255)
    assert np.abs(pairs.image(0)[..., 0] - grey).max() <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": None}, "“text”"),
        ({"text": "  "}, "empty caption"),
        ({"slice": "3"}, "slice = '3'"),
        ({"slice": 99}, "slice 99 of 32"),
        ({"plane": "oblique"}, "oblique"),
        ({"png": "images/gone.png"}, "gone.png"),
        ({"volume": "gone.nii"}, "gone.nii"),
    ],
)
def test_a_row_that_is_no_caption_is_named(
    volume: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    made = write_captions([volume], tmp_path, Scripted(), TASK)
    lines = rows(made.file)
    lines[2] = {k: v for k, v in {**lines[2], **change}.items() if v is not None}
    made.file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_pairs(made.file, (8, 16, 16), Window(0, 2000))
    assert said in str(error.value)


def test_a_file_without_captions_is_named(tmp_path: Path) -> None:
    (tmp_path / CAPTIONS_FILE).write_text("")
    with pytest.raises(DataError, match="holds no caption"):
        read_pairs(tmp_path / CAPTIONS_FILE, (8, 16, 16), Window(0, 2000))
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(tmp_path / "gone.jsonl", (8, 16, 16), Window(0, 2000))
    (tmp_path / CAPTIONS_FILE).write_text("{")
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_pairs(tmp_path / CAPTIONS_FILE, (8, 16, 16), Window(0, 2000))


@pytest.fixture(scope="module")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image-text-to-text model of transformers with random weights, and its processor."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    said = "Describe the organs and any abnormality in this slice two sentences liver lung"
    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", *said.split()]
    raw = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", additional_special_tokens=["<image>"],
    )  # fmt: skip
    sizes = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=16, patch_size=8, projection_dim=16),
        text_config=LlamaConfig(
            **sizes, vocab_size=len(words), num_key_value_heads=2, pad_token_id=0, bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_index=4, vision_feature_layer=-1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llava")
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    side = {"height": 16, "width": 16}
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=side), tokenizer, patch_size=8,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_the_command_captions_with_a_real_model(
    volume: Path, tiny_llava: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "caption", str(volume), "--model", str(tiny_llava), "--slices", "2",
             "--max-new-tokens", "6", "--json", "--out"]  # fmt: skip
    found = []
    for name, batch in (("one", "1"), ("four", "4")):
        assert main([*words, str(tmp_path / name), "--batch", batch]) == 0
        found.append(json.loads(capsys.readouterr().out))
        assert found[-1]["captions"] + sum(found[-1]["rejected"].values()) == 6
    kept = [
        [(r["plane"], r["slice"], r["text"]) for f in (CAPTIONS_FILE, REJECTED_FILE)
         if (tmp_path / name / f).is_file() for r in rows(tmp_path / name / f)]
        for name in ("one", "four")
    ]  # fmt: skip
    assert sorted(kept[0]) == sorted(kept[1])  # a batch changes nothing
    again = main([*words[:-2], "--out", str(tmp_path / "one"), "--batch", "1"])
    assert again == 0
    assert "passed" in capsys.readouterr().err


def test_the_command_names_a_folder_that_holds_no_such_model(
    volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["data", "caption", str(volume), "--model", str(tmp_path / "empty")]) == 1
    assert "image-text-to-text" in capsys.readouterr().err


def test_a_run_trains_on_captions_of_a_file_with_a_model_of_ones_own(
    volume: Path, finished: Path, tiny_recipe: Callable[..., Path],
    train_tiny: Callable[..., Path], tmp_path: Path,
) -> None:  # fmt: skip
    said = [Said(f"Axial CT slice of the chest, arterial phase, {w}.") for w in ("liver", "lung")]
    write_captions([volume], tmp_path, Scripted(*said), TASK)
    teacher = "[stages.teacher]\nsteps = 2\nlearning_rate = 1e-3\nslices = 6\n"
    recipe = tiny_recipe(
        ("train_seeds = [0, 4]", f'captions = "{CAPTIONS_FILE}"'),
        (teacher, ""),
        ("[teacher]", f"[teacher]\nmodel = {json.dumps(str(finished / 'teacher'))}"),
        ("volumes = 3", "volumes = 2"),
    )
    model = train_tiny(recipe, tmp_path / "run", options=Options(cpu=True, data=tmp_path))
    assert open_insight(model).config.embedding_size == 8
    assert not (tmp_path / "run" / "retrieval.json").exists()  # nobody knows the truth of these
    log = (tmp_path / "run" / "insight.csv").read_text().splitlines()
    assert len(log) == 1 + 4
