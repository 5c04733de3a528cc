"""Facts about a loaded model, notices to show with it, its questions. Knows no volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from med2e3.errors import DataError
from med2e3.geometry import Plane
from med2e3.volume import Window

Progress = Callable[[float, str], None]

DEMO_NOTICE = (
    "Demo model, trained on synthetic phantoms only: its answers about real scans mean nothing."
)
RESEARCH_NOTICE = "Research model: its answers are drafts, not findings; check them on the images."


@dataclass(frozen=True)
class ReadyQuestion:
    """A question for a button, in the words that the model was trained with."""

    label: str
    text: str


#: Wordings of the published training data: M3D-Cap's caption prompt and M3D-VQA's question types.
READY_QUESTIONS = (
    ReadyQuestion(
        "Draft report", "Can you provide a caption consists of findings for this medical image?"
    ),
    ReadyQuestion("Plane", "What is the plane of this image?"),
    ReadyQuestion("Phase", "What is the phase of this CT scan?"),
    ReadyQuestion("Organ", "Which organ is shown in this CT scan?"),
    ReadyQuestion("Abnormality", "What abnormality is seen in this image?"),
    ReadyQuestion("Location", "Where is the abnormality located?"),
)


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded model; `notes` say what was loaded and from where.

    `notice` is the sentence to show above every answer. `default_plane` None is the plane in which
    a series is stored; `default_window` None is from minimum to maximum. `weights_sha256` is the
    hash of the weights' file, or of the list of hashes where there are several. `quantize` is
    "8bit", "4bit", "int8" or "int4" for a language model with weights of so many bits, else "".
    `history_turns` is how many earlier turns it was trained to read before a question.
    """

    name: str
    kind: str
    is_demo: bool
    notice: str
    parameters: int
    device: str
    dtype: str
    has_scores: bool
    grid_shape: tuple[int, int, int]
    default_plane: Plane | None
    default_window: Window | None
    path: str
    weights_sha256: str
    licence: str
    notes: tuple[str, ...]
    questions: tuple[ReadyQuestion, ...] = READY_QUESTIONS
    quantize: str = ""
    history_turns: int = 0


def ready_questions(config: object) -> tuple[ReadyQuestion, ...]:
    """The questions that a model's config brings, else the published wordings."""
    own = getattr(config, "ready_questions", None) or {}
    return tuple(ReadyQuestion(label, text) for label, text in own.items()) or READY_QUESTIONS


def check_measured(path: Path, weights_sha256: str, info: ModelInfo) -> None:
    """Raise `DataError` where a file beside the weights holds what was measured of other ones."""
    if weights_sha256 != info.weights_sha256:
        raise DataError(
            f"{path} was measured of other weights (SHA-256 {weights_sha256[:12]}…, these are "
            f"{info.weights_sha256[:12]}…), so it says nothing about this model. Evaluate this "
            "model, or remove the file."
        )
