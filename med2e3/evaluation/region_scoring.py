"""Figures of answers about regions: boxes, names and masks, by the published rules and corrected.

Knows nothing of files, nor of how a model is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from med2e3.evaluation.figures import Section
from med2e3.evaluation.intervals import Estimate, estimate
from med2e3.evaluation.m3d_region_files import REFERRING, TOPICS
from med2e3.evaluation.metrics import box_iou, enclosing_overlap
from med2e3.model.regions import box_in

Line = dict[str, Any]

#: What the published evaluation writes where a box is missing on either side, and keeps.
NO_BOX = -1.0

#: Topics of boxes that a model writes, and of masks that it draws.
BOXES = tuple(topic for (kind, _), topic in TOPICS.items() if kind == "REC")
MASKS = (*(topic for (kind, _), topic in TOPICS.items() if kind == "SEG"), REFERRING)

SECTIONS = (
    Section(
        "Boxes (REC)",
        BOXES,
        (
            ("published rule", "{row}, enclosing overlap"),
            ("intersection over union", "{row}, IoU"),
            ("absence told", "{row}, absent"),
        ),
        "Published: intersection over the smallest box around both, called IoU there; −1 where "
        "either side writes no box, and averaged. Corrected: intersection over union with whole "
        "voxels, 0 without a box, of classes that are there; of those that are not, the share of "
        "answers without a box.",
    ),
    Section(
        "Masks",
        MASKS,
        (
            ("published rule", "{row}, soft Dice"),
            ("Dice", "{row}, Dice"),
            ("mask drawn", "{row}, drawn"),
        ),
        "Published: Dice of probabilities, never thresholded, with 1 added below; 0 without [SEG]. "
        "Corrected: of voxels above one half; 1 where nothing is there and nothing is drawn.",
    ),
)


def count_regions(lines: Sequence[Line]) -> dict[str, Estimate | None]:
    """Every figure of boxes and masks that these lines allow."""
    figures: dict[str, Estimate | None] = {}
    for topic in BOXES:
        own = [line for line in lines if line["topic"] == topic]
        there = [line for line in own if box_in(line["truth"])]
        gone = [line for line in own if not box_in(line["truth"])]
        figures[f"{topic}, enclosing overlap"] = _mean(own, _published)
        figures[f"{topic}, IoU"] = _mean(there, _iou)
        figures[f"{topic}, absent"] = _mean(gone, lambda k: float(box_in(k["answer"]) is None))
    for topic in MASKS:
        drawn = [line for line in lines if line["topic"] == topic and "dice" in line]
        figures[f"{topic}, soft Dice"] = _mean(drawn, lambda k: float(k["soft_dice"]))
        figures[f"{topic}, Dice"] = _mean(drawn, lambda k: float(k["dice"]))
        figures[f"{topic}, drawn"] = _mean(drawn, lambda k: float(k["mask"]))
    return figures


def _published(line: Line) -> float:
    said, wanted = box_in(line["answer"]), box_in(line["truth"])
    return NO_BOX if said is None or wanted is None else enclosing_overlap(said, wanted)


def _iou(line: Line) -> float:
    said, wanted = box_in(line["answer"]), box_in(line["truth"])
    return 0.0 if said is None or wanted is None else box_iou(said, wanted, line["grid"] or None)


def _mean(lines: Sequence[Line], score: Callable[[Line], float]) -> Estimate | None:
    cases: dict[str, list[float]] = {}
    for line in lines:
        cases.setdefault(line["case"] or line["image"], []).append(score(line))
    return estimate(list(cases.values()))
