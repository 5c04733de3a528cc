"""Clinical metrics by other people's models: labels of a report, and what `radeval` measures.

Everything is computed on this computer, from weights that lie on it. What is missing is said, and
nothing takes its place; what would send text away is refused.
"""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.errors import CheckpointError, InputError
from med2e3.evaluation.clinical import LABELS, Marks

#: Where the classifier of CT-RATE's 18 labels lies (radeval's F1RadBERT-CT), by its hub id.
RADBERT = ("IAMJB/RadBERT-CT",)

#: Reports that the classifier reads at once, their longest length in tokens, and from which
#: probability a label is there; as radeval has them.
BATCH, LONGEST, THRESHOLD = 16, 512, 0.5

#: The metrics of radeval that can be asked for, and which of its figures each gives.
RADEVAL = {"radgraph": "radgraph_partial", "ratescore": "ratescore"}

Labeller = Callable[[Sequence[str]], Marks]


@dataclass(frozen=True)
class ClinicalMetrics:
    """What can be computed here: a labeller, and scorers of pairs; why the rest cannot."""

    labeller: Labeller | None = None
    scorers: dict[str, Callable[[Sequence[str], Sequence[str]], list[float]]] = field(
        default_factory=dict
    )
    missing: dict[str, str] = field(default_factory=dict)


def open_clinical(
    radbert: Path | None = None, radeval: Sequence[str] = (), hub: Path | None = None
) -> ClinicalMetrics:
    """The metrics that this computer allows; raises `InputError` for one that sends text away."""
    missing: dict[str, str] = {}
    labeller: Labeller | None = None
    found = find_radbert(radbert, hub)
    if isinstance(found, Path):
        labeller = RadBert(found)
    else:
        missing["Labels of reports (F1, CRG)"] = found
    scorers = {}
    for name in radeval:
        scorer = open_radeval(name)
        if isinstance(scorer, str):
            missing[name] = scorer
        else:
            scorers[name] = scorer
    return ClinicalMetrics(labeller, scorers, missing)


def find_radbert(folder: Path | None, hub: Path | None = None) -> Path | str:
    """The folder of the classifier, or the sentence that says what is missing."""
    if folder is not None:
        if (folder / "config.json").is_file():
            return folder
        return f"They need the classifier {RADBERT[0]}; {folder} holds no config.json."
    from med2e3.checkpoints import Hub

    for name in RADBERT:
        place = Hub(hub).repo(name)
        if place is not None and (place / "config.json").is_file():
            return place
    return (
        f"They need the classifier {RADBERT[0]}, which is not on this computer. Download it once "
        "and name its folder with --radbert."
    )


class RadBert:
    """A BERT that says which of the 18 labels a report has; it loads at the first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, reports: Sequence[str]) -> Marks:
        """Reports → (N, 18). Raises `CheckpointError` for a folder of another model."""
        import torch

        tokenizer, model = self._loaded = self._loaded or self._load()
        rows = []
        with torch.inference_mode():
            for first in range(0, len(reports), BATCH):
                batch = tokenizer(
                    list(reports[first : first + BATCH]), padding=True, truncation=True,
                    max_length=LONGEST, return_tensors="pt",
                )  # fmt: skip
                rows.append((model(**batch).logits.sigmoid() > THRESHOLD).numpy())
        return np.concatenate(rows) if rows else np.zeros((0, len(LABELS)), bool)

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from med2e3.model.inert import check_opened_by_library

        check_opened_by_library(self.folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModelForSequenceClassification.from_pretrained(
                self.folder, local_files_only=True
            ).eval()
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise CheckpointError(
                f"The classifier in {self.folder} cannot be loaded: {error}."
            ) from error
        if model.config.num_labels != len(LABELS):
            raise CheckpointError(
                f"The classifier in {self.folder} has {model.config.num_labels} labels; CT-RATE "
                f"has {len(LABELS)}. Name the folder of {RADBERT[0]}."
            )
        return tokenizer, model


def open_radeval(name: str) -> Callable[[Sequence[str], Sequence[str]], list[float]] | str:
    """A metric of radeval as a scorer, or the sentence that says what is missing.

    Raises `InputError` for a metric that would send text to a service, or that is not known.
    """
    if importlib.util.find_spec("radeval") is None:
        return (
            "radeval is not installed. Install it: pip install 'med2e3[clinical]'. "
            "Its weights must lie on this computer."
        )
    registry = importlib.import_module("radeval.metrics._registry")
    known = registry.METRIC_REGISTRY
    if name in known and getattr(registry.get_metric_class(name), "is_api_based", False):
        raise InputError(
            f"radeval's {name} sends reports to a service on the network; nothing here does. "
            f"Choose of: {', '.join(RADEVAL)}."
        )
    if name not in RADEVAL or name not in known:
        raise InputError(f"There is no metric {name!r} here. Choose of: {', '.join(RADEVAL)}.")
    try:
        with no_network():
            metric = registry.get_metric_class(name)()
    except Exception as error:  # libraries below it raise whatever they like for missing weights
        return f"Its weights cannot be loaded from this computer: {error}"

    def score(answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        with no_network():
            found = metric.compute(list(wanted), list(answers), per_sample=True)
        return [float(value) for value in found[RADEVAL[name]]]

    return score


@contextmanager
def no_network() -> Iterator[None]:
    """Nothing within can open a connection: reports are patients' data."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("a connection was refused: nothing here may reach the network")

    from huggingface_hub import constants

    before = (constants.HF_HUB_OFFLINE, socket.socket.connect, socket.socket.connect_ex)
    constants.HF_HUB_OFFLINE = True
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before[0]
        socket.socket.connect = before[1]  # type: ignore[method-assign]
        socket.socket.connect_ex = before[2]  # type: ignore[method-assign]
