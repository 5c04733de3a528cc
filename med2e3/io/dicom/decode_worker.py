"""The process that `decode_pool` starts: a list of paths comes in, decoded pixels go out.

Knows nothing of the caller. Run as `python -m med2e3.io.dicom.decode_worker`.
"""

from __future__ import annotations

import pickle
import sys
from typing import IO, Any

import numpy as np

from med2e3.errors import ImageReadError
from med2e3.io.dicom.decode import decode, whole_file
from med2e3.io.dicom.decode_pool import ERROR, LENGTH_BYTES, READY


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """One pickled list of paths in; `READY`, then one answer a path out.

    An answer is (dtype, shape, bytes), or (`ERROR`, None, the message), pickled.
    """
    _send(answers, READY)
    for path in pickle.loads(requests.read()):
        try:
            image = np.ascontiguousarray(decode(whole_file(path), path, 0))
            answer: tuple[str, Any, Any] = (image.dtype.str, image.shape, image.tobytes())
        except ImageReadError as error:
            answer = (ERROR, None, str(error))
        _send(answers, pickle.dumps(answer))


def _send(answers: IO[bytes], body: bytes) -> None:
    answers.write(len(body).to_bytes(LENGTH_BYTES, "little") + body)
    answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
