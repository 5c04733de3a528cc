"""Texts by a local language model: prompts in, continuations out. Nothing is sent anywhere.

For data and judgements that a language model makes of texts alone. Knows nothing of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from med2e3.engine.loading import choose_device, choose_dtype
from med2e3.errors import CheckpointError
from med2e3.model.inert import check_opened_by_library

#: What writes texts: prompts → as many continuations. A test's stand-in is any function like it.
Writes = Callable[[Sequence[str]], list[str]]


class LocalWriter:
    """Any causal model of transformers in a folder on this computer; greedy, so that it repeats.

    Where its tokenizer has a chat template, a prompt is a user's turn. Raises `CheckpointError`
    for a folder that is none, or whose settings name code.
    """

    def __init__(
        self, folder: Path, *, max_new_tokens: int = 1024, batch: int = 1,
        device: str | None = None, dtype: str | None = None,
    ) -> None:  # fmt: skip
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder, self.max_new_tokens, self.batch = folder, max_new_tokens, batch
        self.device = choose_device(device)
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{folder} holds no config.json: it is no model's folder.")
        check_opened_by_library(folder)
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype=choose_dtype(dtype, self.device)
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise CheckpointError(
                f"The language model in {folder} cannot be loaded: {error}."
            ) from error
        self.model = model.to(self.device).eval()
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The continuation of every prompt, without special tokens."""
        said: list[str] = []
        for first in range(0, len(prompts), self.batch):
            asked = [self._asked(prompt) for prompt in prompts[first : first + self.batch]]
            ids = self.tokenizer(
                asked, return_tensors="pt", padding=True,
                add_special_tokens=not self.tokenizer.chat_template,
            ).to(self.device)  # fmt: skip
            ids.pop("token_type_ids", None)
            out = self.model.generate(
                **ids, max_new_tokens=self.max_new_tokens, do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )  # fmt: skip
            new = out[:, ids["input_ids"].shape[1] :]
            said += self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return said

    def _asked(self, prompt: str) -> str:
        if not self.tokenizer.chat_template:
            return prompt
        turn = [{"role": "user", "content": prompt}]
        return str(
            self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        )
