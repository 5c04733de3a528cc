"""A model of ours for DeepTumorVQA's evaluator, which takes a module by its name.

    MED2E3_MODEL=runs/finetune/model python -m deeptumorvqa.evaluate --backend custom \
        --custom-module med2e3.evaluation.deep_tumor_vqa --mode vqa --input 3d_volume …

The evaluator hands a volume over as `video_path`; single images are refused, for our models read
volumes. Source: the evaluator of arXiv 2605.09679. Knows nothing of its files.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from med2e3.engine import Model, Session, load
from med2e3.errors import InputError
from med2e3.io import load_volume

#: Names the model to ask: a name, a folder or a hub id; and its longest answer in tokens.
MODEL_VARIABLE, TOKENS_VARIABLE = "MED2E3_MODEL", "MED2E3_MAX_NEW_TOKENS"

MAX_NEW_TOKENS = 64


class VolumeAnswerer:
    """Answers questions about volumes; the last volume stays encoded, as questions come in rows."""

    def __init__(self, model: Model, max_new_tokens: int = MAX_NEW_TOKENS) -> None:
        self.model, self.max_new_tokens = model, max_new_tokens
        self._open: tuple[str, Session] | None = None

    def generate(
        self, prompt: str, images: Sequence[Any] | None = None, video_path: str | None = None
    ) -> str:
        """The answer to `prompt` about the volume at `video_path`.

        Raises `InputError` where there is no volume: an answer without one would be a guess.
        """
        if video_path is None:
            given = "single images" if images else "no image at all"
            raise InputError(
                f"The question came with {given}; models here read volumes. Run the evaluator with "
                "--input 3d_volume."
            )
        path = str(video_path)
        if self._open is None or self._open[0] != path:
            self._open = None  # the old volume's memory is free before the new one takes its own
            self._open = (path, self.model.read(load_volume(path)))
        (reply,) = self._open[1].ask_many([prompt], max_new_tokens=self.max_new_tokens)
        return reply.text.strip()


def build_evaluator(args: Any) -> Any:
    """What the evaluator's command line calls. Raises `InputError` where it is not installed."""
    try:
        base = importlib.import_module("deeptumorvqa.eval.vqa_evaluator").HFVLMEvaluator
    except ImportError as error:
        raise InputError(
            "deeptumorvqa is not installed; this module is made for its evaluator."
        ) from error
    name = os.environ.get(MODEL_VARIABLE, "")
    if not name:
        raise InputError(f"Name the model in {MODEL_VARIABLE}: a name, a folder or a hub id.")
    tokens = int(os.environ.get(TOKENS_VARIABLE, MAX_NEW_TOKENS))
    answerer = VolumeAnswerer(load(name, device=getattr(args, "device", None)), tokens)

    class Evaluator(base):  # type: ignore[misc, valid-type]
        """Theirs, with our `generate`."""

        def generate(self, prompt: str, images: Any = None, video_path: str | None = None) -> str:
            return answerer.generate(prompt, images, video_path)

    return Evaluator(model_id=name, device=str(answerer.model.info.device))
