"""Questions to M3D-LaMed's inputs, byte for byte as published, and token ids back to text.

Volumes come in already on the model's grid (`med2e3.preprocessing`). Knows nothing of patients.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from med2e3.model.inert import open_tokenizer
from med2e3.model.m3d_lamed_config import M3DLaMedConfig
from med2e3.model.prompts import IGNORE

SETTINGS_FILE = "processor_config.json"

#: The published tokens: one visual row, the marks around a box, and "here I drew a mask".
IMAGE_PATCH, BOX_START, BOX_END, SEGMENT = "<im_patch>", "<bx_start>", "<bx_end>", "[SEG]"

#: Opens the choices of a closed question in M3D-VQA. Published code puts a space between the image
#: and every question of that data set, and none in its quick start or before requests for reports.
CHOICES_MARK = "Choices: A."


class M3DLaMedProcessor(ProcessorMixin):  # type: ignore[misc]
    """Writes `<im_patch>` × N and the question, with no system text and no chat template.

    `separator` stands between them; None follows the published code (see `CHOICES_MARK`), which
    open questions do not show: `spaced` says that one is of M3D-VQA. A question that itself opens
    with a space keeps it.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        num_visual_tokens: int,
        image_token_id: int,
        context_length: int = 0,
        separator: str | None = None,
    ) -> None:
        super().__init__(tokenizer)
        self.num_visual_tokens = num_visual_tokens
        self.image_token_id = image_token_id
        self.context_length = context_length
        self.separator = separator

    @classmethod
    def for_model(cls, config: M3DLaMedConfig, tokenizer: Any) -> M3DLaMedProcessor:
        """A processor that fits the sizes in a model's config."""
        return cls(
            tokenizer,
            num_visual_tokens=config.num_visual_tokens,
            image_token_id=config.image_token_id,
            context_length=config.max_context,
        )

    def prompt(self, question: str, *, spaced: bool = False) -> str:
        """The whole text of the prompt."""
        separator = self.separator
        if separator is None:
            spaced = spaced or CHOICES_MARK in question
            separator = " " if spaced and not question[:1].isspace() else ""
        patch = self.tokenizer.convert_ids_to_tokens(self.image_token_id)
        return f"{patch * self.num_visual_tokens}{separator}{question}"

    def prompt_ids(self, question: str, *, spaced: bool = False) -> list[int]:
        """Ids of the prompt; opened by a start token where the tokenizer does so."""
        return list(self.tokenizer(self.prompt(question, spaced=spaced))["input_ids"])

    def answered_ids(
        self, question: str, answer: str, *, spaced: bool = False
    ) -> tuple[list[int], list[int]]:
        """Ids of question, answer and end token, and labels: the answer's ids, else `IGNORE`.

        `spaced` as in `prompt`. Cut to the context's length.
        """
        prompt = self.prompt(question, spaced=spaced)
        ids = list(self.tokenizer(f"{prompt} {answer}")["input_ids"])
        ids.append(self.tokenizer.eos_token_id)
        asked = len(self.tokenizer(prompt)["input_ids"])
        labels = [IGNORE] * asked + ids[asked:]
        end = self.context_length or len(ids)
        return ids[:end], labels[:end]

    def answer_ids(self, question: str, answer: str) -> list[int]:
        """Ids of an answer as the model learns it after the question, without its end token."""
        labels = self.answered_ids(question, answer)[1]
        return [i for i in labels if i != IGNORE][:-1]

    def __call__(
        self,
        questions: str | Sequence[str],
        volumes: Tensor | None = None,
        answers: Sequence[str] | None = None,
        *,
        spaced: bool = False,
    ) -> BatchFeature:
        """A batch for the model's `forward` or `generate`.

        With `answers` there are `labels`, and padding is on the right; without, on the left, so
        that a batch can generate. `volumes` (B, 1, S, H, W) become `pixel_values`. `spaced` says
        that the questions are of M3D-VQA.
        """
        asked = [questions] if isinstance(questions, str) else list(questions)
        batch: dict[str, Tensor] = {}
        if answers is None:
            rows = [self.prompt_ids(question, spaced=spaced) for question in asked]
        else:
            pairs = [
                self.answered_ids(q, a, spaced=spaced) for q, a in zip(asked, answers, strict=True)
            ]
            rows = [ids for ids, _ in pairs]
            batch["labels"] = _padded([labels for _, labels in pairs], IGNORE, right=True)
        right = answers is not None
        filler = self.tokenizer.pad_token_id
        filler = self.tokenizer.eos_token_id if filler is None else filler
        batch["input_ids"] = _padded(rows, filler, right=right)
        batch["attention_mask"] = _padded([[1] * len(row) for row in rows], 0, right=right)
        if volumes is not None:
            batch["pixel_values"] = volumes
        return BatchFeature(batch)

    def decode(self, token_ids: Iterable[int], **kwargs: Any) -> str:
        """Text of token ids; special tokens, box marks among them, are left out by default."""
        kwargs.setdefault("skip_special_tokens", True)
        return str(self.tokenizer.decode([int(i) for i in token_ids], **kwargs))

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> list[str]:
        """Write tokenizer files and settings into a folder; returns the settings' path."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        settings = {
            "processor_class": type(self).__name__,
            "num_visual_tokens": self.num_visual_tokens,
            "image_token_id": self.image_token_id,
            "context_length": self.context_length,
            "separator": self.separator,
        }
        path = folder / SETTINGS_FILE
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        return [str(path)]

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **_: Any
    ) -> M3DLaMedProcessor:
        """Read what `save_pretrained` wrote; a local folder, never the network.

        Raises OSError or ValueError where files are missing or damaged, and `CheckpointError` where
        they name code or hold no tokenizer.
        """
        folder = Path(pretrained_model_name_or_path)
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        settings.pop("processor_class", None)
        return cls(open_tokenizer(folder), **settings)


def _padded(rows: Sequence[Sequence[int]], filler: int, *, right: bool) -> Tensor:
    """Rows of unequal length → (B, T)."""
    length = max(len(row) for row in rows)
    padded = torch.full((len(rows), length), filler)
    for number, row in enumerate(rows):
        first = 0 if right else length - len(row)
        padded[number, first : first + len(row)] = torch.tensor(row, dtype=torch.long)
    return padded
