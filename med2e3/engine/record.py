"""Records an answer in plain values: what repeats it, and which images it is about."""

from __future__ import annotations

from typing import Any

import torch
import transformers

import med2e3
from med2e3.engine.answer import Answer
from med2e3.engine.grounding import Box, Mask
from med2e3.engine.info import ModelInfo
from med2e3.engine.scores import Scores
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume

#: The version of the record's fields; a reader refuses any other.
FORMAT = 1


def make_record(
    info: ModelInfo,
    volume: Volume,
    model_input: ModelInput,
    answer: Answer,
    left_out: list[int],
    cautions: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A dict of plain values; `scores` in full precision, lengths in mm, slices 0-based.

    `model_input` is what the model saw of `volume`; `left_out` are model slices without weight.
    `cautions` are sentences that belong to every answer about the volume.
    """
    return {
        "format": FORMAT,
        "model": {
            "name": info.name,
            "kind": info.kind,
            "weights_sha256": info.weights_sha256,
            "device": info.device,
            "dtype": info.dtype,
            "quantize": info.quantize,
            "is_demo": info.is_demo,
        },
        "versions": {
            "med2e3": med2e3.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "input": _input(volume, model_input),
        "cautions": list(cautions),
        "question": answer.prompt.question,
        "scored_by": answer.prompt.guide,
        "history": [list(turn) for turn in answer.prompt.turns[:-1]],
        "prompt_ids": list(answer.prompt.ids),
        "left_out": left_out,
        "decoding": {
            "max_new_tokens": answer.max_new_tokens,
            "temperature": answer.sampling.temperature,
            "top_p": answer.sampling.top_p,
            "seed": answer.sampling.seed,
        },
        "scores": _scores(answer.scores, volume, model_input),
        "boxes": [_box(box) for box in answer.boxes],
        "masks": [_mask(mask) for mask in answer.masks],
        "answer": answer.text,
        "token_ids": list(answer.token_ids),
        "token_probabilities": list(answer.token_probabilities),
        "finish_reason": answer.finish_reason,
        "seconds_to_first_token": answer.seconds_to_first_token,
        "seconds": answer.seconds,
    }


def _input(volume: Volume, model_input: ModelInput) -> dict[str, Any]:
    """Where the volume comes from, and which part of it the model saw, in which window."""
    window = model_input.window
    return {
        "source": volume.source,
        "study_uid": volume.info.study_uid,
        "series_uid": volume.info.series_uid,
        "shape": list(volume.shape),
        "plane": str(model_input.plane),
        "window_centre_width": None if window is None else [window.centre, window.width],
        "grid_sha256": model_input.sha256,
        "grid_shape": list(model_input.grid.shape[-3:]),
        "grid_affine_lps": model_input.geometry.affine_lps.tolist(),
        "crop_start": list(model_input.crop_start),
        "crop_shape": list(model_input.crop_shape),
        "unread_slices": list(model_input.unread_slices),
        "warnings": list(volume.warnings),
    }


def _box(box: Box) -> dict[str, Any]:
    """Fractions of the model's grid as the answer has them, and the place in the patient in mm."""
    return {
        "fractions": [list(end) for end in box.fractions],
        "centre_mm": box.centre_mm.tolist(),
        "corners_mm": box.corners_mm.tolist(),
    }


def _mask(mask: Mask) -> dict[str, Any]:
    """Volume and centre of a mask; its voxels are in `Answer.masks` alone."""
    centre = mask.centre_mm
    return {
        "millilitres": mask.millilitres,
        "centre_mm": None if centre is None else centre.tolist(),
    }


def _scores(
    scores: Scores | None, volume: Volume, model_input: ModelInput
) -> dict[str, Any] | None:
    """Each model slice's weight, and the slices of the series that it was made from."""
    if scores is None:
        return None
    uids = volume.slice_uids
    stacked = model_input.plane == volume.geometry.plane
    bands = []
    for k, band in enumerate(scores.bands):
        first, last = band.source_slices
        bands.append(
            {
                "model_slice": band.model_slice,
                "weight": float(scores.values[k]),
                "logit": None if scores.logits is None else float(scores.logits[k]),
                "from_mm": band.from_mm,
                "to_mm": band.to_mm,
                "source_slices": [first, last],
                "sop_instance_uids": list(uids[first : last + 1]) if stacked else [],
            }
        )
    return {"effective_slices": scores.effective_slices, "bands": bands}
