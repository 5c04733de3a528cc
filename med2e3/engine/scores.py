"""Slice scores, each with the band of the volume that it weighs. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from med2e3.display import html_of, png_of
from med2e3.errors import InputError, ResourceError
from med2e3.figures import score_figure
from med2e3.geometry import Plane
from med2e3.preprocessing import Band

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Bands that a notebook lists.
SHOWN_BANDS = 3


@dataclass(frozen=True)
class ScoredBand:
    """A band, its weight, and that weight as a multiple of the uniform one."""

    band: Band
    weight: float
    times_uniform: float


@dataclass(frozen=True, eq=False)
class Scores:
    """The weights (S,) float32 with which the slices' 2D features are mixed; they sum to 1.

    `logits` (S,) are what the softmax made them of, also of slices that were left out. `plane` is
    the one that the model was given, and `question` what was asked; a session knows both, and
    figures need the plane.
    """

    values: NDArray[np.float32]
    bands: tuple[Band, ...]
    logits: NDArray[np.float32] | None = None
    plane: Plane | None = None
    question: str = ""

    @property
    def times_uniform(self) -> NDArray[np.float32]:
        """(S,) each weight as a multiple of 1/S."""
        return self.values * np.float32(len(self.values))

    @cached_property
    def effective_slices(self) -> float:
        """How many slices share the weight: the exponential of the entropy, 1 to S."""
        shares = self.values[self.values > 0].astype(np.float64)
        return float(np.exp(-(shares * np.log(shares)).sum()))

    def top(self, count: int) -> list[ScoredBand]:
        """The `count` bands of largest weight, largest first."""
        order = np.argsort(-self.values, kind="stable")[:count]
        return [self._scored(int(k)) for k in order]

    def plot(self) -> Figure:
        """Bars over the model's slices on the fixed scale, as a matplotlib figure.

        Raises `InputError` where the plane is not known.
        """
        if self.plane is None:
            raise InputError(
                "These slice scores do not know their plane, so they cannot be drawn in the "
                "patient. Draw those of an answer, or use med2e3.figures.score_figure."
            )
        return score_figure([(self.question, self)], self.plane)

    def columns(self) -> dict[str, list[Any]]:
        """The scores as columns: a row a model slice, places in mm along the plane's axis (LPS).

        `first_slice` and `last_slice` are 0-based, along the volume's own axis.
        """
        return {
            "model_slice": [band.model_slice for band in self.bands],
            "from_mm": [band.from_mm for band in self.bands],
            "to_mm": [band.to_mm for band in self.bands],
            "first_slice": [band.source_slices[0] for band in self.bands],
            "last_slice": [band.source_slices[1] for band in self.bands],
            "weight": [float(value) for value in self.values],
            "times_uniform": [float(value) for value in self.times_uniform],
        }

    def to_frame(self) -> Any:
        """`columns` as a pandas DataFrame. Raises `ResourceError` where pandas is missing."""
        try:
            import pandas
        except ImportError as error:
            raise ResourceError(
                f"A frame needs the package pandas, which cannot be used here ({error}). Install "
                "it with `pip install 'med2e3[notebook]'`, or take the lists of `columns()`."
            ) from error
        return pandas.DataFrame(self.columns())

    def _repr_png_(self) -> bytes | None:
        return None if self.plane is None else png_of(self.plot())

    def _repr_html_(self) -> str:
        """For notebooks: the bands of most weight, and the bars."""
        lines = [
            f"×{top.times_uniform:.1f} uniform: {top.band.from_mm:.1f} to {top.band.to_mm:.1f} mm, "
            f"model slice {top.band.model_slice + 1}"
            for top in self.top(SHOWN_BANDS)
        ]
        title = f"Slice scores, spread over {self.effective_slices:.1f} of {len(self.values)}"
        return html_of(title, lines, None if self.plane is None else self.plot())

    def _scored(self, k: int) -> ScoredBand:
        return ScoredBand(self.bands[k], float(self.values[k]), float(self.times_uniform[k]))


def scores_of(
    values: NDArray[np.float32],
    bands: Sequence[Band],
    logits: NDArray[np.float32] | None = None,
    plane: Plane | None = None,
    question: str = "",
) -> Scores:
    """Scores of weights (S,) and their logits (S,), copied into read-only arrays."""
    kept = None if logits is None else _fixed(logits)
    return Scores(_fixed(values), tuple(bands), kept, plane, question)


def _fixed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A read-only float32 copy."""
    fixed = np.array(values, dtype=np.float32)
    fixed.setflags(write=False)
    return fixed
