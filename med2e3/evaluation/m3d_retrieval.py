"""M3D-Bench's retrieval: the right text of every volume, and the right volume of every text.

R@k is the share of queries whose right partner is among the k nearest. (The published script prints
image→text under the name IR and text→image under TR; here the direction is spelled out.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from med2e3.errors import InputError
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import Estimate, Float, estimate
from med2e3.evaluation.m3d_bench import NOTE
from med2e3.evaluation.m3d_files import Item
from med2e3.evaluation.predictions import whole_lines, writing
from med2e3.retrieval.finder import Retriever

DEPTHS = (1, 5, 10)
DIRECTIONS = ("image to text", "text to image")

SECTIONS = (
    Section(
        "Retrieval",
        DIRECTIONS,
        tuple((f"R@{k}", f"{{row}}, R@{k}") for k in DEPTHS),
        "Chance: k among all pairs. The published script prints image to text under the name IR "
        "and text to image under TR; by the usual names it is the other way round.",
    ),
)


def run(
    retriever: Retriever,
    items: Sequence[Item],
    what: str,
    *,
    predictions: Path | None = None,
    progress: Progress | None = None,
) -> Results:
    """Every volume against every text. Raises `InputError` naming the row that cannot be read."""
    if len(items) < 2:
        raise InputError(f"{what} holds {len(items)} pair: there is nothing to choose among.")
    volumes = []
    for number, item in enumerate(items):
        try:
            volumes.append(retriever.volume_features(item.reading.load(item.image)))
        except InputError as error:
            raise InputError(f"Row {item.row}, {item.image}: {error}") from error
        if progress:
            progress((number + 1) / len(items), item.image.name)
    texts = retriever.text_features([item.truth for item in items])
    similarity = (np.stack(volumes) @ texts.T).astype(np.float64)
    ways = zip(DIRECTIONS, (similarity, similarity.T), strict=True)
    ranks = {name: ranks_of(way) for name, way in ways}
    with writing(predictions, retriever.info, 0) as writer:
        for k, item in enumerate(items):
            if writer is None:
                break
            row = {name.replace(" ", "_"): int(rank[k]) for name, rank in ranks.items()}
            scores = [round(float(s), 6) for s in similarity[k]]
            writer.write({
                "record": "retrieval", "row": item.row, "image": str(item.image),
                "case": item.case, "ranks": row, "similarities": scores,
            })  # fmt: skip
    info = retriever.info
    clusters = [item.cluster for item in items]
    cases = len(set(clusters))
    return Results(
        info.name,
        f"{what}: {len(items)} pairs of {cases} cases, model {info.name}",
        {
            "pairs": len(items), "cases": cases,
            "weights_sha256": info.weights_sha256, "dtype": info.dtype,
        },
        figures_of(ranks, clusters),
        SECTIONS,
        notes=(NOTE,),
    )  # fmt: skip


def recount_retrieval(predictions: Path) -> Results:
    """Figures of ranks that were saved. Raises `InputError` for lines of another kind."""
    lines = whole_lines(predictions)
    try:
        ranks = {
            name: np.array([line["ranks"][name.replace(" ", "_")] for line in lines])
            for name in DIRECTIONS
        }
        clusters = [line["case"] or line["image"] for line in lines]
        info = {(line["model"], line["weights_sha256"]) for line in lines}
    except (KeyError, TypeError) as error:
        raise InputError(f"{predictions} holds a line that is no retrieval: {error!r}.") from error
    if len(info) != 1 or len(lines[0]["similarities"]) != len(lines):
        raise InputError(
            f"{predictions} holds {len(lines)} lines of {len(info)} models, which are not one "
            f"retrieval among {len(lines[0]['similarities'])} pairs."
        )
    ((model, digest),) = info
    cases = len(set(clusters))
    return Results(
        model,
        f"Retrieval: {len(lines)} pairs of {cases} cases, model {model}",
        {"pairs": len(lines), "cases": cases, "weights_sha256": digest},
        figures_of(ranks, clusters),
        SECTIONS,
        notes=(NOTE,),
    )


def ranks_of(similarity: Float) -> np.ndarray:
    """(N, N), rows are queries → (N,) the place of the right partner, 0 the nearest.

    Partners that are just as near and stand before it count as nearer, as in a stable sort.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    return np.asarray((order == np.arange(len(similarity))[:, None]).argmax(axis=1))


def figures_of(ranks: dict[str, np.ndarray], clusters: Sequence[str]) -> dict[str, Estimate]:
    """R@k of both directions; `clusters` names the case of every query."""
    figures = {}
    for name, rank in ranks.items():
        for depth in DEPTHS:
            hits: dict[str, list[float]] = {}
            for case, place in zip(clusters, rank, strict=True):
                hits.setdefault(case, []).append(float(place < depth))
            found = estimate(list(hits.values()), min(1.0, depth / len(rank)))
            if found is not None:
                figures[f"{name}, R@{depth}"] = found
    return figures
