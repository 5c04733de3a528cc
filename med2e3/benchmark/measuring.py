"""Times a model: reading a volume, asking twice, and the same with nothing cached."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from med2e3.benchmark.result import Result, TimedEvidence, TimedPart
from med2e3.engine import Answer, Model, Session
from med2e3.engine.backends.backend import advance
from med2e3.evidence.leave_one_out import leave_one_out
from med2e3.geometry import Geometry
from med2e3.model.packed_linear import packed_bytes
from med2e3.model.placing import device_of
from med2e3.volume import Volume

#: Two questions of a usual length; any text would do.
QUESTIONS = ("What is the plane of this image?", "Is there a pleural effusion?")

#: Tokens to decode: enough for a rate, few enough for a large model on a CPU.
NEW_TOKENS = 24

#: A read as large as this is far beyond any processor's caches.
BANDWIDTH_BYTES = 1_000_000_000

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class TimedAnswer:
    """One question: seconds to the first token, and tokens per second after it."""

    to_first: float
    per_second: float


def measure(model: Model, *, repeats: int = 3, progress: Progress | None = None) -> Result:
    """Medians of reading a volume, asking, and asking again, `repeats` times each."""
    report = progress or (lambda fraction, what: None)
    volume = synthetic_volume()
    reads, firsts, seconds, recomputed = [], [], [], []
    session = model.read(volume)  # warms allocator and kernels; not counted
    _ask(session, QUESTIONS[0])
    for number in range(repeats):
        report(number / repeats, "Measuring")
        session, took = timed(lambda: model.read(volume))
        reads.append(took)
        firsts.append(_ask(session, QUESTIONS[0]))
        seconds.append(_ask(session, QUESTIONS[1]))
        again, took = timed(lambda: model.read(volume))
        recomputed.append(took + _ask(again, QUESTIONS[1]).to_first)
    network = model.backend.network
    return Result(
        model=model.info.name,
        parameters=model.info.parameters,
        device=device_name(device_of(network)),
        dtype=model.info.dtype,
        quantize=model.info.quantize,
        machine=platform.processor() or platform.machine(),
        threads=torch.get_num_threads(),
        repeats=repeats,
        read_seconds=statistics.median(reads),
        first_question_seconds=statistics.median(a.to_first for a in firsts),
        second_question_seconds=statistics.median(a.to_first for a in seconds),
        recomputed_seconds=statistics.median(recomputed),
        tokens_per_second_first=statistics.median(a.per_second for a in firsts),
        tokens_per_second_second=statistics.median(a.per_second for a in seconds),
        weights_bytes=sum(p.nbytes for p in network.parameters()) + packed_bytes(network),
        decode_bytes=decode_bytes(network),
        cache_bytes=session.computed().nbytes,
        peak_bytes=peak_memory(device_of(network)),
        read_bytes_per_second=read_bandwidth(device_of(network)),
        parts=tuple(measure_parts(model, session)),
        leave_one_out=measure_leave_one_out(model, session, repeats),
    )


def measure_leave_one_out(model: Model, session: Session, repeats: int) -> TimedEvidence | None:
    """Medians of an answer, and of it without each slice; None for a model without slice scores."""
    if not model.info.has_scores:
        return None

    def ask(asked: Session, left_out: Sequence[int] = ()) -> Answer:
        answer = asked.ask(QUESTIONS[1], max_new_tokens=NEW_TOKENS, leave_out=left_out)
        answer.complete()
        return answer

    rows = []
    for _ in range(repeats):
        answer, whole = timed(partial(ask, session))
        if not answer.token_ids:
            return None
        found, shared = timed(partial(leave_one_out, session, answer))
        again = Session(model, session.volume, session.input)
        _, alone = timed(partial(ask, again, [0]))
        rows.append((whole, shared, alone))
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    return TimedEvidence(len(found.without), *medians)


def synthetic_volume() -> Volume:
    """A ball of tissue in air, 64 axial slices of 256²: what is read does not change the time."""
    grid = np.ogrid[-1:1:64j, -1:1:256j, -1:1:256j]
    distance = np.sqrt(sum(g**2 for g in grid))
    voxels = np.where(distance < 0.9, 40, -1000).astype(np.int16)
    return Volume(voxels, Geometry.from_spacing(voxels.shape, (4.0, 1.5, 1.5)))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the wall-clock seconds that it took."""
    began = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - began


def _ask(session: Session, question: str) -> TimedAnswer:
    began = time.perf_counter()
    answer = session.ask(question, max_new_tokens=NEW_TOKENS)
    answer.complete()
    whole = time.perf_counter() - began
    waited = answer.seconds_to_first_token or 0.0
    before = whole - (answer.seconds or 0.0)  # tokenising, scores, mixing
    rest = (answer.seconds or 0.0) - waited
    return TimedAnswer(before + waited, (len(answer.token_ids) - 1) / rest if rest > 0 else 0.0)


#: A part of the work by name, and what computes it.
NamedPart = tuple[str, Callable[[], Any]]


@torch.inference_mode()
def measure_parts(model: Model, session: Session) -> list[TimedPart]:
    """Each part of the work by itself: seconds and floating-point operations.

    Counted first, which also warms up; then timed, for the counter stands in the way of every call,
    and on a GPU took several times as long as the work.
    """
    gflop = [_count(work) for _, work in _parts(model, session)]
    seconds = [timed(work)[1] for _, work in _parts(model, session)]
    names = [name for name, _ in _parts(model, session)]
    return [TimedPart(*row) for row in zip(names, seconds, gflop, strict=True)]


def _parts(model: Model, session: Session) -> list[NamedPart]:
    """The parts, each to be computed once and in this order: a question follows the prefix."""
    backend = model.backend
    network = backend.network
    pixels = session.input.grid.unsqueeze(0).to(device_of(network), network.dtype)
    cache = session.computed()
    prompt = backend.tokenise([(QUESTIONS[1], None)])
    suffix = backend.suffix(cache.features, prompt, None, 0)
    prefix = DynamicCache(config=network.config.get_text_config())
    token = suffix.rows[:, -1:]
    prefix_rows = backend.prefix(cache.features)
    parts: list[NamedPart] = [
        ("both encoders and connectors", lambda: network.encode_images(pixels)),
        ("question, scores, mixing", lambda: backend.suffix(cache.features, prompt, None, 0)),
        ("prefix into the language model", lambda: advance(network, prefix_rows, prefix)),
        ("rest of the prompt", lambda: advance(network, suffix.rows, prefix)),
        ("one more token", lambda: advance(network, token, prefix)),
    ]  # fmt: skip
    if network.vision2d is not None:
        images = pixels.transpose(1, 2).flatten(0, 1)
        parts.insert(0, ("2D encoder alone", lambda: network.vision2d(images)))
    if network.vision3d is not None:
        parts.insert(0, ("3D encoder alone", lambda: network.vision3d(pixels)))
    return parts


def _count(work: Callable[[], Any]) -> float:
    """10⁹ floating-point operations."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 1e9


def decode_bytes(network: Any) -> int:
    """Bytes of weights that one more token reads: all of the language model's but the table of
    input embeddings, of which it reads one row (unless the output layer shares the table).
    """
    model = network.language_model
    whole = sum(int(p.nbytes) for p in model.parameters()) + packed_bytes(model)
    table = model.get_input_embeddings().weight
    shared = model.get_output_embeddings().weight is table
    return whole if shared else whole - int(table.nbytes)


def read_bandwidth(device: torch.device) -> float:
    """Bytes per second of a plain read of a large array, best of five."""
    numbers = torch.ones(BANDWIDTH_BYTES // 4, dtype=torch.float32, device=device)
    return BANDWIDTH_BYTES / min(timed(lambda: numbers.sum())[1] for _ in range(5))


def peak_memory(device: torch.device) -> int:
    """Most memory that the process (CPU) or the tensors (CUDA) have taken; 0 where not known."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage: bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """The card's own name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
