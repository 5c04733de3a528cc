"""Finding volumes by text and texts by volume, with M3D-CLIP.

    retriever = load_retriever("m3d-clip")
    ranking = rank_volumes(retriever, "free fluid in the abdomen", "scans/")
    nearest = nearest_texts(retriever, volume, sentences)

Knows nothing of how results are shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.checkpoints import Hub, build, find_model, open_checkpoint
from med2e3.checkpoints.hashes import weights_hash
from med2e3.engine.finite import check_finite
from med2e3.engine.info import RESEARCH_NOTICE, ModelInfo
from med2e3.engine.inputs import prepare_input
from med2e3.engine.loading import choose_device, choose_dtype
from med2e3.errors import CheckpointError, ImageReadError, InputError, QuestionError
from med2e3.geometry import Plane
from med2e3.io.texts import read_text
from med2e3.retrieval.collection import Candidate, find_candidates
from med2e3.volume import Volume, Window

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]
Features = NDArray[np.float32]

#: Texts that go through the text encoder at once.
TEXT_BATCH = 32


@dataclass(frozen=True)
class Match:
    """One result: `similarity` is the cosine, −1 to 1; larger is nearer."""

    name: str
    path: str
    similarity: float


@dataclass(frozen=True)
class Ranking:
    """Matches, nearest first, and what could not be read: sentences that name it and say why."""

    text: str
    matches: tuple[Match, ...]
    unreadable: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Retriever:
    """A loaded M3D-CLIP; made by `load_retriever`. Features are vectors of length 1."""

    def __init__(self, info: ModelInfo, model: Any, tokenizer: Any) -> None:
        self.info = info
        self.model = model
        self.tokenizer = tokenizer

    @torch.inference_mode()
    def volume_features(
        self,
        volume: Volume | NDArray[np.generic],
        *,
        plane: Plane | str | None = None,
        window: Window | str | None = None,
    ) -> Features:
        """(C,) of a volume; an array on the model's grid with values 0..1 is taken as it is.

        Raises `PreprocessingError`, and `CheckpointError` for features that are no numbers.
        """
        if isinstance(volume, np.ndarray) and volume.shape[-3:] == self.info.grid_shape:
            # Nothing is cropped from an array that is on the grid: it was prepared already.
            _, given = prepare_input(self.info, volume, plane, window, crop=False)
        else:
            _, given = prepare_input(self.info, volume, plane, window, crop=True)
        grid = given.grid.unsqueeze(0).to(self.model.device, self.model.dtype)
        features: Features = self.model.get_image_features(grid)[0].float().cpu().numpy()
        check_finite(features, "features")
        return features

    @torch.inference_mode()
    def text_features(self, texts: Sequence[str]) -> Features:
        """(T, C) of texts; what is longer than the text encoder reads is cut at its end.

        Raises `QuestionError` for an empty text.
        """
        if not texts or not all(text.strip() for text in texts):
            raise QuestionError("A text to search with is empty. Describe what to look for.")
        rows = []
        for first in range(0, len(texts), TEXT_BATCH):
            batch = self.tokenizer(
                list(texts[first : first + TEXT_BATCH]),
                padding=True,
                truncation=True,
                max_length=self.model.config.max_text_length,
                return_tensors="pt",
            ).to(self.model.device)
            features = self.model.get_text_features(batch["input_ids"], batch["attention_mask"])
            rows.append(features.float().cpu().numpy())
        found: Features = np.concatenate(rows)
        check_finite(found, "features")
        return found


def load_retriever(
    name_or_path: str | Path = "m3d-clip",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    hub: str | Path | None = None,
) -> Retriever:
    """M3D-CLIP by name, folder or hub id, from this computer.

    Raises `CheckpointError`, or `ResourceError` when it does not fit.
    """
    places = Hub(None if hub is None else Path(hub))
    checkpoint = open_checkpoint(find_model(name_or_path, places), places)
    if checkpoint.kind != "m3d-clip":
        raise CheckpointError(
            f"{checkpoint.folder} is a model of kind {checkpoint.kind!r}, which does not compare "
            "volumes with texts. Give the folder of M3D-CLIP."
        )
    where = choose_device(device)
    model = build(checkpoint, where, choose_dtype(dtype, where))
    config = checkpoint.config
    digest = weights_hash(checkpoint.files, checkpoint.folder, lambda fraction, what: None)
    info = ModelInfo(
        name=checkpoint.folder.name,
        kind=checkpoint.kind,
        is_demo=False,
        notice=RESEARCH_NOTICE,
        parameters=sum(p.numel() for p in model.parameters()),
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        has_scores=False,
        grid_shape=config.grid_shape,
        default_plane=Plane(config.default_plane) if config.default_plane else None,
        default_window=None if config.default_window is None else Window(*config.default_window),
        path=str(checkpoint.folder),
        weights_sha256=digest,
        licence=checkpoint.licence,
        notes=(f"Loaded from {checkpoint.folder}.", *checkpoint.notes),
        questions=(),
    )
    return Retriever(info, model, checkpoint.processor)


def rank_volumes(
    retriever: Retriever,
    text: str,
    folder: str | Path,
    *,
    window: Window | str | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Ranking:
    """All volumes below `folder`, nearest to `text` first.

    What cannot be read is named in the result and does not stop the others. Raises
    `QuestionError`, `ImageReadError` when nothing could be read, `Cancelled`.
    """
    wanted = retriever.text_features([text])[0]
    candidates, unreadable = find_candidates(Path(folder), cancelled)
    matches = []
    for number, candidate in enumerate(candidates):
        if progress is not None:
            progress(number / len(candidates), candidate.name)
        found = _compare(retriever, candidate, wanted, window, cancelled)
        if isinstance(found, Match):
            matches.append(found)
        else:
            unreadable.append(found)
    if not matches:
        raise ImageReadError(f"No volume below {folder} could be read. {' '.join(unreadable)}")
    matches.sort(key=lambda match: (-match.similarity, match.name))
    return Ranking(text, tuple(matches), tuple(unreadable))


def _compare(
    retriever: Retriever,
    candidate: Candidate,
    wanted: Features,
    window: Window | str | None,
    cancelled: Cancelled | None,
) -> Match | str:
    """The match of one candidate, or the sentence that says why there is none."""
    try:
        volume = candidate.load(cancelled)
        features = retriever.volume_features(volume, window=window)
    except InputError as error:
        return f"{candidate.name}: {error}"
    return Match(candidate.name, candidate.path, float(features @ wanted))


def nearest_texts(
    retriever: Retriever,
    volume: Volume | NDArray[np.generic],
    texts: Sequence[str],
    *,
    window: Window | str | None = None,
) -> tuple[Match, ...]:
    """The texts, nearest to the volume first; raises `QuestionError` for an empty one."""
    similarities = retriever.text_features(texts) @ retriever.volume_features(volume, window=window)
    order = np.argsort(-similarities, kind="stable")
    return tuple(Match(texts[k], "", float(similarities[k])) for k in order)


def read_texts(path: str | Path) -> list[str]:
    """Texts to compare with: a JSON list of strings, or a text file with one a line.

    Raises `InputError`.
    """
    file = Path(path)
    try:
        content = read_text(file)
        texts = json.loads(content) if file.suffix == ".json" else content.splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as texts: {error}.") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{file} is no JSON list of strings.")
    kept = [text.strip() for text in texts if text.strip()]
    if not kept:
        raise InputError(f"{file} holds no text. Write one a line.")
    return kept
