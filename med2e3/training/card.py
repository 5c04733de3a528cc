"""The model card of the demo model, with its measured figures. Knows nothing of training."""

from __future__ import annotations

from med2e3.evaluation.figures import Results
from med2e3.training.recipe import Recipe

FRONT = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: image-text-to-text
tags: [ct, synthetic, demo]
---

# Med-2E3 demo model

A very small Med-2E3 model ({parameters:.1f} million parameters) that was made so that the viewer,
its tests and its screenshots have something that really answers.

**It has seen synthetic phantoms only. What it says about a real scan means nothing, however sure it
sounds. It must not be used on patients.**

## What it is

The architecture of the paper in miniature: a 3D ViT and SigLIP layers (each behind a small
convolutional stem), text-guided inter-slice scoring, and a Phi-3 language model, in the sizes that
`config.json` names. It reads a grid of {grid} voxels in one HU window (W{width:.0f} L{centre:.0f}),
stacked along any plane, and answers questions of the five M3D-VQA topics (plane, phase, organ,
abnormality, location; open or with two to four choices), questions whether a finding is present,
and requests for a report.

## How it was made

Recipe `{recipe}` (`med2e3/training/recipes/{recipe}.toml`), from random weights, on {phantoms}
phantoms (`med2e3.phantoms`), on two CPU cores without a GPU.

{history}

Stages: the encoders learn from the exact extents of findings; the language model learns on reports
in words and on letter drills; then connectors, slice scores and language model learn together, with
a pointing loss, {pointing} × −log of the score mass on the slices that hold what is asked.

## What was measured

{table}

Phantoms of the evaluation have seeds that no training saw; nothing was chosen by looking at them.
Intervals (95 %) resample phantoms. “Blank volume” asks the same questions of an empty grid: what
the words alone give away. `med2e3 evaluate demo --phantoms 500 --seed 11` prints all this again.

## What it cannot do

- Anything about real patients: phantoms are ellipsoids and noise.
- Findings, organs or places outside `med2e3.phantoms.KINDS`; other words for them; two findings of
  one kind; comparison with earlier scans; measurements better than 5 mm steps.
- Questions unlike those in `med2e3/phantoms/questions.py`: it will answer them with confidence, and
  wrongly.

## Where it stays behind what was aimed at

{weak}

Its slice scores follow the question because the pointing loss taught them to. A model trained
without that loss, as the published ones were, need not behave so.
"""


def model_card(results: Results, recipe: Recipe, parameters: int, history: str, weak: str) -> str:
    """The card's text; `history` says how long it took, `weak` what stayed poor and why."""
    shape = recipe.model["vision3d_config"]["image_size"]
    return FRONT.format(
        parameters=parameters / 1e6,
        grid=" × ".join(str(n) for n in shape),
        width=recipe.window.width,
        centre=recipe.window.centre,
        recipe=recipe.name,
        phantoms=recipe.train_seeds[1] - recipe.train_seeds[0],
        history=history,
        pointing=recipe.stages["tune"].options["pointing"],
        table=results.table(),
        weak=weak,
    )
