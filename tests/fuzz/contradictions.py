"""Whether damaged bytes contradict themselves, where the kind of damage alone does not tell."""

from __future__ import annotations

import json
import zlib

from tests.fuzz.mutations import PIXEL_DATA, elements


def is_json_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def inflates_to_dicom(raw: bytes) -> bool:
    """Whether a deflated file has one whole stream of elements that end with the pixels.

    Such a stream has no checksum (PS3.5 A.5): bytes that are lost in it may leave another whole one
    of the same length, and nothing in the file contradicts its pixels.
    """
    begin = 144 + int.from_bytes(raw[140:144], "little")  # behind the file meta information
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = bytes(132) + stream.decompress(raw[begin:])
    except zlib.error:
        return False
    last = list(elements(content))[-1:]
    is_whole = stream.eof and not stream.unused_data.strip(b"\0")
    return is_whole and [(e.tag, e.end) for e in last] == [(PIXEL_DATA, len(content))]
