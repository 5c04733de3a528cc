"""The one place that turns an exception into a sentence for the user."""

from __future__ import annotations

import errno
import traceback

from app.viewmodels.core.work import Message
from med2e3.errors import Med2E3Error

#: What the system says where there is no room: full, over the user's share, a file grown too large.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explain(error: BaseException) -> Message:
    """The project's own errors unchanged; the system's in plain words; others with details."""
    if isinstance(error, Med2E3Error):
        return Message(str(error), _cause(error))
    if isinstance(error, MemoryError):
        return Message(
            "There is not enough memory for this. Close other programs, or open a smaller series.",
            _trace(error),
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        where = f" for “{error.filename}”" if error.filename else ""
        return Message(
            f"There is no room left on the disk{where}. Free some space, then try again.",
            _trace(error),
        )
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return Message(
            f"“{error.filename}” cannot be written: the disk is for reading only. "
            "Choose a place on another one.",
            _trace(error),
        )
    if isinstance(error, PermissionError):
        return Message(
            f"“{error.filename}” may not be opened: the system refused access. "
            "Check the permissions, or use a folder of your own.",
            _trace(error),
        )
    if isinstance(error, OSError) and error.filename is not None:
        return Message(
            f"“{error.filename}” could not be read: {error.strerror}. "
            "Check that the drive is connected, then open it again.",
            _trace(error),
        )
    return Message(
        f"Something unexpected went wrong ({type(error).__name__}). What was open is unchanged. "
        "Please report it with the details below.",
        _trace(error),
    )


def _cause(error: BaseException) -> str:
    return _trace(error.__cause__) if error.__cause__ is not None else ""


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).strip()
