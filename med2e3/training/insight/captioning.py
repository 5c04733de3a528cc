"""Captions of slices by a local multimodal model: a line a slice, written whole, never twice.

A model's answers are kept or rejected by rules with names; both lists say what was asked of whom
and how it was decoded. Knows nothing of training.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.checkpoints.building import quietly
from med2e3.errors import CheckpointError, InputError, Med2E3Error
from med2e3.files import whole_file
from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.io.texts import OBJECTS, check_text
from med2e3.model.inert import cause_of, check_opened_by_library
from med2e3.training.insight.pairs import FOREGROUND_SHARE, PLANES
from med2e3.volume import WINDOWS, Volume, Window

#: What is asked, with the plane and the modality put in.
PROMPT = (
    "Describe the organs and any abnormality in this {plane} {modality} slice in two sentences."
)

#: Below the folder of captions.
CAPTIONS_FILE, REJECTED_FILE, IMAGES_FOLDER = "captions.jsonl", "rejected.jsonl", "images"

#: An answer of fewer words says nothing; one that repeats a run of words so often rambles.
FEWEST_WORDS, RUN, MOST_REPEATS = 3, 4, 3

#: How slices of CT are shown to a model, where nothing else is said.
SOFT_TISSUE = WINDOWS["soft tissue"]

#: Fraction of full brightness from which a pixel is no air.
DARK = 0.1


@dataclass(frozen=True)
class Said:
    """What a model answered, and whether it ended by itself (not at the bound of its tokens)."""

    text: str
    ended: bool = True


class Captioner(Protocol):
    """A model that describes images."""

    #: How answers are decoded, in plain values.
    decoding: dict[str, Any]

    def describe(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[Said]:
        """An answer to each prompt about its image (rows, columns)."""
        ...


class TransformersCaptioner:
    """Any image-text-to-text model that transformers opens, decoded greedily."""

    def __init__(self, folder: Path, max_new_tokens: int, device: str = "cpu") -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        check_opened_by_library(folder)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quietly():
                model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", **local)
                self.processor = AutoProcessor.from_pretrained(folder, **local)
        except Exception as error:  # tokenizers raises bare exceptions for damaged files
            raise CheckpointError(
                f"The model in {folder} cannot be read: {cause_of(error)}. Give the folder of an "
                "image-text-to-text model of transformers with its processor."
            ) from error
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.model = model.to(device).eval()
        self.device = device
        self.decoding = {"max_new_tokens": max_new_tokens, "do_sample": False}

    @torch.inference_mode()
    def describe(self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[Said]:
        """As `Captioner.describe`, in one batch."""
        from PIL import Image

        pictures = [Image.fromarray(image).convert("RGB") for image in images]
        read = self.processor(
            images=pictures, text=[self._written(p) for p in prompts], padding=True,
            return_tensors="pt",
        ).to(self.device)  # fmt: skip
        read["pixel_values"] = read["pixel_values"].to(self.model.dtype)
        tokenizer = self.processor.tokenizer
        made = self.model.generate(**read, **self.decoding, pad_token_id=tokenizer.pad_token_id)
        new = made[:, read["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        limit = self.decoding["max_new_tokens"]
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        ended = [len(row) < limit or int(row[-1]) in ends for row in new]
        return [Said(text.strip(), end) for text, end in zip(texts, ended, strict=True)]

    def _written(self, prompt: str) -> str:
        """The prompt as the model was trained to see it."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            said = [{"role": "user", "content": content}]
            return str(self.processor.apply_chat_template(said, add_generation_prompt=True))
        return f"{getattr(self.processor, 'image_token', '<image>')}\n{prompt}"


@dataclass(frozen=True)
class CaptionTask:
    """What is captioned: `slices` in each plane of every volume, drawn by `seed`."""

    model: str
    slices: int = 4
    window: Window = SOFT_TISSUE
    prompt: str = PROMPT
    batch: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        try:
            self.prompt.format(plane="", modality="")
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(
                f"The prompt “{self.prompt}” cannot be filled in ({error}). It may name {{plane}} "
                "and {modality}."
            ) from error


@dataclass(frozen=True)
class Captioned:
    """How many slices have a caption, how many answers were none and why, and what was unread."""

    kept: int
    rejected: dict[str, int]
    unread: tuple[str, ...]
    file: Path

    @property
    def pass_rate(self) -> float:
        """Share of the answers that were kept."""
        asked = self.kept + sum(self.rejected.values())
        return self.kept / asked if asked else 0.0


@dataclass(frozen=True, eq=False)
class _Slice:
    volume: str
    plane: Plane
    index: int
    count: int
    prompt: str
    image: NDArray[np.uint8]

    @property
    def key(self) -> tuple[str, str, int]:
        return self.volume, self.plane.value, self.index


def reason_to_reject(said: Said, prompt: str) -> str:
    """Why an answer is no caption; empty where it is one."""
    words = said.text.lower().split()
    if not words:
        return "empty"
    if len(words) < FEWEST_WORDS:
        return f"fewer than {FEWEST_WORDS} words"
    if " ".join(prompt.lower().split()) in " ".join(words):
        return "repeats the prompt"
    runs = Counter(tuple(words[k : k + RUN]) for k in range(len(words) - RUN + 1))
    if runs and runs.most_common(1)[0][1] > MOST_REPEATS:
        return "repeats itself"
    return "" if said.ended else "did not end"


def write_captions(
    volumes: Sequence[Path],
    folder: Path,
    captioner: Captioner,
    task: CaptionTask,
    progress: Callable[[float, str], None] | None = None,
) -> Captioned:
    """Captions of all volumes in `folder`; slices that it has already are not asked about again.

    Raises `InputError` for a volume that is not there, before anything is asked, and for a folder
    that another model or prompt has begun. A volume that cannot be read is named in the result.
    """
    missing = [str(path) for path in volumes if not path.exists()]
    if missing:
        raise InputError(f"There is no volume {', '.join(missing)}. Correct the path.")
    (folder / IMAGES_FOLDER).mkdir(parents=True, exist_ok=True)
    record = {"model": task.model, "request": task.prompt, "decoding": captioner.decoding}
    lists = [_Lines(folder / name, record) for name in (CAPTIONS_FILE, REJECTED_FILE)]
    done = {row_key(row) for each in lists for row in each.rows}
    unread = []
    for number, path in enumerate(volumes):
        try:
            volume = load_volume(path)
        except Med2E3Error as error:
            unread.append(f"{path}: {error}")
            continue
        waiting = [one for one in _slices(path, folder, volume, task) if one.key not in done]
        for start in range(0, len(waiting), task.batch):
            asked = waiting[start : start + task.batch]
            for one, said in zip(asked, _ask(captioner, asked), strict=True):
                _keep(folder, lists, one, said)
            if progress:
                share = (start + len(asked)) / len(waiting)
                progress((number + share) / len(volumes), f"captioning {len(volumes)} volumes")
    reasons = Counter(row["reason"] for row in lists[1].rows)
    return Captioned(len(lists[0].rows), dict(reasons), tuple(unread), folder / CAPTIONS_FILE)


def row_key(row: dict[str, Any]) -> tuple[str, str, int]:
    """Which slice a row is of."""
    return row["volume"], row["plane"], row["slice"]


def _ask(captioner: Captioner, asked: Sequence[_Slice]) -> list[Said]:
    said = captioner.describe([one.image for one in asked], [one.prompt for one in asked])
    if len(said) != len(asked):
        raise InputError(
            f"The model gave {len(said)} answers to {len(asked)} questions, so none can be told "
            "apart. Ask one at a time (--batch 1)."
        )
    return said


def _keep(folder: Path, lists: Sequence[_Lines], one: _Slice, said: Said) -> None:
    """Writes the image, and then the line that names it."""
    from PIL import Image

    stem = f"{zlib.crc32(one.volume.encode()):08x}-{one.plane.value}-{one.index:04d}"
    png = f"{IMAGES_FOLDER}/{stem}.png"
    with whole_file(folder / png) as draft:
        Image.fromarray(one.image).save(draft, format="PNG")
    row = {
        "volume": one.volume, "plane": one.plane.value, "slice": one.index, "slices": one.count,
        "png": png, "text": said.text, "prompt": one.prompt,
    }  # fmt: skip
    reason = reason_to_reject(said, one.prompt)
    if reason:
        lists[1].add({**row, "reason": reason})
    else:
        lists[0].add(row)


class _Lines:
    """A file of JSON lines that grows by whole lines; a line that was cut short is cut off."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path, self.record, self.rows = path, record, list[dict[str, Any]]()
        if not path.is_file():
            return
        check_text(path, "lines of JSON", OBJECTS)
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with whole_file(path, durable=True) as draft:
                draft.write_bytes(whole)
        for number, line in enumerate(whole.decode("utf-8").splitlines(), 1):
            row = self._read(line, number)
            own = {name: row[name] for name in record}
            if own != record:
                raise InputError(
                    f"{path} was begun with {own}, and not {record}. Name another folder."
                )
            self.rows.append(row)

    def _read(self, line: str, number: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
            row_key(row)
            row["model"], row["decoding"], row["request"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}, line {number} is no caption ({type(error).__name__}: {error}). "
                "Delete the line, and its slice is captioned again."
            ) from error
        return row

    def add(self, row: dict[str, Any]) -> None:
        """Writes one row to the disk, with what all rows share."""
        whole = {**row, **self.record}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(whole, ensure_ascii=False) + "\n")
        self.rows.append(whole)


def _slices(path: Path, folder: Path, volume: Volume, task: CaptionTask) -> Iterator[_Slice]:
    """The slices of a volume that are to be captioned, the same at every call."""
    name = _relative(path, folder)
    rng = np.random.default_rng([task.seed, zlib.crc32(path.name.encode())])
    for plane in PLANES:
        turned = volume.in_plane(plane)
        bright = [float((_grey(image, task.window) > DARK).mean()) for image in turned.voxels]
        shown = np.flatnonzero(np.array(bright) > FOREGROUND_SHARE)
        chosen = np.sort(rng.permutation(shown)[: task.slices])
        for index in chosen:
            prompt = task.prompt.format(plane=plane.value, modality=volume.info.modality or "CT")
            image = _picture(turned, int(index), task.window)
            yield _Slice(name, plane, int(index), len(turned.voxels), prompt, image)


def _relative(path: Path, folder: Path) -> str:
    """A volume's path from the folder of captions, so that both can be moved together."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()


def _grey(image: NDArray[Any], window: Window) -> NDArray[np.float32]:
    grey = (image.astype(np.float32) - np.float32(window.low)) / np.float32(window.width)
    return np.asarray(np.clip(grey, 0, 1), np.float32)


def _picture(volume: Volume, index: int, window: Window) -> NDArray[np.uint8]:
    """The slice in 8 bits, with pixels made square."""
    from PIL import Image

    grey = np.rint(_grey(volume.voxels[index], window) * 255).astype(np.uint8)
    _, down, across = volume.geometry.spacing_mm
    finest = min(down, across)
    rows, columns = (round(n * s / finest) for n, s in zip(grey.shape, (down, across), strict=True))
    if (rows, columns) == grey.shape:
        return grey
    sized = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(sized)
