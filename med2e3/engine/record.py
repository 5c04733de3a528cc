"""The record of an answer: what is needed to repeat it, and to know what it was about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

import med2e3
from med2e3.engine.grounding import Box, Mask

if TYPE_CHECKING:
    from med2e3.engine.answer import Answer
    from med2e3.engine.session import Session


def make_record(session: Session, answer: Answer, left_out: list[int]) -> dict[str, Any]:
    """A dict of plain values; `scores` in full precision, lengths in mm, slices 0-based."""
    info = session.model.info
    return {
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
        "input": _input(session),
        "question": answer.asked.question,
        "scored_by": answer.asked.guide,
        "history": [list(turn) for turn in answer.asked.turns[:-1]],
        "prompt_ids": list(answer.asked.ids),
        "left_out": left_out,
        "decoding": {
            "max_new_tokens": answer.max_new_tokens,
            "temperature": answer.decoding.temperature,
            "top_p": answer.decoding.top_p,
            "seed": answer.decoding.seed,
        },
        "scores": _scores(session, answer),
        "boxes": [_box(box) for box in answer.boxes],
        "masks": [_mask(mask) for mask in answer.masks],
        "answer": answer.text,
        "token_ids": list(answer.token_ids),
        "token_probabilities": list(answer.token_probabilities),
        "finish_reason": answer.finish_reason,
        "seconds_to_first_token": answer.seconds_to_first_token,
        "seconds": answer.seconds,
    }


def _input(session: Session) -> dict[str, Any]:
    given, volume = session.input, session.volume
    window = None if given.window is None else [given.window.centre, given.window.width]
    return {
        "source": volume.source,
        "study_uid": volume.info.study_uid,
        "series_uid": volume.info.series_uid,
        "shape": list(volume.shape),
        "plane": str(given.plane),
        "window_centre_width": window,
        "grid_shape": list(session.model.info.grid_shape),
        "grid_affine_lps": given.geometry.affine_lps.tolist(),
        "crop_start": list(given.crop_start),
        "crop_shape": list(given.crop_shape),
        "unread_slices": list(given.unread_slices),
        "warnings": list(volume.warnings),
    }


def _box(box: Box) -> dict[str, Any]:
    """Fractions of the model's grid as written, and where the box lies."""
    return {
        "fractions": [list(end) for end in box.fractions],
        "centre_mm": box.centre_mm.tolist(),
        "corners_mm": box.corners_mm.tolist(),
    }


def _mask(mask: Mask) -> dict[str, Any]:
    """Size and place; the voxels themselves are in `Answer.masks`."""
    centre = mask.centre_mm
    return {
        "millilitres": mask.millilitres,
        "centre_mm": None if centre is None else centre.tolist(),
    }


def _scores(session: Session, answer: Answer) -> dict[str, Any] | None:
    if answer.scores is None:
        return None
    uids = session.volume.slice_uids
    stacked = session.input.plane == session.volume.geometry.plane
    bands = []
    for k, band in enumerate(answer.scores.bands):
        first, last = band.source_slices
        bands.append(
            {
                "model_slice": band.model_slice,
                "weight": float(answer.scores.values[k]),
                "from_mm": band.from_mm,
                "to_mm": band.to_mm,
                "source_slices": [first, last],
                "sop_instance_uids": list(uids[first : last + 1]) if stacked else [],
            }
        )
    return {"effective_slices": answer.scores.effective_slices, "bands": bands}
