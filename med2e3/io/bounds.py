"""What a file may claim: its header against its own bytes, its packing and the free memory.

Every reader asks `check_claim` before it takes memory for what a header says. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from med2e3.errors import ImageReadError, ResourceError
from med2e3.memory import free_bytes
from med2e3.words import fine_size_text, size_text


class Packing(Enum):
    """How numbers lie in a file: as they are, or packed by a method with a bound of its own."""

    RAW = "raw"
    DEFLATE = "deflate"  # gzip, zlib, deflated DICOM, most ZIP
    BZIP2 = "bzip2"
    RLE = "RLE"
    IMAGE = "image"  # JPEG and its relatives: an even image takes next to nothing


#: The most bytes that one packed byte can stand for. Deflate: 258 bytes from two bits (RFC 1951).
#: RLE: 128 from two bytes (PS3.5 G.3.1).
MOST_A_BYTE = {Packing.RAW: 1, Packing.DEFLATE: 1032, Packing.RLE: 64}

#: A block of bzip2 holds at most 900,000 bytes, a run of 255 equal ones as five of them, and takes
#: 32 bytes.
BZIP2_BLOCK, BZIP2_LEAST = 900_000 * 255 // 5, 32

#: Fewer bytes than this are told by their number.
EXACT = 10_000

#: Bytes of a file that may stand before the first block of what is packed.
PACKED_SLACK = 64


@dataclass(frozen=True)
class Claim:
    """What a header says of a file.

    `name` is the file as messages name it, `holds` the content in words. `stored` are the bytes of
    its numbers when unpacked, `there` the bytes of the file that hold them; None where nobody
    knows. `memory` are the bytes that reading takes at its height; 0 where none is taken now.
    """

    name: str | Path
    holds: str
    stored: int
    there: int | None = None
    packing: Packing = Packing.RAW
    memory: int = 0


def check_claim(claim: Claim) -> None:
    """Raise where a file cannot hold what its header says, or memory cannot.

    `ImageReadError` in the first case, `ResourceError` in the second.
    """
    if claim.there is not None and claim.stored > most_bytes(claim.there, claim.packing):
        need, there = fine_size_text(claim.stored), fine_size_text(claim.there)
        if need == there or claim.there < EXACT:
            need, there = f"{claim.stored} bytes", f"{claim.there} bytes"
        raise ImageReadError(
            f"{claim.name}: the voxels end early or are damaged: its header says {claim.holds}, "
            f"which are {need}, and {there} of file cannot hold them. Copy, download or export the "
            "file again."
        )
    if claim.memory and (free := free_bytes()) < claim.memory:
        raise too_large(f"{claim.name} ({claim.holds})", claim.memory, free)


def most_bytes(packed: int, packing: Packing) -> float:
    """The most bytes that `packed` bytes can hold."""
    if packing is Packing.BZIP2:
        return (packed // BZIP2_LEAST + 1) * BZIP2_BLOCK
    if packing is Packing.IMAGE:
        return float("inf")
    slack = 0 if packing is Packing.RAW else PACKED_SLACK
    return (packed + slack) * MOST_A_BYTE[packing]


def too_large(what: str, need: int, free: int, way_out: str = "") -> ResourceError:
    """The error for what does not fit into memory; `way_out` stands for the usual advice."""
    return ResourceError(
        f"{what} needs {size_text(need)} of memory, and {size_text(max(0, free))} are free. "
        + (way_out or "Close other programs, or export a smaller part of it or thicker slices.")
    )


@contextmanager
def out_of_memory_said(what: str, need: int) -> Iterator[None]:
    """Turn a `MemoryError` into the error of `too_large`: others may have taken what was free."""
    try:
        yield
    except MemoryError as error:
        raise too_large(what, need, min(free_bytes(), need)) from error
