"""The columns of a study's table, and its parts on disk. Knows nothing of how rows are computed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from med2e3.errors import ResourceError
from med2e3.files import whole_file
from med2e3.study.extras import optional

Row = dict[str, Any]

#: Types by the names that pyarrow has for them.
TEXT, WHOLE, NUMBER, FLAG = "string", "int64", "float64", "bool"
TEXTS, WHOLES, NUMBERS, SINGLES = "list string", "list int32", "list float64", "list float32"

#: Columns with the type of each. `scores` are the weights of the model's slices, S of them, and
#: `from_mm`, `to_mm`, `first_slice`, `last_slice` (0-based, along the volume's own axis) say where
#: each lies. `probability` is that of the whole answer, the product of `token_probabilities`.
#: `record` is the answer's record as JSON without its times. `error` is empty where there is an
#: answer. `part` is the hash of everything that changes the row.
COLUMNS: dict[str, str] = {
    "volume": TEXT,
    "model": TEXT,
    "question_name": TEXT,
    "question": TEXT,
    "answer": TEXT,
    "probability": NUMBER,
    "finish_reason": TEXT,
    "error": TEXT,
    "scores": SINGLES,
    "from_mm": NUMBERS,
    "to_mm": NUMBERS,
    "first_slice": WHOLES,
    "last_slice": WHOLES,
    "effective_slices": NUMBER,
    "boxes": TEXT,
    "mask_ml": NUMBERS,
    "token_ids": WHOLES,
    "token_probabilities": NUMBERS,
    "plane": TEXT,
    "window": NUMBERS,
    "warnings": TEXTS,
    "path": TEXT,
    "study_uid": TEXT,
    "series_uid": TEXT,
    "volume_sha256": TEXT,
    "weights_sha256": TEXT,
    "kind": TEXT,
    "dtype": TEXT,
    "processor": TEXT,
    "threads": WHOLE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "seed": WHOLE,
    "max_new_tokens": WHOLE,
    "med2e3": TEXT,
    "torch": TEXT,
    "transformers": TEXT,
    "record": TEXT,
    "part": TEXT,
    "seconds_reading": NUMBER,
    "seconds_encoding": NUMBER,
    "seconds_to_first_token": NUMBER,
    "seconds": NUMBER,
    "finished": TEXT,
    "worker": TEXT,
}

#: Columns that differ between two runs of one plan; all others are equal, bit for bit.
OF_THE_RUN = (
    "seconds_reading", "seconds_encoding", "seconds_to_first_token", "seconds", "finished",
    "worker",
)  # fmt: skip


def schema() -> Any:
    """The table's schema, as pyarrow has it."""
    pyarrow = optional("pyarrow")
    kinds = {
        TEXT: pyarrow.string(),
        WHOLE: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        FLAG: pyarrow.bool_(),
        TEXTS: pyarrow.list_(pyarrow.string()),
        WHOLES: pyarrow.list_(pyarrow.int32()),
        NUMBERS: pyarrow.list_(pyarrow.float64()),
        SINGLES: pyarrow.list_(pyarrow.float32()),
    }
    return pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write a part whole or not at all, on the disk before it is there.

    Raises `ResourceError` where the disk is full or cannot be written.
    """
    table = optional("pyarrow").Table.from_pylist(list(rows), schema=schema())
    _write(table, path)


def join_parts(paths: Sequence[Path], path: Path) -> Any:
    """Write the rows of all parts, in order, as one table, and return it."""
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    table = pyarrow.concat_tables([parquet.read_table(p, schema=schema()) for p in paths])
    _write(table, path)
    return table


def _write(table: Any, path: Path) -> None:
    parquet = optional("pyarrow.parquet")
    with writing(path), whole_file(path, durable=True) as draft:
        parquet.write_table(table, draft, compression="zstd")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An `OSError` of the body comes out as a `ResourceError` that says what can be done."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise ResourceError(
            f"{path} cannot be written: {why}. What was finished is kept: make "
            "room, or the folder writable, and run the same command again."
        ) from error
