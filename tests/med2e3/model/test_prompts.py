"""Prompts are the published ones byte for byte, whatever kind of tokenizer reads them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from med2e3.model import Med2E3Processor
from med2e3.model.prompts import (
    PLACEHOLDER_ID,
    TEMPLATES,
    encode_answered,
    encode_prompt,
    write_prompt,
)

PHI = TEMPLATES["phi"]
QUESTION = "Is there free fluid?"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. "
)
END = "<|endoftext|>"


def test_the_published_prompt_stands_as_published() -> None:
    prompt = write_prompt(PHI, [(f" {QUESTION}\n", None)], END, image=True)
    assert prompt.text == f"{SYSTEM}USER: <image3d>\n{QUESTION} ASSISTANT:"


def test_turns_follow_the_end_token_without_a_gap() -> None:
    prompt = write_prompt(PHI, [("Plane?", " axial "), (QUESTION, None)], END, image=True)
    assert prompt.text == (
        f"{SYSTEM}USER: <image3d>\nPlane? ASSISTANT: axial{END}USER: {QUESTION} ASSISTANT:"
    )
    first, end = prompt.answers[0]
    assert prompt.text[first:end] == f" axial{END}"


def test_a_placeholder_that_the_question_has_stays_where_it_is() -> None:
    prompt = write_prompt(PHI, [("What does <image3d> show?", None)], END, image=True)
    assert prompt.text.endswith("USER: What does <image3d> show? ASSISTANT:")


def test_captions_are_volume_and_answer_alone() -> None:
    prompt = write_prompt(TEMPLATES["pretrain"], [("Describe it.", "A scan.")], END, image=True)
    assert prompt.text == "<image3d>A scan."


@pytest.mark.parametrize(
    "turns", [[], [("a", None), ("b", None)]], ids=["no turn", "an unanswered turn before another"]
)
def test_conversations_that_cannot_be_written(turns: Any) -> None:
    with pytest.raises(ValueError, match="needs"):
        write_prompt(PHI, turns, END, image=True)


@pytest.fixture(scope="module")
def pieces() -> Any:
    """A SentencePiece model made as Llama's: BPE, byte fallback, spaces kept."""
    text = [SYSTEM, "USER: ASSISTANT:", QUESTION, "the lung and the liver", "axial coronal"] * 20
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, model_type="bpe", vocab_size=400,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.fixture(params=[True, False], ids=["with BOS", "without BOS"])
def llama_folder(request: pytest.FixtureRequest, pieces: Any, tmp_path: Path) -> tuple[Path, bool]:
    """The files that the release keeps at its top: tokenizer.model and settings."""
    (tmp_path / "tokenizer.model").write_bytes(pieces.serialized_model_proto())
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    special = {**plain, "special": True}
    size = pieces.get_piece_size()
    settings = {
        "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": request.param,
        "add_eos_token": False, "bos_token": "<s>", "eos_token": END, "pad_token": END,
        "unk_token": "<unk>", "clean_up_tokenization_spaces": False, "model_max_length": 768,
        "padding_side": "right",
        "added_tokens_decoder": {
            "0": {"content": "<unk>", **special},
            "1": {"content": "<s>", **special},
            "2": {"content": "</s>", **special},
            str(size): {"content": END, **special},
        },
    }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "added_tokens.json").write_text(json.dumps({END: size}), encoding="utf-8")
    return tmp_path, request.param


def test_a_sentencepiece_tokenizer_reads_each_piece_by_itself(
    llama_folder: tuple[Path, bool], pieces: Any
) -> None:
    """Against SentencePiece itself; every piece gets its own leading ▁, BOS comes once."""
    folder, opens = llama_folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = write_prompt(PHI, [(QUESTION, None)], END, image=True)
    before, after = prompt.text.split("<image3d>")
    expected = [*pieces.encode(before), PLACEHOLDER_ID, *pieces.encode(after)]
    assert encode_prompt(tokenizer, prompt.text) == ([1] if opens else []) + expected
    assert pieces.id_to_piece(pieces.encode(after)[:2]) == ["▁", "<0x0A>"]


def test_an_answers_labels_are_what_the_model_has_to_say(
    llama_folder: tuple[Path, bool], pieces: Any
) -> None:
    folder, _ = llama_folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [("the lung?", "axial"), (QUESTION, "the liver")]
    ids, labels = encode_answered(tokenizer, write_prompt(PHI, turns, END, image=True))
    end = tokenizer.eos_token_id
    kept = [i for i in labels if i != -100]
    assert kept == [*pieces.encode("axial"), end, *pieces.encode("the liver"), end]
    asked = encode_prompt(tokenizer, write_prompt(PHI, [("the lung?", None)], END, image=True).text)
    assert ids[: len(asked)] == asked
    assert labels[len(asked)] == pieces.encode("axial")[0]


@pytest.mark.parametrize("opens", [True, False])
def test_bos_comes_once_at_the_front_and_not_before_a_volume(
    opens: bool, tiny_tokenizer: Any
) -> None:
    words = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    words.add_special_tokens(["<s>"])
    if opens:
        bos = words.token_to_id("<s>")
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", bos)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="<eos>", bos_token="<s>"
    )
    ids = encode_prompt(tokenizer, "is there <image3d> a nodule ?")
    assert ids.count(tokenizer.bos_token_id) == (1 if opens else 0)
    assert (ids[0] == tokenizer.bos_token_id) == opens
    assert encode_prompt(tokenizer, "<image3d>a nodule")[0] == PLACEHOLDER_ID
    assert tokenizer.bos_token_id not in encode_prompt(tokenizer, "<image3d>a nodule")


def test_a_processor_comes_back_from_disk_as_it_was(tiny_tokenizer: Any, tmp_path: Path) -> None:
    processor = Med2E3Processor(
        tiny_tokenizer, tiny_tokenizer, template="short", num_visual_tokens=3, context_length=9
    )
    processor.save_pretrained(tmp_path)
    again = Med2E3Processor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict()
    assert again.prompt_ids([("is a liver ?", None)]) == processor.prompt_ids(
        [("is a liver ?", None)]
    )
    assert again.question_words is not None
    assert again.question_ids("<image3d>\nis a liver ?") == processor.question_ids("is a liver ?")


def test_training_rows_are_cut_to_the_context(tiny_tokenizer: Any) -> None:
    processor = Med2E3Processor(
        tiny_tokenizer, template="short", num_visual_tokens=4, context_length=12
    )
    batch = processor(["is there a nodule in the left lung ?"], answers=["no"])
    assert batch["input_ids"].shape == batch["labels"].shape == (1, 12)
    assert (batch["input_ids"] == processor.image_token_id).sum() == 4


def test_decoding_leaves_out_image_and_special_tokens(tiny_tokenizer: Any) -> None:
    processor = Med2E3Processor(tiny_tokenizer, template="short", num_visual_tokens=2)
    ids = processor.prompt_ids([("liver ?", None)])
    assert processor.decode([*ids, tiny_tokenizer.eos_token_id]) == "USER : liver ? ASSISTANT :"
    assert processor.batch_decode([ids, ids]) == ["USER : liver ? ASSISTANT :"] * 2


def test_an_unknown_template_is_refused(tiny_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="'chatml' is not one of phi, pretrain, short"):
        Med2E3Processor(tiny_tokenizer, template="chatml")
