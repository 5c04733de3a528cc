"""Fetching one file over HTTP: resumed, verified, and never left half-written as if whole.

Knows nothing of models. This module and `store` are the only ones that open a connection.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from med2e3.errors import Cancelled, DownloadError

#: Bytes read at once: small enough for a smooth bar and a quick stop, large enough for the wire.
CHUNK = 1 << 20

#: Seconds without any byte after which a connection counts as lost.
SILENCE = 60.0

#: A lost connection is taken up again as long as each attempt brought something, this often.
ATTEMPTS = 20

_LOST = (urllib.error.URLError, http.client.HTTPException, OSError)


@dataclass(frozen=True)
class RemoteFile:
    """A file on the server; `sha256` is empty where the server does not state it."""

    path: str
    url: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Connection:
    """How to talk to the server, and how to report and stop."""

    token: str = ""
    received: Callable[[int], None] = lambda count: None
    cancelled: Callable[[], bool] = lambda: False

    def open(self, url: str, first_byte: int = 0) -> Any:
        """The response to a GET from `first_byte` on. Raises what urllib raises."""
        request = urllib.request.Request(url, headers={"User-Agent": "med2e3"})
        if self.token:  # not passed on to where the server redirects to
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        if first_byte:
            request.add_header("Range", f"bytes={first_byte}-")
        return urllib.request.urlopen(request, timeout=SILENCE)


def get_json(url: str, connection: Connection) -> Any:
    """What the server answers, as parsed JSON. Raises `DownloadError`."""
    try:
        with connection.open(url) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise DownloadError(_refused(url, error.code)) from error
    except _LOST as error:
        raise DownloadError(
            f"{url} cannot be reached ({error}). Check the network or the proxy settings, and try "
            "again; what was fetched so far is kept."
        ) from error
    except ValueError as error:
        raise DownloadError(
            f"{url} did not answer with JSON: something between here and the server, such as a "
            "login page of the network, answers in its place."
        ) from error


def fetch(remote: RemoteFile, target: Path, connection: Connection) -> str:
    """Download to `target`, going on from `target` + ".part" if there is one; returns the SHA-256.

    `target` appears only when size and hash are right. Raises `DownloadError`, or `Cancelled`;
    in both cases the part stays for the next time, unless it is what was wrong.
    """
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and part.stat().st_size > remote.size:
        part.unlink()
    have, before, reason = _size_of(part), -1, ""
    for _ in range(ATTEMPTS):
        if (have >= remote.size and part.exists()) or have <= before:
            break  # complete, or the last attempt brought nothing and the next will not either
        before = have
        reason = _continue(remote, part, connection)
        have = _size_of(part)
    if have < remote.size:
        raise DownloadError(
            f"{remote.path}: the connection ended at {have} of {remote.size} bytes ({reason}). "
            "Run the same command again: it goes on from there."
        )
    digest = file_sha256(part)
    if have > remote.size or (remote.sha256 and digest != remote.sha256):
        part.unlink()
        raise DownloadError(
            f"{remote.path}: {have} bytes with SHA-256 {digest} came, but {remote.size} bytes with "
            f"{remote.sha256 or 'any hash'} were expected. The file was damaged or exchanged on "
            "its way and is deleted; run the same command again."
        )
    part.replace(target)
    return digest


def _continue(remote: RemoteFile, part: Path, connection: Connection) -> str:
    """One connection's worth of bytes appended to `part`; returns why it ended."""
    have = _size_of(part)
    try:
        with connection.open(remote.url, have) as response:
            resumed = have > 0 and _starts_at(response, have)
            if have and not resumed:  # the server sends the whole file again
                connection.received(-have)
            with part.open("ab" if resumed else "wb") as file:
                _copy(response, file, connection)
        return "closed by the server"
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            connection.received(-have)
            part.unlink()
            return "the server refused to go on"
        raise DownloadError(_refused(remote.url, error.code)) from error
    except _LOST as error:
        if _is_disk_full(error):
            raise DownloadError(
                f"{remote.path}: {error}. Free the missing space, then run the same command again."
            ) from error
        return str(error) or type(error).__name__


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _starts_at(response: Any, first_byte: int) -> bool:
    """Whether the answer holds the bytes from `first_byte` on, and not the whole file."""
    stated = str(response.headers.get("Content-Range", ""))
    return bool(
        response.status == http.HTTPStatus.PARTIAL_CONTENT
        and stated.startswith(f"bytes {first_byte}-")
    )


def _copy(response: Any, file: BinaryIO, connection: Connection) -> None:
    while chunk := response.read(CHUNK):
        if connection.cancelled():
            raise Cancelled("The download was stopped; what was fetched so far is kept.")
        file.write(chunk)
        connection.received(len(chunk))


def _is_disk_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _refused(url: str, code: int) -> str:
    if code in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return (
            f"{url} answers {code}: it wants to know who asks. Accept the model's terms on its "
            "page, then log in once with `hf auth login`, or set HF_TOKEN."
        )
    if code == http.HTTPStatus.NOT_FOUND:
        return f"{url} answers 404: the model was moved or withdrawn since this list was made."
    return f"{url} answers {code}. The server is busy or in repair; try again later."


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
