"""How a report is asked for: one list of requests, the same in training and evaluation.

The published code draws from 42 prompts of its own, which are not part of this package; a file of
them, or of anybody's own, takes the list's place. Knows nothing of images or models.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.errors import InputError
from med2e3.io.texts import read_text

#: Sets the draw of a request apart from other draws that share a seed.
_STREAM = 4242

#: Our own words. A model is trained with all of them, so that none of them is new to it.
REPORT_REQUESTS = (
    "Please write a report of this CT scan.",
    "Describe the findings of this scan.",
    "What does this volume show?",
    "Summarise the radiological findings of this CT.",
    "Which findings do you see in this scan?",
    "Give the findings section of the report for this volume.",
    "Describe this scan.",
    "What does this scan show?",
    "Write a report of this scan.",
    "Please describe the findings of this CT.",
    "Draft a report.",
    "What is seen in this CT?",
    "Write down what a radiologist would note about this volume.",
    "Put the findings of this CT into a short report.",
    "Which abnormalities are there, and what is normal?",
    "Can you report on this volume?",
    "Tell me what is visible in these images.",
    "Generate a radiology report.",
    "Describe the organs in this CT and anything wrong with them.",
    "What would the findings section of this study say?",
    "Read this scan and write up what you find.",
    "Please summarise what this 3D image shows.",
    "List the findings in this volume in full sentences.",
    "What are the findings?",
)


@dataclass(frozen=True)
class Requests:
    """A list of requests, and where it comes from: "med2e3" for our own, else a file."""

    texts: tuple[str, ...] = REPORT_REQUESTS
    source: str = "med2e3"

    def draw(self, seed: int, row: int, epoch: int = 0) -> str:
        """The request of a row in an epoch: another draw for each, the same for the same seed."""
        rng = np.random.default_rng([_STREAM, seed, epoch, row])
        return self.texts[int(rng.integers(len(self.texts)))]

    def about(self) -> dict[str, Any]:
        """What tells this list from another: its source, its length, a hash of its texts."""
        digest = hashlib.sha256("\n".join(self.texts).encode()).hexdigest()
        return {"source": self.source, "count": len(self.texts), "sha256": digest}


def read_requests(path: Path | None) -> Requests:
    """The requests in a file: one a line, or a JSON list of texts; our own for None.

    Raises `InputError` for a file that cannot be read or holds no request.
    """
    if path is None:
        return Requests()
    try:
        text = read_text(path, encoding="utf-8-sig")
        said: Any = json.loads(text) if path.suffix.lower() == ".json" else text.split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"The prompts in {path} cannot be read: {error}.") from error
    if not isinstance(said, list) or not all(isinstance(line, str) for line in said):
        raise InputError(
            f"{path} is no JSON list of texts; write one prompt a line, or such a list."
        )
    texts = tuple(line.strip() for line in said if line.strip())
    if not texts:
        raise InputError(f"{path} holds no prompt. Write one prompt a line.")
    return Requests(texts, str(path))
