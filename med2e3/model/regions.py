"""Questions about a region of a volume, and their answers: find it, name it, draw it.

The structure is M3D's (REC, REG, segmentation; by name or by description); the words are ours.
`terms.json` beside this file names the classes of M3D-Seg's benchmark sets and describes them; a
file of one's own, or the published dictionary of descriptions, takes its place. Knows nothing of
images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError, PreprocessingError
from med2e3.io.texts import read_json
from med2e3.model.m3d_lamed_processor import BOX_END, BOX_START, SEGMENT

Box = tuple[float, float, float, float, float, float]

#: Our own names of classes and descriptions of terms.
TERMS_FILE = Path(__file__).with_name("terms.json")

#: Six numbers in brackets: how boxes are written.
_BOX = re.compile(r"\[\s*(-?[\d.]+(?:\s*,\s*-?[\d.]+){5})\s*\]")


@dataclass(frozen=True)
class Wordings:
    """How a kind of question is asked and answered: by name, by description, and of what is absent.

    `{name}`, `{about}` (a description) and `{box}` are filled in.
    """

    named: tuple[str, ...]
    described: tuple[str, ...]
    named_answers: tuple[str, ...]
    described_answers: tuple[str, ...]


_ABSENT = Wordings(
    (),
    (),
    ("There is no {name} in this scan.", "No {name} is seen.", "The {name} is not in the image."),
    ("That is the {name}, which is not in this scan.", "It would be the {name}; none is seen."),
)

#: By kind: "REC" wants a box, "REG" a name for a box, "SEG" a mask.
WORDINGS: dict[str, Wordings] = {
    "REC": Wordings(
        (
            "Where is the {name}? Answer with a box.",
            "Give the bounding box of the {name}.",
            "Find the {name} in this scan and write its coordinates.",
            "In which box does the {name} lie?",
        ),
        (
            "{about} Where is it? Answer with its name and a box.",
            "{about} Name it and give its bounding box.",
            "Find what is meant and write its coordinates: {about}",
        ),
        ("It lies in {box}.", "The box is {box}.", "Its coordinates are {box}."),
        ("It is the {name}, in {box}.", "The {name}, whose box is {box}."),
    ),
    "REG": Wordings(
        (
            "What lies in the box {box}?",
            "Which structure is inside {box}?",
            "Name what is at the coordinates {box}.",
        ),
        (
            "What lies in the box {box}? Name it and say what it is.",
            "Name the structure inside {box} and describe it.",
        ),
        ("It is the {name}.", "The box holds the {name}."),
        ("It is the {name}. {about}", "The box holds the {name}. {about}"),
    ),
    "SEG": Wordings(
        (
            "Segment the {name}.",
            "Draw the {name} in this scan.",
            "Mark every voxel of the {name}.",
            "Give a mask of the {name}.",
        ),
        (
            "{about} Segment it and say its name.",
            "{about} Draw what is meant and name it.",
            "Mark the structure that this is about: {about}",
        ),
        (f"It is {SEGMENT}.", f"{SEGMENT}.", f"Here it is: {SEGMENT}."),
        (f"It is the {{name}}, {SEGMENT}.", f"The {{name}}: {SEGMENT}."),
    ),
}


@dataclass(frozen=True)
class Terms:
    """Class names of M3D-Seg's sets by their numbers, and descriptions of terms."""

    names: Mapping[str, Sequence[str]]
    descriptions: Mapping[str, Sequence[str]]

    def name(self, dataset: str, number: int) -> str:
        """The name of a class; raises `InputError` where the file has none."""
        names = self.names.get(dataset, ())
        if not 0 <= number < len(names):
            raise InputError(
                f"There is no name for class {number} of the set {dataset}. Name a file of terms "
                "that has it."
            )
        return names[number]

    def describe(self, name: str, rng: np.random.Generator) -> str:
        """One of a term's descriptions; raises `InputError` where the file has none."""
        texts = self.descriptions.get(name, ())
        if not texts:
            raise InputError(f"There is no description of “{name}”. Name a file of terms with it.")
        return texts[int(rng.integers(len(texts)))]


def read_terms(path: Path | None = None) -> Terms:
    """Terms from a file in our form, or descriptions alone (name → texts), as published.

    Names that a file does not have stay ours. Raises `InputError`.
    """
    own = _read(TERMS_FILE)
    said = own if path is None else _read(path)
    names, descriptions = said.get("names"), said.get("descriptions")
    if names is None and descriptions is None:
        descriptions = said
    merged = {**own["names"], **(names or {})}
    texts = own["descriptions"] if descriptions is None else descriptions
    for table in (merged, texts):
        for key, value in table.items():
            if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
                raise InputError(f"{path}: “{key}” must have a list of texts.")
    return Terms(merged, texts)


def ask_region(
    kind: str,
    name: str,
    about: str,
    box: Box | None,
    rng: np.random.Generator,
) -> tuple[str, str]:
    """A question about one class and its answer; "" as `about` asks by name.

    `box` None says that the class is not there: then REG asks for the box, as published.
    """
    words = WORDINGS["REC" if kind == "REG" and box is None else kind]
    answers = WORDINGS[kind] if box is not None else _ABSENT
    filled = {"name": name, "about": about, "box": "" if box is None else box_text(box)}
    asked = _pick(rng, words.described if about else words.named)
    told = _pick(rng, answers.described_answers if about else answers.named_answers)
    return asked.format(**filled), told.format(**filled)


def box_text(box: Sequence[float]) -> str:
    """A box as the published texts have it: `<bx_start>[0.1, …]<bx_end>`."""
    return f"{BOX_START}{[float(x) for x in box]}{BOX_END}"


def box_in(text: str) -> Box | None:
    """The first six numbers in brackets; None where there are none."""
    found = _BOX.search(text)
    if found is None:
        return None
    try:
        d0, h0, w0, d1, h1, w1 = (float(number) for number in found[1].split(","))
    except ValueError:
        return None
    return d0, h0, w0, d1, h1, w1


def mask_to_box(mask: NDArray[Any]) -> Box:
    """A mask (D, H, W) → first and last index along each axis, divided by its size, three digits.

    The order is d0, h0, w0, d1, h1, w1, both ends inclusive. Raises `PreprocessingError` for an
    empty mask.
    """
    where = np.argwhere(mask)
    if not len(where):
        raise PreprocessingError("The mask is empty: there is no box around nothing.")
    ends = np.concatenate([where.min(axis=0), where.max(axis=0)]) / np.tile(mask.shape, 2)
    d0, h0, w0, d1, h1, w1 = (round(float(end), 3) for end in ends)
    return d0, h0, w0, d1, h1, w1


def _pick(rng: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(rng.integers(len(texts)))]


def _read(path: Path) -> dict[str, Any]:
    try:
        said = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"The terms in {path} cannot be read: {error}.") from error
    if not isinstance(said, dict):
        raise InputError(f"{path} holds no table of terms.")
    return said
