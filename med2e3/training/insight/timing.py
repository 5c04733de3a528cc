"""Times of Med3DInsight on this machine, each beside an alternative in the same run.

A step of training beside the same step in plain PyTorch, partial transport beside POT's, captions
an hour alone and in batches. CPU seconds are taken where others may use the machine, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from med2e3.checkpoints.building import quietly
from med2e3.geometry import Plane
from med2e3.phantoms import Wish, make_phantom
from med2e3.training.insight.captioning import PROMPT, TransformersCaptioner
from med2e3.training.insight.pipeline import InsightRun, recipe_of
from med2e3.training.insight.stage import InsightStage
from med2e3.training.insight.transport import Solving, log_plan
from med2e3.training.options import Options
from med2e3.training.precision import CPU, half_precision
from med2e3.training.timing import BATCHES, STEPS, Timed, Times, Turns, median_seconds
from med2e3.training.trainer import Run, run_stage

#: Pairs of the transport.
TRANSPORTS = (10, 256, 1024)

#: The published entropy and mass.
EPSILON, MASS = 0.03, 0.95

#: Where the rounds of both transports end: ours by its potentials, POT by its plan.
ACCURACY = 1e-9

#: Tokens of each caption.
NEW_TOKENS = 32


def time_insight(folder: Path, captioner: Path | None = None) -> Times:
    """Times of the run of train insight in `folder`, and of captions by a model's folder."""
    timed = [time_step(folder), *(time_transport(n) for n in TRANSPORTS)]
    return Times(tuple(timed), time_captions(captioner) if captioner else {})


def time_step(folder: Path) -> Timed:
    """CPU seconds of a step by the training loop, and of the same step in plain PyTorch.

    Both take turns step by step, so that what else the machine does falls on both.
    """
    run = InsightRun(recipe_of(folder), folder, Options(cpu=True))
    pairs = run.pairs()
    embeddings = run.embeddings(pairs)
    recipe = replace(run.recipe.aligning, steps=STEPS + 1)
    plain = _plain_step(run.stage(pairs, embeddings), run.recipe.seed)
    turns = Turns(plain)
    with tempfile.TemporaryDirectory() as place:
        stage = run.stage(pairs, embeddings)
        turns.start()
        run_stage(stage, recipe, Run(Path(place), run.recipe.seed, report=turns))
    return turns.timed(f"training step, {recipe.micro_batch()}")


def _plain_step(stage: InsightStage, seed: int) -> Callable[[int], None]:
    """The same model and losses without the training loop: what a short script would hold."""
    model, pairs, frozen = stage.model, stage.pairs, stage.frozen
    parameters = [p for p in stage.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-3)
    grids = torch.from_numpy(np.stack(pairs.volumes))
    places = torch.tensor([[p.plane, p.index, p.count] for p in pairs.pairs])

    def step(number: int) -> None:
        volumes, rows, owner = stage.draw(np.random.default_rng([seed, number, 0]))
        seen = grids[volumes].float()[:, None] / 255
        with half_precision(CPU):
            encoded = model.encode(seen)
            own = model.embed(encoded, torch.from_numpy(owner), *places[rows].T)
            drawn = model.reconstruct(encoded)
        loss: Tensor = F.mse_loss(drawn.float(), seen)
        for align, target in zip(stage.align, (frozen.image, frozen.text), strict=True):
            loss = loss + align(own.float(), target[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def time_transport(n: int) -> Timed:
    """CPU seconds of a plan of n pairs, and of POT's to the same accuracy, in float64."""
    cost = torch.rand(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    ours = median_seconds(lambda: log_plan(cost, EPSILON, MASS, Solving(ACCURACY)))
    try:
        import ot
    except ImportError:
        return Timed(f"partial transport, {n} pairs", ours, None, "POT is not installed")
    even = np.full(n, 1 / n)

    def pot() -> None:
        ot.partial.entropic_partial_wasserstein(
            even, even, cost.numpy(), EPSILON, MASS, stopThr=ACCURACY
        )

    return Timed(
        f"partial transport, {n} pairs", ours, median_seconds(pot), f"POT, stopThr {ACCURACY:g}"
    )


def time_captions(folder: Path) -> dict[int, float]:
    """Captions an hour of computing by batch, `NEW_TOKENS` tokens each at most."""
    phantom = make_phantom(1, Wish(plane=Plane.AXIAL))
    grey = np.clip((phantom.volume.voxels + 160) / 400 * 255, 0, 255).astype(np.uint8)
    with quietly():
        captioner = TransformersCaptioner(folder, NEW_TOKENS)
    prompt = PROMPT.format(plane="axial", modality="CT")
    rates = {}
    for batch in BATCHES:
        images = list(grey[8 : 8 + batch])
        asked = [prompt] * batch
        took = median_seconds(partial(captioner.describe, images, asked))
        rates[batch] = 3600 * batch / took
    return rates
