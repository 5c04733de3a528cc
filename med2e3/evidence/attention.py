"""Where in the patient the language model attends to while it says each word. Not proof.

For a word: the attention of the rows that predict its tokens, mean over layers and heads. What goes
to the 2D tokens is shared among the slices by their scores, because each token is the sum of all
slices' tokens, weighed by them; what goes to the 3D tokens lies in their cells. A token's cell is
its own patch, but the encoder has let it see the others, so a map says where the model read, and
not what an answer depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.engine import Answer, Session
from med2e3.engine.attending import Attended, attend
from med2e3.engine.interruption import StopCheck, stop_if
from med2e3.errors import QuestionError
from med2e3.evidence.answer_words import word_spans
from med2e3.evidence.probing import Probe, keep_mask
from med2e3.geometry import Geometry
from med2e3.preprocessing import ModelInput, resized_geometry
from med2e3.volume import Volume

Float = NDArray[np.float32]

#: What stands beside every map.
NOTE = "attention, not proof"

#: How far a probability may be from the one recorded with the answer: rounding of another order of
#: sums. In 16 bits a logit near 16 has steps of 1/8, which moves a probability of a half by 0.03.
CLOSE, CLOSE_16_BITS = 1e-3, 0.05


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of an answer's words to the volume.

    `to_slices` (W, rows, columns) is that to the 2D tokens, `scores` (S,) shares it among slices;
    `to_volume` (W, slices, rows, columns) is that to the 3D tokens. Each is None where the model
    has no such tokens, or where they have no one place. A word of several tokens has their mean.
    `slices_grid` and `volume_grid` place the cells in the patient. `difference` is the largest one
    between a probability of this pass and the recorded one.
    """

    words: tuple[str, ...]
    scores: Float | None
    to_slices: Float | None
    to_volume: Float | None
    slices_grid: Geometry | None
    volume_grid: Geometry | None
    difference: float

    def slices(self, word: int) -> Float | None:
        """(S, rows, columns): attention to the 2D tokens times the slice scores."""
        if self.to_slices is None or self.scores is None:
            return None
        return np.asarray(self.scores[:, None, None] * self.to_slices[word], np.float32)

    def volume(self, word: int) -> Float | None:
        """(slices, rows, columns): attention to the 3D tokens."""
        return None if self.to_volume is None else self.to_volume[word]

    def shares(self, word: int) -> tuple[float, float]:
        """How much of a word's attention goes to 2D and to 3D tokens; the rest goes to text."""
        held = (self.to_slices, self.to_volume)
        first, second = (0.0 if one is None else float(one[word].sum()) for one in held)
        return first, second

    def most(self, word: int) -> Float | None:
        """LPS mm of the middle of the cell with the most attention, in 2D where there is any."""
        maps = ((self.slices(word), self.slices_grid), (self.volume(word), self.volume_grid))
        for cells, grid in maps:
            if cells is not None and grid is not None:
                index = np.unravel_index(int(cells.argmax()), cells.shape)
                return np.asarray(grid.to_patient_mm([float(k) for k in index]), np.float32)
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, affines to LPS mm.

        A word's `to_2d` (rows, columns) times the slice scores of the answer is its map over the
        slices; `to_3d` is (slices, rows, columns).
        """
        grids = (self.slices_grid, self.volume_grid)
        first, second = (None if g is None else g.affine_lps.tolist() for g in grids)
        return {
            "note": NOTE,
            "difference": self.difference,
            "slices_affine_lps": first,
            "volume_affine_lps": second,
            "words": [
                {
                    "word": word,
                    "share_2d": self.shares(k)[0],
                    "share_3d": self.shares(k)[1],
                    "to_2d": None if self.to_slices is None else self.to_slices[k].tolist(),
                    "to_3d": None if self.to_volume is None else self.to_volume[k].tolist(),
                }
                for k, word in enumerate(self.words)
            ],
        }


def attention_of(
    session: Session, answer: Answer, cancelled: StopCheck | None = None
) -> Attention:  # fmt: skip
    """The attention of a complete answer's words, by one more pass over prompt and answer.

    Raises `QuestionError` where it cannot be had exactly: for quantised weights, whose rounding
    depends on what is computed together, and where this pass gives other tokens or probabilities
    than those recorded with the answer. Raises `Cancelled`.
    """
    probe = Probe(session, answer)
    if session.model.info.quantize:
        raise QuestionError(
            f"The weights of this model are quantised ({session.model.info.quantize}), so its "
            "attention cannot be computed again exactly. Load it without quantising."
        )
    attended = _passed(probe, cancelled)
    difference = _difference(probe, attended)
    place = session.model.backend.visual_rows()
    scores = None if answer.scores is None else np.asarray(answer.scores.values, np.float32)
    spans = word_spans(probe.tokens, session.model.backend.processor.decode)
    if not spans:
        raise QuestionError(
            f"The answer to “{answer.prompt.question}” has no word, so there is no attention to "
            "show. Ask another question."
        )
    weights = attended.weights.numpy()
    of_words = np.stack([weights[list(places)].mean(axis=0) for _, places in spans])
    given = session.input
    depth = int(given.grid.shape[-3])
    cells2d = None if scores is None or place.cells2d is None else (depth, *place.cells2d)
    return Attention(
        words=tuple(text for text, _ in spans),
        scores=scores if cells2d is not None else None,
        to_slices=_part(of_words, place.first2d, None if cells2d is None else cells2d[1:]),
        to_volume=_part(of_words, place.first3d, place.cells3d),
        slices_grid=None if cells2d is None else resized_geometry(given.geometry, cells2d),
        volume_grid=(
            None if place.cells3d is None else resized_geometry(given.geometry, place.cells3d)
        ),
        difference=difference,
    )


def on_volume(cells: Float, given: ModelInput, volume: Volume) -> Volume:
    """A map of cells (slices, rows, columns) on the grid of the volume that was asked about.

    Each voxel has the value of the cell that its centre lies in; what the crop cut away has 0.
    """
    values = np.zeros(volume.shape, dtype=np.float32)
    view = volume.geometry.orientation(given.plane).apply(values)
    places = [
        np.floor((np.arange(size) + 0.5) * count / size).astype(np.intp)
        for size, count in zip(given.crop_shape, cells.shape, strict=True)
    ]
    box = tuple(slice(a, a + n) for a, n in zip(given.crop_start, given.crop_shape, strict=True))
    view[box] = cells[np.ix_(*places)]
    return Volume(values, volume.geometry, volume.info, volume.slice_uids, volume.source)


@torch.inference_mode()
def _passed(probe: Probe, cancelled: StopCheck | None) -> Attended:
    """One pass over the prompt and the answer's tokens."""
    session, prompt = probe.session, probe.answer.prompt
    cache, model = session.computed(cancelled=cancelled), session.model
    stop_if(cancelled)
    with model.lock:
        keep = keep_mask(session, probe.left_out) if probe.left_out else None
        seed = probe.answer.sampling.seed or 0
        rows = model.backend.suffix(cache.features, prompt, keep, seed).rows
        return attend(model, cache, rows, probe.tokens)


def _difference(probe: Probe, attended: Attended) -> float:
    """The largest difference to a recorded probability. Raises `QuestionError` for another pass."""
    found = attended.forced.log_probabilities[0].double().exp().cpu().numpy()
    recorded = np.asarray(probe.answer.token_probabilities, np.float64)
    difference = float(np.abs(found - recorded).max())
    exact = probe.session.model.info.dtype == "float32"
    same = attended.forced.likeliest[0].tolist() == probe.tokens
    if difference > (CLOSE if exact else CLOSE_16_BITS) or (
        probe.answer.sampling.temperature == 0 and not same
    ):
        raise QuestionError(
            "Computed again, the model does not give the words of this answer with the recorded "
            f"probabilities (they differ by {difference:.3g}), so their attention is not known. "
            "Ask the question again."
        )
    return difference


def _part(of_words: NDArray[Any], first: int, cells: tuple[int, ...] | None) -> Float | None:
    """The columns of some tokens as a map of each word."""
    if cells is None:
        return None
    count = int(np.prod(cells))
    return np.ascontiguousarray(
        of_words[:, first : first + count].reshape(len(of_words), *cells), np.float32
    )
