"""Slice scores of a model with some of its parameters drawn anew (Adebayo et al. 2018).

Scores that stay the same without what was learned say nothing about what was learned. By layer: the
parameters of one part at a time. The published loader, which never loads the trained text
projection, is such a model by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from med2e3.engine.backends.backend import Prompt
from med2e3.engine.runtime import Runtime
from med2e3.engine.session import Session
from med2e3.evidence.probing import Float

#: Spread of weights of matrices, as the model's own initialisation draws them.
SPREAD = 0.02

#: Parts that lie between text or voxels and the scores, from the scores down.
PARTS = (
    "scorer", "text_projection", "text_encoder", "connector2d", "connector3d", "vision2d",
    "vision3d",
)  # fmt: skip

#: The question's vector is the mean of the language model's embeddings where nothing else is.
EMBEDDINGS = "word embeddings"


def parts_of(network: Any) -> dict[str, nn.Module]:
    """The parts of a model that its scores pass through and that have parameters, by name."""
    found = {name: getattr(network, name, None) for name in PARTS}
    if found.get("text_encoder") is None:
        found[EMBEDDINGS] = network.get_input_embeddings()
    return {
        name: part
        for name, part in found.items()
        if part is not None and any(True for _ in part.parameters())
    }


@contextmanager
def randomised(part: nn.Module, seed: int) -> Iterator[None]:
    """Draw the part's parameters anew: matrices from a normal distribution, gains 1, biases 0.

    They are as they were when the block ends. Hold the model's lock.
    """
    kept = {name: value.detach().clone() for name, value in part.named_parameters()}
    draws = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for name, value in part.named_parameters():
                if value.ndim >= 2:
                    fresh = SPREAD * torch.randn(value.shape, generator=draws)
                else:
                    fresh = torch.full(value.shape, float(name.endswith("weight")))
                value.copy_(fresh)
        yield
    finally:
        with torch.no_grad():
            for name, value in part.named_parameters():
                value.copy_(kept[name])


@torch.inference_mode()
def randomised_scores(
    session: Session, prompts: list[Prompt], seed: int = 0
) -> dict[str, list[Float]]:
    """The scores (S,) of each prompt with each part of the model drawn anew, by part."""
    model: Runtime = session.model
    backend = model.backend
    found = {}
    with model.lock:
        features = session.computed().features
        grid = session.input.grid.to(next(backend.network.parameters()).device)
        for name, part in parts_of(backend.network).items():
            with randomised(part, seed):
                anew = name.startswith(("connector", "vision"))
                seen = backend.encode(grid) if anew else features
                rows = [backend.suffix(seen, prompt, None, 0).scores for prompt in prompts]
            found[name] = [row.astype("float64") for row in rows if row is not None]
    return found
