"""What lies over the images, as values: layers with their labels, boxes, and how each is made.

Knows no pixels on the screen, no widgets, and not which layers are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.imaging.colour_names import ColourMap
from med2e3.geometry import Geometry
from med2e3.label_colours import label_colour
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.engine.grounding import Mask

#: Opacity that lets the image be read through a mask, and through a second volume.
MASK_OPACITY, VALUES_OPACITY = 0.35, 0.5

#: Characters of a question that name what its answer drew.
NAME_LENGTH = 28


@dataclass(frozen=True)
class Label:
    """One structure of a label map: its stored value, name, colour (#rrggbb) and size."""

    value: int
    name: str
    colour: str
    millilitres: float


@dataclass(frozen=True, eq=False)
class Layer:
    """One overlay: a label map where it has `labels` (0 is background), else a volume of values.

    Values are coloured by `colours` from `low` to `high` and are transparent below `low`. `hidden`
    are the values of labels that are switched off. `note` says what is uncertain about it.
    `stepped`: each voxel is shown as it is, not between its neighbours. `of_answer`: it belongs to
    the answer that is shown, `of_word` to a word of it.
    """

    name: str
    voxels: NDArray[Any]
    geometry: Geometry
    labels: tuple[Label, ...] = ()
    opacity: float = MASK_OPACITY
    colours: ColourMap = ColourMap.HOT_IRON
    low: float = 0.0
    high: float = 1.0
    value_range: tuple[float, float] = (0.0, 1.0)
    visible: bool = True
    hidden: frozenset[int] = frozenset()
    note: str = ""
    of_answer: bool = False
    stepped: bool = False
    of_word: bool = False
    #: What was measured of it, in words.
    about: str = ""


@dataclass(frozen=True, eq=False)
class BoxMark:
    """A box that an answer names: `corners_mm` (8, 3) LPS, as in `med2e3.engine.grounding.Box`."""

    name: str
    colour: str
    corners_mm: NDArray[np.float64]
    visible: bool = True


@dataclass(frozen=True, eq=False)
class Overlaid:
    """A volume read as an overlay; `labels` are (value, voxel count), empty for plain values.

    `names` and `colours` (#rrggbb) are those that its file states, by their values. `others` are
    further label maps of the same file: segments that overlap lie in maps of their own.
    """

    volume: Volume
    labels: tuple[tuple[int, int], ...]
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    others: tuple[Overlaid, ...] = ()


class WordMap(Protocol):
    """The attention of a word: `cells` (slices, rows, columns) on a grid of their own."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def cells(self) -> NDArray[np.float32]: ...  # noqa: D102

    @property
    def grid(self) -> Geometry: ...  # noqa: D102


def overlap(one: Geometry, other: Geometry) -> bool:
    """Whether two grids' boxes along the axes of the patient meet at all."""
    (low, high), (first, last) = _bounds(one), _bounds(other)
    return bool((low < last).all() and (first < high).all())


def _bounds(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ends = np.array([np.full(3, -0.5), np.asarray(geometry.shape) - 0.5])
    corners = np.array(np.meshgrid(*ends.T)).reshape(3, -1).T
    places = geometry.to_patient_mm(corners)
    return places.min(axis=0), places.max(axis=0)


def label_at(layer: Layer, patient_mm: NDArray[np.float64] | Sequence[float]) -> Label | None:
    """The structure of a layer at a point, where it is switched on."""
    index = np.floor(layer.geometry.to_index(patient_mm) + 0.5).astype(int)
    if not layer.labels or (index < 0).any() or (index >= layer.voxels.shape).any():
        return None
    value = int(layer.voxels[tuple(index)])
    shown = (one for one in layer.labels if one.value == value and value not in layer.hidden)
    return next(shown, None)


def layer_of(overlaid: Overlaid, note: str) -> Layer:
    """The layer of a volume that was read; `note` says what is uncertain about its place."""
    volume = overlaid.volume
    said = volume.warnings if volume.info.modality == "SEG" else ()
    note = " · ".join(filter(None, (note, *said)))
    layer = Layer(volume.name, volume.voxels, volume.geometry, note=note)
    if overlaid.labels:
        return replace(layer, labels=_labels(overlaid))
    low, high = volume.value_range
    # The lower tenth of a second volume is mostly its background.
    cut = low + (high - low) * 0.1
    return replace(layer, opacity=VALUES_OPACITY, low=cut, high=high, value_range=(low, high))


def _labels(overlaid: Overlaid) -> tuple[Label, ...]:
    cell = overlaid.volume.geometry.voxel_ml
    return tuple(
        Label(
            value,
            overlaid.names.get(value, f"label {value}"),
            overlaid.colours.get(value, label_colour(k)),
            count * cell,
        )
        for k, (value, count) in enumerate(overlaid.labels)
    )


def answer_layer(name: str, mask: Mask, k: int) -> Layer:
    """The layer of the k-th mask of an answer."""
    label = Label(1, f"mask {k + 1}", label_colour(k), mask.millilitres)
    return Layer(name, mask.voxels, mask.geometry, (label,), of_answer=True)


def word_layer(word: WordMap, note: str, before: Layer | None) -> Layer:
    """The layer of a word's map, in the opacity and colours of the word before it."""
    high = float(word.cells.max())
    layer = Layer(word.name, word.cells, word.grid, note=note, of_answer=True, of_word=True)
    share = float(word.cells.mean())
    return replace(
        layer,
        opacity=VALUES_OPACITY if before is None else before.opacity,
        colours=layer.colours if before is None else before.colours,
        low=share,
        high=max(high, share),
        value_range=(0.0, high),
        stepped=True,
    )


def short(question: str) -> str:
    """A question as it names what its answer drew."""
    return question if len(question) <= NAME_LENGTH else question[: NAME_LENGTH - 1] + "…"
