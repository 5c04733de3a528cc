"""Evidence as files: CSV, JSON, NPZ and Parquet tables, NIfTI and DICOM Parametric Map as images.

Every table holds raw logits and scores, limits in mm, SOP Instance UIDs, and the whole record:
affine, crop, plane, window, prompt, ids, decoding, seed, hashes, versions and test results.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.engine import Answer, Session
from med2e3.errors import InputError, QuestionError, ResourceError
from med2e3.evidence.attention import Attention
from med2e3.evidence.certainty import Certainty
from med2e3.evidence.faithfulness import Faithfulness
from med2e3.evidence.leave_one_out import LeaveOneOut
from med2e3.evidence.outcomes import Outcome
from med2e3.evidence.values import plain
from med2e3.files import whole_file, write_whole
from med2e3.io.write import nifti_image
from med2e3.volume import Volume

#: The version of the fields of the JSON object.
FORMAT = 1

#: Columns of the tables, one row a question and model slice; `object` is in the first row of each
#: question: all else that is known of it, as JSON.
COLUMNS = (
    "question", "answer", "model_slice", "score", "logit", "times_uniform", "from_mm", "to_mm",
    "source_first", "source_last", "sop_instance_uids", "probability_without", "plane",
    "weights_sha256", "seed", "object",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Collected:
    """All that was found of one answer, which is complete and of `session`."""

    session: Session
    answer: Answer
    certainty: Certainty | None = None
    outcomes: tuple[Outcome, ...] = ()
    left_out: LeaveOneOut | None = None
    faithfulness: Faithfulness | None = field(default=None)
    attention: Attention | None = None
    #: Why no attention could be had exactly, where it was wanted.
    no_attention: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        found: dict[str, Any] = {"format": FORMAT, "record": self.answer.record}
        if self.certainty is not None:
            found["certainty"] = plain(self.certainty) | {"sentence": self.certainty.sentence}
        if self.outcomes:
            found["tests"] = [plain(o) | {"sentence": o.sentence} for o in self.outcomes]
        if self.left_out is not None:
            found["leave_one_out"] = plain(self.left_out)
        if self.faithfulness is not None:
            told = {"sentence": self.faithfulness.sentence}
            found["faithfulness"] = plain(self.faithfulness) | told
        if self.attention is not None or self.no_attention:
            why_not = {"why_not": self.no_attention}
            found["attention"] = why_not if self.attention is None else self.attention.as_dict()
        return plain(found)  # type: ignore[no-any-return]


def rows_of(collected: Collected) -> list[dict[str, Any]]:
    """One row a model slice with the `COLUMNS`; one row alone for a model without slice scores."""
    record = collected.answer.record
    shared = {
        "question": record["question"],
        "answer": record["answer"],
        "plane": record["input"]["plane"],
        "weights_sha256": record["model"]["weights_sha256"],
        "seed": record["decoding"]["seed"],
    }
    whole = json.dumps(collected.as_dict(), ensure_ascii=False)
    if record["scores"] is None:
        return [dict.fromkeys(COLUMNS) | shared | {"sop_instance_uids": [], "object": whole}]
    bands = record["scores"]["bands"]
    without = collected.left_out.without if collected.left_out else (None,) * len(bands)
    return [
        {
            **shared,
            "model_slice": band["model_slice"],
            "score": band["weight"],
            "logit": band["logit"],
            "times_uniform": band["weight"] * len(bands),
            "from_mm": band["from_mm"],
            "to_mm": band["to_mm"],
            "source_first": band["source_slices"][0],
            "source_last": band["source_slices"][1],
            "sop_instance_uids": list(band["sop_instance_uids"]),
            "probability_without": without[k],
            "object": whole if k == 0 else None,
        }
        for k, band in enumerate(bands)
    ]


def write_evidence(collected: Sequence[Collected], path: Path) -> None:
    """Write a file of the kind that its name ends in; whole, or not at all.

    Tables and JSON take several questions, images one. Raises `InputError` for another ending and
    where the file cannot be written, `ResourceError` where a library of the extra `evidence` is
    missing, and `QuestionError` for an image of an answer without slice scores.
    """
    check_path(path)
    if not collected:
        raise InputError("There is no answer to write; ask a question first.")
    writer = WRITERS[_ending(path)]
    try:
        writer(collected, path)
    except OSError as error:
        raise InputError(f"The evidence cannot be written to {path}: {error}.") from error


def check_path(path: Path) -> None:
    """Raises `InputError` when no evidence can be written as `path`: its ending, or no folder."""
    if not _ending(path):
        raise InputError(
            f"“{path.name}” is of no kind that evidence is written as. "
            f"End its name in {', '.join(WRITERS)}."
        )
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder {path.parent} for {path.name}; make it first.")


def weight_volume(session: Session, answer: Answer) -> Volume:
    """The slice weights on the grid of the source volume, float32.

    Each slice has the weight of its band; where several bands fall onto one slice, their sum. What
    the crop cut away has 0. Raises `QuestionError` for an answer without slice scores.
    """
    if answer.scores is None:
        raise QuestionError(
            "This answer has no slice scores, so there are no weights to draw. "
            "Ask a model that has them."
        )
    given, volume = session.input, session.volume
    values = np.zeros(volume.shape, dtype=np.float32)
    view = volume.geometry.orientation(given.plane).apply(values)
    start, size = given.crop_start, given.crop_shape
    rows = slice(start[1], start[1] + size[1])
    columns = slice(start[2], start[2] + size[2])
    for band, weight in zip(answer.scores.bands, answer.scores.values, strict=True):
        first, last = band.view_slices
        view[first : last + 1, rows, columns] += weight
    return Volume(values, volume.geometry, volume.info, volume.slice_uids, volume.source)


def _write_csv(collected: Sequence[Collected], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in collected:
        for row in rows_of(one):
            uids = " ".join(row["sop_instance_uids"])
            writer.writerow(row | {"sop_instance_uids": uids})
    write_whole(path, text.getvalue())


def _write_json(collected: Sequence[Collected], path: Path) -> None:
    found = [one.as_dict() for one in collected]
    value = found[0] if len(found) == 1 else found
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _write_npz(collected: Sequence[Collected], path: Path) -> None:
    """Arrays by name, the questions along the first axis; `objects` holds the JSON of each."""
    arrays: dict[str, NDArray[Any]] = {
        "objects": np.array([json.dumps(one.as_dict(), ensure_ascii=False) for one in collected]),
        "questions": np.array([one.answer.prompt.question for one in collected]),
    }
    scored = [one for one in collected if one.answer.scores is not None]
    if len(scored) == len(collected):
        arrays |= _score_arrays(scored)
    for number, one in enumerate(collected):
        record = one.answer.record
        arrays[f"prompt_ids_{number}"] = np.array(record["prompt_ids"], dtype=np.int64)
        arrays[f"token_ids_{number}"] = np.array(record["token_ids"], dtype=np.int64)
        arrays[f"token_probabilities_{number}"] = np.array(record["token_probabilities"])
        arrays |= _attention_arrays(one.attention, number)
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _score_arrays(collected: Sequence[Collected]) -> dict[str, NDArray[Any]]:
    first = collected[0].answer.record
    bands = first["scores"]["bands"]
    scores = [one.answer.scores for one in collected]
    return {
        "scores": np.stack([s.values for s in scores if s is not None]),
        "logits": np.stack([s.logits for s in scores if s is not None and s.logits is not None]),
        "limits_mm": np.array([(band["from_mm"], band["to_mm"]) for band in bands]),
        "source_slices": np.array([band["source_slices"] for band in bands]),
        "grid_affine_lps": np.array(first["input"]["grid_affine_lps"]),
        "crop_start": np.array(first["input"]["crop_start"]),
        "crop_shape": np.array(first["input"]["crop_shape"]),
    }


def _attention_arrays(found: Attention | None, number: int) -> dict[str, NDArray[Any]]:
    """Maps of all words (W, slices, rows, columns), the words, and where the cells lie."""
    if found is None:
        return {}
    arrays: dict[str, NDArray[Any]] = {f"attention_words_{number}": np.array(found.words)}
    each = {
        "slices": (found.slices, found.slices_grid),
        "volume": (found.volume, found.volume_grid),
    }
    for name, (of_word, grid) in each.items():
        maps = [of_word(k) for k in range(len(found.words))]
        if grid is not None and maps[0] is not None:
            arrays[f"attention_{name}_{number}"] = np.stack([m for m in maps if m is not None])
            arrays[f"attention_{name}_affine_lps_{number}"] = grid.affine_lps
    return arrays


def _write_parquet(collected: Sequence[Collected], path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ResourceError(
            f"{path.name} needs the library pyarrow, which is not installed. "
            "Install it with `pip install 'med2e3[evidence]'`, or write CSV."
        ) from error
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    types = dict.fromkeys(COLUMNS, text)
    types |= dict.fromkeys(
        ("score", "logit", "times_uniform", "from_mm", "to_mm", "probability_without"), number
    )
    types |= dict.fromkeys(("model_slice", "source_first", "source_last", "seed"), whole)
    types["sop_instance_uids"] = pyarrow.list_(text)
    schema = pyarrow.schema([(name, types[name]) for name in COLUMNS])
    rows = [row for one in collected for row in rows_of(one)]
    with whole_file(path) as draft:
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), draft)


def _write_nifti(collected: Sequence[Collected], path: Path) -> None:
    one = _only(collected, path)
    image = nifti_image(weight_volume(one.session, one.answer))
    # The draft's name has another ending, by which nibabel would choose the format.
    content = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    write_whole(path, content)


def _write_dicom(collected: Sequence[Collected], path: Path) -> None:
    from med2e3.evidence.parametric_map import parametric_map

    one = _only(collected, path)
    found = parametric_map(weight_volume(one.session, one.answer), one.answer)
    with whole_file(path) as draft:
        found.save_as(draft, enforce_file_format=True)


def _only(collected: Sequence[Collected], path: Path) -> Collected:
    if len(collected) != 1:
        raise InputError(
            f"{path.name} holds the weights of one question, and {len(collected)} were asked. "
            "Write one file a question."
        )
    return collected[0]


#: The kinds of files by how their names end.
WRITERS: dict[str, Callable[[Sequence[Collected], Path], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".nii.gz": _write_nifti,
    ".nii": _write_nifti,
    ".dcm": _write_dicom,
}


def _ending(path: Path) -> str:
    return next((e for e in WRITERS if path.name.lower().endswith(e)), "")
