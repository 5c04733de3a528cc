"""Batches of samples for a model: which sample stands where in a run, and what is read of it.

Position p of a run decides everything: the sample (each epoch a new order of all rows) and its
augmentation. So neither workers, nor processes, nor a stop and resume change what a step sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from med2e3.errors import DataError
from med2e3.model import Med2E3Processor
from med2e3.model.prompts import IGNORE, TEMPLATES
from med2e3.spawning import isolated_context
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.pointers import held_slices
from med2e3.training.data.samples import Sample, read_volume

#: Rows of a list that are looked at before training, for what to know of it.
ROWS_LOOKED_AT = 1000

#: Sets the order of an epoch apart from the augmentations, which share the seed.
_ORDER = 7919

#: Sets the draw of a list's rows apart from all of these.
_LIMIT = 104729

#: So many damaged samples in a row are no accident.
MOST_DAMAGED = 64


@dataclass(frozen=True, eq=False)
class Item:
    """One sample as tensors: volume (1, S, H, W), token ids, their labels, ids of the question.

    `mask` (1, S, H, W) is what the answer draws; None where nothing is drawn. `held` (S,) is True
    for the slices that hold what the question is about; None where that is not to be learned.
    `skipped` says which samples could not be used before this one could.
    """

    volume: Tensor
    ids: list[int]
    labels: list[int]
    question: list[int]
    mask: Tensor | None = None
    held: Tensor | None = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """`tensors` are the arguments of the model's forward; `count` tokens have labels.

    `held_slices` among them (B, S) is True for the slices that the scores are to point at.
    """

    tensors: dict[str, Tensor]
    count: int
    skipped: tuple[str, ...]


class Source(Protocol):
    """A list whose rows have been found."""

    def __len__(self) -> int: ...

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """Row `index` as an epoch sees it; raises `DataError`."""
        ...


def first_samples(source: Source) -> Iterator[Sample | None]:
    """The first `ROWS_LOOKED_AT` samples of a list; None for one that cannot be read.

    It is met again, and told, when it is trained on.
    """
    for row in range(min(len(source), ROWS_LOOKED_AT)):
        try:
            yield source.sample(row)
        except DataError:
            yield None


@dataclass(frozen=True, eq=False)
class LimitedSource:
    """Some rows of a list, in the list's order."""

    source: Source
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """The `index`-th of the rows."""
        return self.source.sample(int(self.rows[index]), epoch)


def limited(source: Source, limit: int, seed: int, number: int) -> Source:
    """At most `limit` rows of the recipe's list `number`, drawn by the seed; 0: all of them."""
    if not limit or limit >= len(source):
        return source
    drawn = np.random.default_rng([seed, _LIMIT, number]).permutation(len(source))[:limit]
    return LimitedSource(source, np.sort(drawn).astype(np.int64))


class ItemReader(Protocol):
    """From a sample to an item, and from items to a batch."""

    @property
    def seed(self) -> int:
        """Decides order and augmentation."""
        ...

    def read(self, sample: Sample, position: int) -> Item:
        """Raises `DataError` when volume or text cannot be used."""
        ...

    def collate(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        """The first error among the items, if there is one."""
        ...


@dataclass(frozen=True, eq=False)
class Reader:
    """From a sample to an item: reads, augments, tokenises.

    `pointing` says that the slices are read too that hold what a question is about.
    """

    processor: Med2E3Processor
    grid_shape: tuple[int, int, int]
    augmentation: Augmentation
    seed: int
    pointing: bool = False

    def read(self, sample: Sample, position: int) -> Item:
        """Raises `DataError` when volume or text cannot be used."""
        template = TEMPLATES[self.processor.template]
        if template.caption and len(sample.turns) > 1:
            raise DataError(
                f"{sample.where}: {len(sample.turns)} turns; the template "
                f"“{self.processor.template}” is for a volume and one text."
            )
        ids, labels = self.processor.answered_ids(list(sample.turns))
        if all(label == IGNORE for label in labels[1:]):
            raise DataError(
                f"{sample.where}: of {self.processor.context_length} tokens none is left for the "
                "answer: the question is too long."
            )
        volume = read_volume(sample.image, self.grid_shape, sample.where)
        held = self._held(sample)
        rng = np.random.default_rng([self.seed, position])
        thin = None if held is None else held[None, :, None, None]  # moved as a mask of one column
        augmentation = self.augmentation.of(text for turn in sample.turns for text in turn)
        moved, thin = augmentation(volume, rng, thin)
        return Item(
            moved,
            ids,
            labels,
            self.processor.question_ids(sample.question),
            held=None if thin is None else thin.flatten(),
        )

    def _held(self, sample: Sample) -> Tensor | None:
        """(S,): the slices that hold what is asked; none of them where the sample names none."""
        if not self.pointing:
            return None
        if sample.pointer is None:
            return torch.zeros(self.grid_shape[0], dtype=torch.bool)
        return held_slices(sample.pointer, sample.image, self.grid_shape, sample.where)

    def collate(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        """As `Collator`, padded as the tokenizer says."""
        return Collator(padding_id(self.processor.tokenizer))(items)


def padding_id(tokenizer: Any) -> int:
    """The id that fills rows up: the tokenizer's own, else that of the end."""
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)


class SampleDataset(Dataset[Item | DataError]):
    """Items by their position in the run; an error is handed out, not raised, so that it crosses
    from a worker to its user as it is.
    """

    def __init__(
        self, sources: Sequence[Source], reader: ItemReader, *, skip_damaged: bool = False
    ) -> None:
        self.sources, self.reader, self.skip_damaged = tuple(sources), reader, skip_damaged
        self.ends = np.cumsum([len(source) for source in sources])
        if not len(self):
            raise DataError("The recipe's lists hold no sample at all.")
        self.order = lru_cache(maxsize=2)(self._order)

    def __len__(self) -> int:
        """Samples of one epoch."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        """Without the cache, which another process makes for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.order = lru_cache(maxsize=2)(self._order)

    def __getitem__(self, position: int) -> Item | DataError:
        skipped: list[str] = []
        for later in range(MOST_DAMAGED):
            try:
                item = self.reader.read(self.sample(position + later), position)
            except DataError as error:
                if not self.skip_damaged:
                    return error
                skipped.append(str(error))
                continue
            return replace(item, skipped=tuple(skipped))
        return DataError(
            f"{MOST_DAMAGED} samples in a row cannot be used; the first one: {skipped[0]}"
        )

    def sample(self, position: int) -> Sample:
        """The sample at a position of the run, as its epoch asks it, before its volume is read."""
        epoch, place = divmod(position, len(self))
        number = int(self.order(epoch)[place])
        source = int(np.searchsorted(self.ends, number, side="right"))
        before = int(self.ends[source - 1]) if source else 0
        return self.sources[source].sample(number - before, epoch)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.reader.seed, _ORDER, epoch]).permutation(len(self))


class Collator:
    """Items of one micro-batch → a batch, padded on the right."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        """The first error among the items, if there is one."""
        good = whole(items)
        if isinstance(good, DataError):
            return good
        tensors = {
            "pixel_values": torch.stack([item.volume for item in good]),
            "input_ids": padded([item.ids for item in good], self.pad_id),
            "labels": padded([item.labels for item in good], IGNORE),
            "attention_mask": padded([[1] * len(item.ids) for item in good], 0),
            "question_ids": padded([item.question for item in good], 0),
            "question_mask": padded([[1] * len(item.question) for item in good], 0),
        }
        held = [item.held for item in good if item.held is not None]
        if held:
            tensors["held_slices"] = torch.stack(held)
        count = int((tensors["labels"][:, 1:] != IGNORE).sum())
        skipped = tuple(line for item in good for line in item.skipped)
        return Batch(tensors, count, skipped)


def whole(items: Sequence[Item | DataError]) -> list[Item] | DataError:
    """All items, or the first error among them."""
    good: list[Item] = []
    for item in items:
        if isinstance(item, DataError):
            return item
        good.append(item)
    return good


def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """(B, T): the rows, filled up on the right to the longest one."""
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows])


@dataclass(frozen=True)
class BatchPlan:
    """Which positions of the run are read, for every step from `first` up to `last`.

    A step has `batch` samples in `parts` micro-batches; those of `indices` are read.
    """

    batch: int
    parts: int
    first: int
    last: int
    indices: Sequence[int]

    def __len__(self) -> int:
        return max(0, self.last - self.first) * len(self.indices)

    def __iter__(self) -> Iterator[list[int]]:
        size = self.batch // self.parts
        for step in range(self.first, self.last):
            for part in self.indices:
                start = step * self.batch + part * size
                yield list(range(start, start + size))


def read_batches(
    dataset: SampleDataset, plan: BatchPlan | Sequence[list[int]], workers: int
) -> Iterator[Batch]:
    """The batches of these positions in order, read ahead by `workers` processes.

    Raises `DataError` for a damaged sample, unless the data set skips them.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=plan,
        collate_fn=dataset.reader.collate,
        num_workers=workers,
        multiprocessing_context=isolated_context() if workers else None,
    )
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch
