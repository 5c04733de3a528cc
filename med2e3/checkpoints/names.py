"""The published models by name: where they lie, what they weigh, and under which licence.

A size is the sum of the files that we need, as the hub lists them or as the number of parameters
gives it. No hash of these files was published, so none is pinned; a download records the hashes of
its files beside them. Knows nothing of disks or networks.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from med2e3.errors import CheckpointError

#: Weights and tokenizers, in the layouts of the hub; code is never fetched.
_DATA = ("*.json", "*.safetensors", "tokenizer.model", "vocab.txt")


@dataclass(frozen=True)
class Release:
    """One published model.

    `files` are patterns of the files to fetch, `without` of those to leave (fnmatch, where `*` also
    spans folders). `needs` names the releases whose files complete this one. `sha256` maps file
    names to the hashes that a download must have.
    """

    name: str
    title: str
    kind: str
    repo: str
    gigabytes: float
    licence: str
    files: tuple[str, ...] = _DATA
    without: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


RELEASES: tuple[Release, ...] = (
    Release(
        name="med2e3-m3d",
        title="Med-2E3 trained on M3D (SigLIP-L, M3D-CLIP, Phi-3-mini)",
        kind="med2e3",
        repo="shiym2000/Med-2E3-M3D",
        gigabytes=8.7,
        licence="Apache-2.0 (code); for the weights see the model's page",
        files=(*_DATA, "args/*.txt", "*/pytorch_model.bin"),
        without=("checkpoint-*", "trainer_state.json"),
        needs=("bert-base-uncased",),
    ),
    Release(
        name="m3d-clip",
        title="M3D-CLIP: retrieval between volumes and texts",
        kind="m3d-clip",
        repo="GoodBaiBai88/M3D-CLIP",
        gigabytes=0.8,
        licence="MIT (code); for the weights see the model's page",
        needs=("bert-base-uncased",),
    ),
    Release(
        name="m3d-lamed-phi3",
        title="M3D-LaMed with Phi-3-mini: answers, boxes and masks",
        kind="m3d-lamed",
        repo="GoodBaiBai88/M3D-LaMed-Phi-3-4B",
        gigabytes=16.2,
        licence="MIT (code, Phi-3); for the weights see the model's page",
    ),
    Release(
        name="m3d-lamed-llama2",
        title="M3D-LaMed with Llama-2-7B: answers, boxes and masks",
        kind="m3d-lamed",
        repo="GoodBaiBai88/M3D-LaMed-Llama-2-7B",
        gigabytes=28.9,
        licence="Llama 2 Community License (language model), MIT (code)",
    ),
    Release(
        name="bert-base-uncased",
        title="BERT's vocabulary and sizes, which Med-2E3 and M3D-CLIP leave on the hub",
        kind="tokenizer",
        repo="bert-base-uncased",
        gigabytes=0.001,
        licence="Apache-2.0",
        files=("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"),
    ),
    Release(
        name="phi-3-mini-128k",
        title="Phi-3-mini: the language model that Med-2E3 is first put together from",
        kind="language model",
        repo="microsoft/Phi-3-mini-128k-instruct",
        gigabytes=7.6,
        licence="MIT",
    ),
    Release(
        name="phi-3-mini-4k",
        title="Phi-3-mini: the language model that M3D-LaMed is first put together from",
        kind="language model",
        repo="microsoft/Phi-3-mini-4k-instruct",
        gigabytes=7.6,
        licence="MIT",
    ),
    Release(
        name="siglip-large",
        title="SigLIP-L/16-256: the 2D encoder that Med-2E3 is first put together from",
        kind="image encoder",
        repo="google/siglip-large-patch16-256",
        gigabytes=2.6,
        licence="Apache-2.0",
    ),
    Release(
        name="bert-base-uncased-weights",
        title="BERT with its weights: what a new M3D-CLIP reads texts with",
        kind="text encoder",
        repo="google-bert/bert-base-uncased",
        gigabytes=0.44,
        licence="Apache-2.0",
        files=("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
               "model.safetensors"),
    ),
)  # fmt: skip


def find_release(name: str) -> Release:
    """Find a published model by its name or hub id.

    Raises `CheckpointError`, which names the known models, for any other name.
    """
    for release in RELEASES:
        if name in (release.name, release.repo):
            return release
    known = [release.name for release in RELEASES]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise CheckpointError(
        f"There is no published model “{name}” in the list. {hint}Known are: {', '.join(known)}."
    )
