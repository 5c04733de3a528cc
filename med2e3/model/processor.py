"""Questions and answers to the model's inputs, and token ids back to text.

Works with any fast tokenizer. Where the model has a text encoder of its own, `question_words` is
that encoder's tokenizer. Volumes come in already on the model's grid (`med2e3.preprocessing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from med2e3.model.config import IMAGE_TOKEN_ID, Med2E3Config
from med2e3.model.inert import open_tokenizer
from med2e3.model.prompts import (
    IGNORE,
    IMAGE_PLACEHOLDER,
    TEMPLATES,
    Turn,
    chat_template,
    encode_answered,
    encode_prompt,
    expand_placeholders,
    write_prompt,
)

SETTINGS_FILE = "processor_config.json"
QUESTION_WORDS_FOLDER = "text_encoder"


class Med2E3Processor(ProcessorMixin):  # type: ignore[misc]
    """Writes prompts by a template of `med2e3.model.prompts.TEMPLATES` and tokenises them."""

    def __init__(
        self,
        tokenizer: Any,
        question_words: Any = None,
        *,
        template: str = "phi",
        num_visual_tokens: int = 0,
        image_token_id: int = IMAGE_TOKEN_ID,
        context_length: int = 0,
    ) -> None:
        if template not in TEMPLATES:
            raise ValueError(f"template={template!r} is not one of {', '.join(TEMPLATES)}")
        super().__init__(tokenizer)
        self.question_words = question_words
        self.template = template
        self.num_visual_tokens = num_visual_tokens
        self.image_token_id = image_token_id
        self.context_length = context_length

    @classmethod
    def for_model(
        cls, config: Med2E3Config, tokenizer: Any, question_words: Any = None, **settings: Any
    ) -> Med2E3Processor:
        """A processor that fits the sizes in a model's config."""
        return cls(
            tokenizer,
            question_words,
            num_visual_tokens=config.num_visual_tokens,
            image_token_id=config.image_token_id,
            context_length=config.max_context,
            **settings,
        )

    def write_chat_template(self) -> None:
        """Has the tokenizer write conversations as the model was trained (`apply_chat_template`).

        Templates of captions ask nothing, and leave the tokenizer as it is.
        """
        template = TEMPLATES[self.template]
        if not template.caption:
            self.tokenizer.chat_template = self.chat_template = chat_template(template)

    def with_template(self, template: str) -> Med2E3Processor:
        """The same processor with another template."""
        return type(self)(
            self.tokenizer,
            self.question_words,
            template=template,
            num_visual_tokens=self.num_visual_tokens,
            image_token_id=self.image_token_id,
            context_length=self.context_length,
        )

    def prompt_ids(self, turns: Sequence[Turn], *, image: bool = True) -> list[int]:
        """Ids of a conversation, each placeholder as `num_visual_tokens` image tokens."""
        template = TEMPLATES[self.template]
        prompt = write_prompt(template, turns, self.tokenizer.eos_token, image=image)
        return self._expand(encode_prompt(self.tokenizer, prompt.text))

    def answered_ids(
        self, turns: Sequence[Turn], *, image: bool = True
    ) -> tuple[list[int], list[int]]:
        """Ids and labels of a conversation with its answers, cut to the context's length."""
        template = TEMPLATES[self.template]
        prompt = write_prompt(template, turns, self.tokenizer.eos_token, image=image)
        ids, labels = encode_answered(self.tokenizer, prompt)
        expanded = []
        for i, label in zip(ids, labels, strict=True):
            expanded += [(j, label) for j in self._expand([i])]
        kept = expanded[: self.context_length] if self.context_length else expanded
        return [i for i, _ in kept], [label for _, label in kept]

    def answer_ids(self, question: str, answer: str) -> list[int]:
        """Ids of an answer as the model learns it after the question, without its end token."""
        labels = self.answered_ids([(question, answer)], image=False)[1]
        return _without_end([i for i in labels if i != IGNORE], self.tokenizer.eos_token_id)

    def question_ids(self, question: str) -> list[int]:
        """Ids of the bare question, for the slice scores."""
        bare = question.replace(IMAGE_PLACEHOLDER, "").strip()
        if self.question_words is not None:
            return list(self.question_words(bare)["input_ids"])
        return list(self.tokenizer(bare, add_special_tokens=False)["input_ids"])

    def __call__(
        self,
        questions: str | Sequence[str | Sequence[Turn]],
        volumes: Tensor | None = None,
        answers: Sequence[str] | None = None,
        *,
        volume_index: Sequence[int] | None = None,
        image: bool = True,
        padding_side: str = "",
    ) -> BatchFeature:
        """A batch for the model's `forward` or `generate`.

        A question is a text, or the turns of a conversation. With `answers` (or conversations whose
        last turn is answered) there are `labels`, and padding is on the right; without, on the
        left, so that a batch can generate. `volumes` (V, 1, S, H, W) become `pixel_values`.
        """
        given = [questions] if isinstance(questions, str) else questions
        chats: list[list[Turn]] = []
        for number, question in enumerate(given):
            answer = None if answers is None else answers[number]
            chats.append([(question, answer)] if isinstance(question, str) else list(question))
        answered = all(chat[-1][1] is not None for chat in chats)
        side = padding_side or ("right" if answered else "left")
        batch: dict[str, Tensor] = {}
        if answered:
            pairs = [self.answered_ids(chat, image=image) for chat in chats]
            ids, labels = [p[0] for p in pairs], [p[1] for p in pairs]
            batch["labels"] = _pad(labels, IGNORE, side)[0]
        else:
            ids = [self.prompt_ids(chat, image=image) for chat in chats]
        batch["input_ids"], batch["attention_mask"] = _pad(ids, self._pad_id, side)
        if image:
            asked = [self.question_ids(chat[-1][0]) for chat in chats]
            batch["question_ids"], batch["question_mask"] = _pad(asked, 0, "right")
        if volumes is not None:
            batch["pixel_values"] = volumes
        if volume_index is not None:
            batch["volume_index"] = torch.tensor(list(volume_index))
        return BatchFeature(batch)

    def decode(self, token_ids: Iterable[int], **kwargs: Any) -> str:
        """Text of token ids; special tokens and image tokens are left out."""
        kwargs.setdefault("skip_special_tokens", True)
        kept = [int(i) for i in token_ids if int(i) != self.image_token_id]
        return str(self.tokenizer.decode(kept, **kwargs))

    def batch_decode(self, sequences: Iterable[Iterable[int]], **kwargs: Any) -> list[str]:
        """`decode` for each row."""
        return [self.decode(row, **kwargs) for row in sequences]

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> list[str]:
        """Write tokenizer files and settings into a folder; returns the settings' path."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.write_chat_template()
        self.tokenizer.save_pretrained(folder)
        if self.question_words is not None:
            self.question_words.save_pretrained(folder / QUESTION_WORDS_FOLDER)
        path = folder / SETTINGS_FILE
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return [str(path)]

    def to_dict(self) -> dict[str, Any]:
        """The settings, without the tokenizers."""
        return {
            "processor_class": type(self).__name__,
            "template": self.template,
            "num_visual_tokens": self.num_visual_tokens,
            "image_token_id": self.image_token_id,
            "context_length": self.context_length,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()})"

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **_: Any
    ) -> Med2E3Processor:
        """Read what `save_pretrained` wrote; a local folder, never the network.

        Raises OSError or ValueError where files are missing or damaged, and `CheckpointError` where
        they name code or hold no tokenizer.
        """
        folder = Path(pretrained_model_name_or_path)
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        settings.pop("processor_class", None)
        words = folder / QUESTION_WORDS_FOLDER
        made = cls(
            open_tokenizer(folder),
            open_tokenizer(words) if words.is_dir() else None,
            **settings,
        )
        made.write_chat_template()
        return made

    @property
    def _pad_id(self) -> int:
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        return int(pad if pad is not None else end)

    def _expand(self, ids: Sequence[int]) -> list[int]:
        return expand_placeholders(ids, self.num_visual_tokens, self.image_token_id)


def _without_end(ids: list[int], end: int) -> list[int]:
    return ids[:-1] if ids and ids[-1] == end else ids


def _pad(rows: Sequence[Sequence[int]], filler: int, side: str) -> tuple[Tensor, Tensor]:
    """Rows of unequal length → (B, T) ids and a mask of the same shape, 1 where they are real."""
    length = max(len(row) for row in rows)
    ids = torch.full((len(rows), length), filler)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for number, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        ids[number, where] = torch.tensor(row, dtype=torch.long)
        mask[number, where] = 1
    return ids, mask
