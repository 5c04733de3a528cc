"""Fine-tuning a pretrained 3D encoder and the same one with random weights, on the same labels.

Tasks, ways and shares of labels are named values. Knows nothing of how figures are shown.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from med2e3.checkpoints.building import quietly
from med2e3.errors import DataError, InputError
from med2e3.evaluation.figures import Results
from med2e3.evaluation.transfer import (
    PRETRAINED,
    SCRATCH,
    Cases,
    Setting,
    can_measure_surfaces,
    overlap,
    transfer_results,
)
from med2e3.files import file_sha256
from med2e3.io.texts import kept_text
from med2e3.model.insight import (
    ClassificationModel,
    InsightModel,
    SegmentationModel,
    open_insight,
)
from med2e3.phantoms.slices import CLASSES, KIND_NAMES, SlicedPhantom, draw_sliced
from med2e3.training.precision import CPU, half_precision
from med2e3.volume import Window

#: First seeds of the phantoms with labels and of those that are measured; pretraining has others.
LABELLED_SEED, TEST_SEED = 31_000_000, 32_000_000

#: How the encoder is used, and the learning rate of each: frozen under a linear head, or tuned.
MODES: dict[str, float] = {"linear probe": 1e-2, "fine-tuning": 2e-3}

#: The way that leaves the encoder as it is.
PROBE = "linear probe"

#: Cases that pass a model at a time.
BATCH = 4

#: Share of the steps in which the learning rate rises.
WARMUP = 0.1


@dataclass(frozen=True, eq=False)
class LabelledVolumes:
    """Volumes (N, S, H, W) uint8 with classes of voxels, findings (N, K), and spacing in mm."""

    volumes: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    findings: NDArray[np.bool_]
    spacing_mm: tuple[tuple[float, float, float], ...]

    @classmethod
    def of(cls, phantoms: Sequence[SlicedPhantom]) -> LabelledVolumes:
        """The phantoms' own truth."""
        return cls(
            np.stack([p.grid for p in phantoms]),
            np.stack([p.classes for p in phantoms]),
            np.stack([p.present for p in phantoms]),
            tuple(p.spacing_mm for p in phantoms),
        )

    def first(self, count: int) -> LabelledVolumes:
        """The first so many."""
        return LabelledVolumes(
            self.volumes[:count], self.classes[:count], self.findings[:count],
            self.spacing_mm[:count],
        )  # fmt: skip


@dataclass(frozen=True)
class TransferPlan:
    """What is fine-tuned: `labelled` cases are 100 % of the labels; `test` are measured."""

    tasks: tuple[str, ...] = ("segmentation", "classification")
    modes: tuple[str, ...] = tuple(MODES)
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    labelled: int = 100
    test: int = 50
    steps: int = 100
    seeds: int = 1
    seed: int = 1

    def settings(self) -> Iterator[Setting]:
        """Every fine-tuning, scratch before pretrained."""
        for task in self.tasks:
            for mode in self.modes:
                for fraction in self.fractions:
                    for seed in range(self.seed, self.seed + self.seeds):
                        for start in (SCRATCH, PRETRAINED):
                            yield Setting(task, mode, start, fraction, seed)


@dataclass(frozen=True)
class Task:
    """A downstream task: its model, how many outputs, its loss and what is measured of a case."""

    model: Callable[[Any, int], nn.Module]
    outputs: int
    loss: Callable[[Tensor, LabelledVolumes, NDArray[np.int64]], Tensor]
    score: Callable[[Tensor, LabelledVolumes, int], dict[str, float | None]]


def segmentation_loss(logits: Tensor, data: LabelledVolumes, rows: NDArray[np.int64]) -> Tensor:
    """Cross entropy and soft Dice of the classes that the batch holds, the background aside."""
    truth = torch.from_numpy(data.classes[rows].astype(np.int64)).to(logits.device)
    entropy = F.cross_entropy(logits, truth)
    share = logits.softmax(1).transpose(0, 1).flatten(1)
    held = F.one_hot(truth, logits.shape[1]).permute(4, 0, 1, 2, 3).flatten(1).to(share.dtype)
    both = 2 * (share * held).sum(1) / (share.sum(1) + held.sum(1)).clamp_min(1e-6)
    there = held.sum(1) > 0
    there[0] = False
    return entropy + (1 - both[there]).mean() if there.any() else entropy


def classification_loss(logits: Tensor, data: LabelledVolumes, rows: NDArray[np.int64]) -> Tensor:
    """Binary cross entropy of every finding."""
    truth = torch.from_numpy(data.findings[rows]).to(logits.device)
    return F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype))


def _overlap(logits: Tensor, data: LabelledVolumes, case: int) -> dict[str, float | None]:
    said = logits.argmax(0).cpu().numpy().astype(np.uint8)
    return overlap(
        data.classes[case], said, data.spacing_mm[case], CLASSES, surfaces=can_measure_surfaces()
    )  # fmt: skip


def _findings(logits: Tensor, data: LabelledVolumes, case: int) -> dict[str, float | None]:
    return {str(k): round(float(v), 5) for k, v in enumerate(logits)}


#: Name on the command line → the task.
TASKS: dict[str, Task] = {
    "segmentation": Task(SegmentationModel, len(CLASSES), segmentation_loss, _overlap),
    "classification": Task(
        ClassificationModel, len(KIND_NAMES), classification_loss, _findings
    ),
}  # fmt: skip


def check_labels(task: str, data: LabelledVolumes) -> None:
    """Raises `DataError` for labels from which the task cannot be learned, or sizes that differ."""
    if len(data.volumes) == 0:
        raise DataError(f"There is no labelled volume to learn {task} from.")
    if data.classes.shape != data.volumes.shape:
        raise DataError(
            f"Volumes of shape {data.volumes.shape} and classes of shape {data.classes.shape} do "
            "not belong together."
        )
    if task == "segmentation" and len(held := np.unique(data.classes)) < 2:
        raise DataError(
            f"All {len(data.classes)} labelled volumes hold the one class “{CLASSES[int(held[0])]}”"
            ": there is nothing to tell apart. Add volumes in which another class is marked."
        )


def fit(
    encoder: Any, setting: Setting, train: LabelledVolumes, test: LabelledVolumes, steps: int
) -> Cases:
    """Trains the task's head, and the encoder where it is not frozen; returns the test cases.

    Raises `DataError` for labels that hold one class alone.
    """
    task = TASKS[setting.task]
    check_labels(setting.task, train)
    torch.manual_seed(setting.seed)
    model: Any = task.model(encoder, task.outputs)
    frozen = setting.mode == PROBE
    trained = model.head if frozen else model
    if frozen:
        encoder.eval()
        seen = _features(model, train)
    optimizer = torch.optim.AdamW(trained.parameters(), MODES[setting.mode], weight_decay=0.01)
    rng = np.random.default_rng([setting.seed, 17])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = MODES[setting.mode] * _rate(step, steps)
        rows = rng.choice(len(train.volumes), BATCH, replace=len(train.volumes) < BATCH)
        with half_precision(CPU):
            logits = model.head(seen[rows]) if frozen else model(_batch(train, rows))
        loss = task.loss(logits.float(), train, rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
    return _measure(model, task, test)


def _rate(step: int, steps: int) -> float:
    """A linear rise, then a cosine to 0."""
    rise = max(1, round(WARMUP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _batch(data: LabelledVolumes, rows: Any) -> Tensor:
    return torch.from_numpy(data.volumes[rows]).float()[:, None] / 255


@torch.inference_mode()
def _features(model: Any, data: LabelledVolumes) -> Tensor:
    """What a frozen encoder makes of all cases, once."""
    found = []
    for start in range(0, len(data.volumes), BATCH):
        with half_precision(CPU):
            found.append(model.features(_batch(data, slice(start, start + BATCH))).float())
    return torch.cat(found)


@torch.inference_mode()
def _measure(model: Any, task: Task, data: LabelledVolumes) -> list[dict[str, float | None]]:
    model.eval()
    found = []
    for start in range(0, len(data.volumes), BATCH):
        with half_precision(CPU):
            logits = model(_batch(data, slice(start, start + BATCH))).float()
        found += [task.score(one, data, start + k) for k, one in enumerate(logits)]
    return found


def run_transfer(
    folder: Path,
    plan: TransferPlan,
    kept: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Results:
    """Fine-tunes as planned from the encoder in `folder`, and from random weights.

    `kept` is a file of a line for each fine-tuning that is done: those that are there are not done
    again. Raises `CheckpointError` for another folder, and `InputError` where `kept` is of another
    encoder or plan.
    """
    with quietly():
        source = open_insight(folder)
    made_of = _made_of(folder, plan)
    done = read_kept(kept, made_of)
    shape, window = source.config.grid_shape, _window(source)
    data = [
        LabelledVolumes.of([draw_sliced(first + k, shape, window) for k in range(count)])
        for first, count in ((LABELLED_SEED, plan.labelled), (TEST_SEED, plan.test))
    ]
    settings = list(plan.settings())
    for number, setting in enumerate(settings):
        if setting not in done:
            train = data[0].first(max(1, round(setting.fraction * plan.labelled)))
            encoder = _encoder(source, setting)
            done[setting] = fit(encoder, setting, train, data[1], plan.steps)
            if kept is not None:
                _keep(kept, made_of, setting, done[setting])
        if progress:
            said = f"{setting.task}, {setting.row}, {setting.start}"
            progress((number + 1) / len(settings), said)
    what = (
        f"Transfer of {folder}: {plan.labelled} labelled and {plan.test} measured phantoms, "
        f"{plan.steps} steps, {plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    )
    chosen = {setting: done[setting] for setting in settings}
    return transfer_results(str(folder), what, asdict(plan), chosen, data[1].findings)


def _encoder(source: InsightModel, setting: Setting) -> Any:
    """The pretrained encoder, or the same one with random weights."""
    if setting.start == PRETRAINED:
        return copy.deepcopy(source.encoder)
    torch.manual_seed(setting.seed)
    return InsightModel(source.config).encoder


def _window(model: InsightModel) -> Window:
    said = model.config.default_window
    if said is None:
        raise InputError(
            "The encoder's config names no window (default_window), so phantoms cannot be shown to "
            "it as it was trained. Write centre and width there."
        )
    return Window(float(said[0]), float(said[1]))


def _made_of(folder: Path, plan: TransferPlan) -> dict[str, Any]:
    """What a line of a file of results depends on, beside its own setting."""
    return {
        "weights": file_sha256(folder / "model.safetensors"),
        "labelled": plan.labelled, "test": plan.test, "steps": plan.steps,
    }  # fmt: skip


def read_kept(path: Path | None, made_of: dict[str, Any]) -> dict[Setting, Cases]:
    """What a file of results holds; a last line that was cut short counts for nothing."""
    if path is None or not path.is_file():
        return {}
    done: dict[Setting, Cases] = {}
    lines = kept_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            setting, cases, own = Setting(**said["setting"]), said["cases"], said["made_of"]
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise InputError(
                f"{path}, line {number} is no result of a transfer ({error}). Delete the line."
            ) from error
        if own != made_of:
            raise InputError(
                f"{path}, line {number} is of another encoder or plan ({own}, and not {made_of}). "
                "Name another file."
            )
        done[setting] = cases
    return done


def _keep(path: Path, made_of: dict[str, Any], setting: Setting, cases: Cases) -> None:
    line = json.dumps({"setting": asdict(setting), "made_of": made_of, "cases": list(cases)})
    before = kept_text(path) if path.is_file() else ""
    cut = before and not before.endswith("\n")
    with path.open("w" if cut else "a", encoding="utf-8") as stream:
        if cut:
            stream.write(before[: before.rfind("\n") + 1])
        stream.write(line + "\n")
