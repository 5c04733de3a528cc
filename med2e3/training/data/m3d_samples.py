"""Samples of M3D: reports, questions, and regions to find, name and draw; as M3D-LaMed reads them.

A region's question follows from its mask once that is read and moved, so that a box is that of the
augmented volume, as published. Knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from med2e3.errors import DataError, InputError
from med2e3.model.m3d_lamed_processor import M3DLaMedProcessor
from med2e3.model.prompts import IGNORE
from med2e3.model.regions import Terms, ask_region, mask_to_box, read_terms
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.dataset import Batch, Item, padded, padding_id, whole
from med2e3.training.data.formats import MASK_FORMATS, SampleFile, open_samples
from med2e3.training.data.masks import MaskItem, RefSegDataset, SegDataset
from med2e3.training.data.samples import Sample, read_volume

#: Formats of lists of masks, beside those of `formats.FORMATS`.
SEG, REFSEG = MASK_FORMATS

#: Sets the draws of a region's question apart from its augmentation.
_STREAM = 31


@dataclass(frozen=True, eq=False)
class Region:
    """A row of a list of masks: what is asked of it (`kind`), by a description or by its name."""

    masks: SegDataset | RefSegDataset
    index: int
    kind: str = ""
    described: bool = False
    dataset: str = ""
    terms: Terms | None = None


@dataclass(frozen=True, eq=False)
class RegionSource:
    """A list of masks; every row is asked in each of `kinds`, by name and by description."""

    masks: SegDataset | RefSegDataset
    kinds: tuple[str, ...]
    dataset: str = ""
    terms: Terms | None = None

    @property
    def _ways(self) -> int:
        return 2 * len(self.kinds) if self.kinds else 1

    def __len__(self) -> int:
        return len(self.masks) * self._ways

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """Row and way of asking by the index."""
        row, way = divmod(index, self._ways)
        kind = self.kinds[way // 2] if self.kinds else ""
        region = Region(self.masks, row, kind, way % 2 == 1, self.dataset, self.terms)
        where = self.masks.records.where(row)
        return Sample(self.masks.images, (), "", where, spaced=True, region=region)


def open_m3d(source: SampleFile, grid_shape: Sequence[int], seed: int) -> Any:
    """A list of any format; raises `DataError` when it is missing or of another format."""
    if source.format == SEG:
        masks: Any = SegDataset(source.file, source.images, grid_shape, source.split or "train")
        return RegionSource(masks, source.kinds, source.file.stem, read_terms(source.terms))
    if source.format == REFSEG:
        return RegionSource(RefSegDataset(source.file, source.images, grid_shape), ())
    return open_samples(source, seed)


@dataclass(frozen=True, eq=False)
class LaMedReader:
    """From a sample to an item for M3D-LaMed: one question and its answer after the volume.

    `masks` says that the model learns to draw: then every batch has masks, empty ones too.
    """

    processor: M3DLaMedProcessor
    grid_shape: tuple[int, int, int]
    augmentation: Augmentation
    seed: int
    masks: bool = False

    def read(self, sample: Sample, position: int) -> Item:
        """Raises `DataError` when volume, mask or text cannot be used."""
        rng = np.random.default_rng([self.seed, position])
        if sample.region is not None:
            return self._region(sample, rng, np.random.default_rng([_STREAM, self.seed, position]))
        if len(sample.turns) != 1:
            raise DataError(
                f"{sample.where}: {len(sample.turns)} turns; M3D-LaMed takes single questions."
            )
        volume = read_volume(sample.image, self.grid_shape, sample.where)
        question, answer = sample.turns[0]
        moved = self.augmentation.of(sample.turns[0])(volume, rng)[0]
        return self._item(moved, question, answer, sample, None)

    def collate(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        """Padded on the right; `mask_labels` (B, 1, S, H, W) where the model learns to draw."""
        good = whole(items)
        if isinstance(good, DataError):
            return good
        tensors = {
            "pixel_values": torch.stack([item.volume for item in good]),
            "input_ids": padded([item.ids for item in good], padding_id(self.processor.tokenizer)),
            "labels": padded([item.labels for item in good], IGNORE),
            "attention_mask": padded([[1] * len(item.ids) for item in good], 0),
        }
        if self.masks:
            empty = torch.zeros(1, *self.grid_shape)
            drawn = [empty if item.mask is None else item.mask.float() for item in good]
            tensors["mask_labels"] = torch.stack(drawn)
        count = int((tensors["labels"][:, 1:] != IGNORE).sum())
        return Batch(tensors, count, tuple(line for item in good for line in item.skipped))

    def _region(self, sample: Sample, rng: np.random.Generator, words: np.random.Generator) -> Item:
        region: Region = sample.region
        found = region.masks.item(region.index, rng, self.augmentation.of(None))
        number = int(words.integers(len(found.labels)))
        mask = found.masks[number : number + 1]
        try:
            question, answer = _asked(region, found, number, words)
        except InputError as error:
            raise DataError(f"{sample.where}: {error}") from error
        drawn = mask if region.kind in ("", "SEG") else None
        return self._item(found.volume, question, answer, sample, drawn)

    def _item(
        self, volume: torch.Tensor, question: str, answer: str, sample: Sample,
        mask: torch.Tensor | None,
    ) -> Item:  # fmt: skip
        ids, labels = self.processor.answered_ids(question, answer, spaced=sample.spaced)
        if all(label == IGNORE for label in labels[1:]):
            raise DataError(
                f"{sample.where}: of {self.processor.context_length} tokens none is left for the "
                "answer: the question is too long."
            )
        return Item(volume, ids, labels, [], mask)


def _asked(
    region: Region, found: MaskItem, number: int, rng: np.random.Generator
) -> tuple[str, str]:
    """Question and answer of a region; those of the list where it has its own (M3D-RefSeg)."""
    if not region.kind or region.terms is None:
        return found.question, found.answer
    name = region.terms.name(region.dataset, found.labels[number])
    mask = found.masks[number].numpy()
    about = region.terms.describe(name, rng) if region.described else ""
    return ask_region(region.kind, name, about, mask_to_box(mask) if mask.any() else None, rng)


@dataclass(frozen=True, eq=False)
class PairReader:
    """From a sample to a pair for M3D-CLIP: a volume and its text.

    A text longer than `text_length` tokens keeps its first sentence and as many others as fit,
    drawn anew each time, in the order drawn; as published.
    """

    tokenizer: Any
    grid_shape: tuple[int, int, int]
    augmentation: Augmentation
    seed: int
    text_length: int

    def read(self, sample: Sample, position: int) -> Item:
        """Raises `DataError` when volume or text cannot be used."""
        rng = np.random.default_rng([self.seed, position])
        volume = read_volume(sample.image, self.grid_shape, sample.where)
        moved = self.augmentation.of(sample.turns[0])(volume, rng)[0]
        text = shortened(sample.turns[0][1], self._length, self.text_length, rng)
        ids = self.tokenizer(text, truncation=True, max_length=self.text_length)["input_ids"]
        return Item(moved, list(ids), [], [])

    def collate(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        """Padded on the right; a batch counts its pairs."""
        good = whole(items)
        if isinstance(good, DataError):
            return good
        tensors = {
            "pixel_values": torch.stack([item.volume for item in good]),
            "input_ids": padded([item.ids for item in good], padding_id(self.tokenizer)),
            "attention_mask": padded([[1] * len(item.ids) for item in good], 0),
        }
        return Batch(tensors, len(good), tuple(line for item in good for line in item.skipped))

    def _length(self, text: str) -> int:
        return len(self.tokenizer(text, truncation=False)["input_ids"])


def shortened(text: str, length: Callable[[str], int], most: int, rng: np.random.Generator) -> str:
    """A text of at most about `most` tokens: its first sentence and others drawn at random."""
    if length(text) <= most:
        return text
    first, *rest = text.split(".")
    kept, used = [first], length(first)
    for place in rng.permutation(len(rest)):
        more = length(rest[int(place)])
        if used + more <= most and rest[int(place)].strip():
            kept.append(rest[int(place)])
            used += more
    return ".".join(kept)
