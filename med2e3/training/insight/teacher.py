"""The frozen model of images and texts: opened from a folder, or a small CLIP trained on phantoms.

Knows nothing of 3D encoders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from med2e3.errors import CheckpointError, DataError, ResourceError
from med2e3.model.inert import cause_of, check_opened_by_library
from med2e3.phantoms.slices import PLANE_AXES, SlicedPhantom, caption
from med2e3.training.insight.pairs import Pairs, worth_captioning
from med2e3.training.insight.recipe import TEACHER, TeacherRecipe, TeacherStageRecipe
from med2e3.training.precision import half_precision

#: Images or texts that are embedded at a time.
AT_ONCE = 64

#: What marks the folder of an open_clip model.
OPEN_CLIP_FILE = "open_clip_config.json"

#: Longest caption in tokens, with start and end.
CAPTION_LENGTH = 64

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unknown>"
SPECIAL_WORDS = 4


class Teacher(Protocol):
    """A frozen model with embeddings of images and texts in one space."""

    def images(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images (rows, columns) or (rows, columns, 3) → (N, E)."""
        ...

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts → (N, E)."""
        ...


class TransformersTeacher:
    """Any model that transformers opens and that has image and text features: CLIP and its kin."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoProcessor

        check_opened_by_library(folder)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, **local).eval()
            self.processor = AutoProcessor.from_pretrained(folder, **local)
        except Exception as error:  # tokenizers raises bare exceptions for damaged files
            raise CheckpointError(
                f"The model in {folder} cannot be read: {cause_of(error)}. Give the folder of a "
                "CLIP-like model with its processor."
            ) from error
        for name in ("get_image_features", "get_text_features"):
            if not hasattr(self.model, name):
                raise CheckpointError(
                    f"The model in {folder} ({type(self.model).__name__}) has no {name}. Give one "
                    "with features of images and of texts, as CLIP and SigLIP have."
                )

    @torch.inference_mode()
    def images(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """As `Teacher.images`."""
        from PIL import Image

        pictures = [Image.fromarray(image).convert("RGB") for image in images]
        read = self.processor.image_processor(images=pictures, return_tensors="pt")
        return _features(self.model.get_image_features(pixel_values=read["pixel_values"]))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """As `Teacher.texts`; longer ones are cut at the model's limit."""
        limit = int(self.model.config.text_config.max_position_embeddings)
        words = self.processor.tokenizer(
            list(texts),
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=limit,
        )
        known = {k: words[k] for k in ("input_ids", "attention_mask") if k in words}
        return _features(self.model.get_text_features(**known))


class OpenClipTeacher:
    """A model of open_clip in a folder with its config, such as BiomedCLIP."""

    def __init__(self, folder: Path) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise ResourceError(
                f"{folder} holds a model of open_clip, which is not installed. Install it (pip "
                "install 'med2e3[openclip]'), or name a model that transformers opens."
            ) from error
        place = f"local-dir:{folder}"
        try:
            with _offline():
                self.model, self.preprocess = open_clip.create_model_from_pretrained(place)
                self.tokenizer = open_clip.get_tokenizer(place)
        except Exception as error:  # open_clip raises bare exceptions, too
            raise CheckpointError(
                f"The open_clip model in {folder} cannot be read: {cause_of(error)}."
            ) from error
        self.model.eval()

    @torch.inference_mode()
    def images(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """As `Teacher.images`."""
        from PIL import Image

        read = [self.preprocess(Image.fromarray(image).convert("RGB")) for image in images]
        return torch.as_tensor(self.model.encode_image(torch.stack(read)))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """As `Teacher.texts`."""
        return torch.as_tensor(self.model.encode_text(self.tokenizer(list(texts))))


@contextmanager
def _offline() -> Iterator[None]:
    """Keeps huggingface_hub to what is on this computer: open_clip's configs name models there."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def open_teacher(folder: Path) -> Teacher:
    """The model in a folder; raises `CheckpointError`, or `ResourceError` for a missing package."""
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder. Give the folder of the model of images and texts."
        )
    kind = OpenClipTeacher if (folder / OPEN_CLIP_FILE).is_file() else TransformersTeacher
    return kind(folder)


def _features(output: Any) -> Tensor:
    """The embeddings in what transformers returns: a tensor, or an output that holds them."""
    return torch.as_tensor(output if isinstance(output, Tensor) else output.pooler_output)


def embed_pairs(teacher: Teacher, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Embeddings (N, E) of all pairs' images and captions, of length 1.

    Raises `DataError` where all captions, or all images, come out equal: nothing can be told apart.
    """
    count = len(pairs.pairs)
    images, texts = [], []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        images.append(teacher.images([pairs.image(k) for k in numbers]).clone())
        texts.append(teacher.texts([pairs.pairs[k].text for k in numbers]).clone())
    found = []
    for name, parts in (("image", images), ("caption", texts)):
        whole = F.normalize(torch.cat(parts).float(), dim=-1)
        if not torch.isfinite(whole).all():
            raise DataError(f"The frozen model's embedding of a slice's {name} is not a number.")
        if float((whole - whole[0]).abs().max()) < 1e-6:
            raise DataError(
                f"The frozen model gives all {count} slices the same embedding of their {name}, so "
                f"nothing can be learned from them. Look at the {name}s, or name another model."
            )
        found.append(whole)
    return found[0], found[1]


def words_of_captions() -> list[str]:
    """Every word and mark that captions of phantoms are made of."""
    import re

    from med2e3.phantoms import KINDS
    from med2e3.phantoms.facts import draw_facts
    from med2e3.phantoms.slices import NAMED_ORGANS

    rng, found = np.random.default_rng(0), dict[str, None]()
    for _ in range(3000):
        facts = draw_facts(rng)
        for plane in PLANE_AXES:
            said = caption(facts, plane, NAMED_ORGANS, tuple(KINDS))
            empty = caption(facts, plane, (), ())
            found |= dict.fromkeys(re.findall(r"\w+|[^\w\s]", f"{said} {empty}"))
    return sorted(found)


def caption_processor(recipe: TeacherRecipe) -> Any:
    """A processor for a CLIP of phantoms: one token a word, images in grey as RGB."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPImageProcessor, CLIPProcessor, PreTrainedTokenizerFast

    words = [PAD, START, UNKNOWN, END, *words_of_captions()]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, words.index(START)), (END, words.index(END))],
    )
    read = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=START, eos_token=END,
        unk_token=UNKNOWN, model_max_length=CAPTION_LENGTH,
    )  # fmt: skip
    size = recipe.image_size
    images = CLIPImageProcessor(
        size={"height": size, "width": size}, crop_size={"height": size, "width": size},
        do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    return CLIPProcessor(images, read)


def new_teacher(recipe: TeacherRecipe, words: int) -> Any:
    """A CLIP of the recipe's sizes with random weights, for a vocabulary of this size."""
    from transformers import CLIPConfig, CLIPModel

    size = {
        "hidden_size": recipe.hidden_size, "intermediate_size": 4 * recipe.hidden_size,
        "num_hidden_layers": recipe.layers, "num_attention_heads": recipe.heads,
    }  # fmt: skip
    # The end is token 3: transformers takes an end of 2 for the mark of old configs, which read the
    # largest token in its place.
    text = {
        **size, "vocab_size": words, "max_position_embeddings": CAPTION_LENGTH,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3,
    }  # fmt: skip
    vision = {**size, "image_size": recipe.image_size, "patch_size": recipe.patch_size}
    config = CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=recipe.embedding_size
    )
    return CLIPModel._from_config(config, attn_implementation="eager")


class TeacherStage:
    """A CLIP that learns the phantoms' slices with their true captions; a `Stage`."""

    name = TEACHER

    def __init__(
        self,
        recipe: TeacherStageRecipe,
        model: Any,
        processor: Any,
        phantoms: Sequence[SlicedPhantom],
    ) -> None:
        self.module: nn.Module = model
        self.model, self.processor = model, processor
        self.phantoms, self.slices = phantoms, recipe.slices
        self.shown = [
            {plane: worth_captioning(p.grid, plane) for plane in PLANE_AXES} for p in phantoms
        ]

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """CLIP's loss of slices drawn at random, each of another phantom where there are enough.

        Slices with equal captions are no negatives of each other.
        """
        images, texts = zip(*self._draw(rng), strict=True)
        pixels = torch.from_numpy(np.stack(images)).float()[:, None] / 127.5 - 1
        words = self.processor.tokenizer(list(texts), return_tensors="pt", padding=True)
        device = next(self.model.parameters()).device
        with half_precision(device):
            seen = _features(
                self.model.get_image_features(pixel_values=pixels.expand(-1, 3, -1, -1).to(device))
            )
            said = _features(
                self.model.get_text_features(
                    input_ids=words["input_ids"].to(device),
                    attention_mask=words["attention_mask"].to(device),
                )
            )
        seen, said = (F.normalize(x.float(), dim=-1) for x in (seen, said))
        logits = self.model.logit_scale.clamp(max=np.log(100.0)).exp() * seen @ said.T
        alike = torch.tensor([[a == b for b in texts] for a in texts], device=device).float()
        wanted = alike / alike.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
        best = logits.argmax(1)
        right = alike[torch.arange(len(alike)), best].mean()
        return loss, {"R@1": float(right)}

    def _draw(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], str]]:
        owners = rng.permutation(len(self.phantoms))
        planes = tuple(PLANE_AXES)
        side = int(self.model.config.vision_config.image_size)
        for k in range(self.slices):
            number = int(owners[k % len(owners)])
            phantom, plane = self.phantoms[number], planes[int(rng.integers(3))]
            shown = self.shown[number][plane]
            index = int(shown[int(rng.integers(len(shown)))])
            image = _squared(phantom.image(plane, index), side)
            yield image, phantom.caption(plane, index)


def _squared(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A slice resized as the model's processor does it."""
    from PIL import Image

    picture = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture)
