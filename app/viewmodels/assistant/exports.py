"""What an answer can be exported as: a CSV row a model slice, its record as JSON, a figure.

`FORMATS` is the table that the menu follows. Knows no files.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.core.exporting import ExportFormat, MadeFormat, MakeFile, TextFormat
from med2e3.errors import InputError
from med2e3.figures import save_figure, score_figure

#: Columns of the CSV. Slices count from 1 in display order, as in the window; mm are LPS.
COLUMNS = (
    "model_slice",
    "plane",
    "axis_from_mm",
    "axis_to_mm",
    "first_slice",
    "last_slice",
    "weight",
    "times_uniform",
    "sop_instance_uids",
    "cautions",
)


#: Stands below the copied text of an answer that did not come to its own end.
PARTIAL = "[PARTIAL — this answer stopped before its end.]"


def answer_text(turn: Turn) -> str:
    """The text of an answer for the clipboard with what belongs to it, marked if not complete."""
    return "\n".join([turn.text, *([] if turn.complete else [PARTIAL]), *turn.cautions])


def scores_csv(turn: Turn) -> str:
    """The scores of a turn as CSV; only the header if it has none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    if turn.seen is not None and turn.scores is not None:
        uids = turn.seen.volume.in_plane(turn.seen.plane).slice_uids
        for band, weight, times in zip(
            turn.seen.bands, turn.scores.values, turn.scores.times_uniform, strict=True
        ):
            first, last = band.view_slices
            writer.writerow(
                [
                    band.model_slice + 1,
                    turn.seen.plane,
                    f"{band.from_mm:.3f}",
                    f"{band.to_mm:.3f}",
                    first + 1,
                    last + 1,
                    f"{weight:.8g}",
                    f"{times:.6g}",
                    " ".join(uids[first : last + 1]),
                    " ".join(turn.cautions),
                ]
            )
    return out.getvalue()


def record_json(turn: Turn) -> str:
    """Everything needed to repeat the answer."""
    return json.dumps(turn.record, indent=2, ensure_ascii=False) + "\n"


def scores_figure(turn: Turn) -> MakeFile:
    """What draws the scores of a turn into a file.

    It raises `InputError` where the volume that they lie in is not open any more.
    """
    question, seen, scores = turn.question, turn.seen, turn.scores
    heading = "\n".join([question, *turn.cautions])

    def make(path: Path) -> str:
        if seen is None or scores is None:
            raise InputError(
                f"The scores of “{question}” cannot be drawn: the series that they lie in is not "
                "open any more. Open it and ask again."
            )
        save_figure(score_figure([(heading, scores)], seen.plane), path)
        return ""

    return make


#: Every format of an answer, in the order of the menu.
FORMATS: tuple[ExportFormat[Turn], ...] = (
    TextFormat("Copy the record (JSON)", record_json),
    TextFormat("Save the scores…", scores_csv, "scores.csv"),
    TextFormat("Save the record…", record_json, "answer.json"),
    MadeFormat(
        "Save the figure…",
        scores_figure,
        "scores.png",
        "PNG (*.png);;SVG (*.svg);;PDF (*.pdf)",
    ),
)
