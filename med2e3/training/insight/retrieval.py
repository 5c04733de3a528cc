"""How well slices' embeddings find their own images and captions, on phantoms held out.

Knows nothing of how the encoder was trained.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from med2e3.model.insight import InsightModel
from med2e3.phantoms.slices import draw_sliced
from med2e3.training.insight.pairs import Pairs, pairs_of_phantoms
from med2e3.training.insight.recipe import InsightRecipe
from med2e3.training.insight.teacher import Teacher, embed_pairs

#: Phantoms that no recipe trains on: 30,000,000 upwards; the demo model's are from 20,000,000.
FIRST_SEED = 30_000_000

#: How many of them, with one slice in each plane.
PHANTOMS = 100


def held_out_pairs(recipe: InsightRecipe, phantoms: int = PHANTOMS) -> Pairs:
    """One slice in each plane of phantoms that nothing was trained on."""
    shape = recipe.config().grid_shape
    seeds = range(FIRST_SEED, FIRST_SEED + phantoms)
    drawn = [draw_sliced(seed, shape, recipe.window) for seed in seeds]
    return pairs_of_phantoms(drawn, 1, 0)


def held_out_retrieval(
    model: InsightModel, teacher: Teacher, recipe: InsightRecipe
) -> dict[str, float]:
    """Retrieval among held-out slices: R@1 and R@10 by image and by caption, and the teacher's.

    Slices with equal captions are each other's right answer. `gap` is ‖mean v − mean e_T‖, the
    distance between the two modalities.
    """
    pairs = held_out_pairs(recipe)
    image, text = embed_pairs(teacher, pairs)
    own = F.normalize(slice_embeddings(model, pairs), dim=-1)
    texts = [pair.text for pair in pairs.pairs]
    alike = torch.tensor([[a == b for b in texts] for a in texts])
    same = torch.eye(len(texts), dtype=torch.bool)
    found = {"slices": float(len(texts)), "gap": float((own.mean(0) - text.mean(0)).norm())}
    ways = {
        "image": (own, image, same),
        "text": (own, text, alike),
        "teacher": (image, text, alike),
    }
    for name, (asked, targets, right) in ways.items():
        for rank in (1, 10):
            found[f"{name} R@{rank}"] = recall(asked @ targets.T, right, rank)
        found[f"{name} chance"] = float(right.float().mean())
    return found


def recall(similarity: Tensor, right: Tensor, rank: int) -> float:
    """Share of rows that have a right column among their `rank` most similar; R@1 where it is 1."""
    best = similarity.topk(min(rank, similarity.shape[1]), dim=1).indices
    return float(right.gather(1, best).any(1).float().mean())


@torch.inference_mode()
def slice_embeddings(model: InsightModel, pairs: Pairs) -> Tensor:
    """Embeddings (N, E) of all pairs, volume by volume."""
    model.eval()
    found = torch.zeros(len(pairs.pairs), model.config.embedding_size)
    for volume, owned in enumerate(pairs.of_volume()):
        if not len(owned):
            continue
        grid = torch.from_numpy(pairs.volumes[volume]).float()[None, None] / 255
        said = torch.tensor(
            [[0, p.plane, p.index, p.count] for p in (pairs.pairs[int(k)] for k in owned)]
        )
        encoded = model.encode(grid.to(model.device))
        found[torch.from_numpy(owned)] = (
            model.embed(encoded, *said.to(model.device).T).float().cpu()
        )
    return found
