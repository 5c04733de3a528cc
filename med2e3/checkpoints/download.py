"""Fetching one file from a hub: resumed, verified, and in place only when it is whole.

huggingface_hub makes the connections, with its proxies, certificates, redirects and offline mode.
Its own downloads (2.4) delete what an interrupted one brought, which is gigabytes here, and verify
the size of a file but not its hash. So parts, resuming and hashes are ours. This module and `store`
are the only ones that open a connection. Knows nothing of models.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
from huggingface_hub import get_session
from huggingface_hub.errors import OfflineModeIsEnabled

from med2e3.errors import Cancelled, DownloadError
from med2e3.files import file_sha256
from med2e3.words import size_text

#: Bytes between two reports: small enough for a smooth bar, large enough not to slow the transfer.
REPORTED = 1 << 20

#: Seconds without any byte after which a connection counts as lost.
SILENCE = 60.0

#: Bytes of a list of files; the longest published ones take some hundred kB.
MOST_JSON = 20_000_000

#: A lost connection is taken up again as long as each attempt brought something, this often.
ATTEMPTS = 20


@dataclass(frozen=True)
class RemoteFile:
    """A file on the server; `sha256` is empty where the server does not state it."""

    path: str
    url: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Connection:
    """The user's token, and functions that take the bytes received and say whether to stop.

    `received` takes a negative count for bytes that have to come again.
    """

    token: str = ""
    received: Callable[[int], None] = lambda count: None
    cancelled: Callable[[], bool] = lambda: False

    @contextmanager
    def open(self, url: str, first_byte: int = 0) -> Iterator[httpx2.Response]:
        """Send a GET from `first_byte` on; the body of the response is not read yet.

        Each GET opens a new connection, for the server may have closed a kept one meanwhile.
        Raises `DownloadError` for a refusal, `httpx2.HTTPError` for a connection that is lost.
        """
        headers = {"User-Agent": "med2e3", "Accept-Encoding": "identity", "Connection": "close"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if first_byte:
            headers["Range"] = f"bytes={first_byte}-"
        try:
            with get_session().stream("GET", url, headers=headers, timeout=SILENCE) as response:
                if response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    response.raise_for_status()
                yield response
        except httpx2.HTTPStatusError as error:
            raise DownloadError(_refused(url, error.response.status_code)) from error
        except OfflineModeIsEnabled as error:
            raise DownloadError(
                f"{url} was not asked: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set and forbids "
                "every download. Unset it, and run the same command again."
            ) from error


def get_json(url: str, connection: Connection) -> Any:
    """Ask a server for JSON; returns it parsed. Raises `DownloadError`."""
    try:
        with connection.open(url) as response:
            return json.loads(_bounded(response, url))
    except (httpx2.HTTPError, OSError) as error:
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
    """Download to `target`, resuming from `target` + ".part" if there is one; returns the SHA-256.

    `target` appears only when size and hash are right. Raises `DownloadError`, or `Cancelled`; in
    both cases the part is kept to resume from, unless its size or hash is wrong.
    """
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if _size_of(part) > remote.size:
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
    """Append to `part` what one connection brings; returns why the connection ended."""
    have = _size_of(part)
    try:
        with connection.open(remote.url, have) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
                connection.received(-have)
                return "the server refused to go on"
            stated = response.headers.get("Content-Range", "")
            resumed = have > 0 and stated.startswith(f"bytes {have}-")
            if have and not resumed:  # the server sends the whole file again
                connection.received(-have)
            with part.open("ab" if resumed else "wb") as file:
                _copy(response, file, connection, remote.size - (have if resumed else 0))
        return "closed by the server"
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"{remote.path}: {error}. Free the missing space, then run the same command again."
            ) from error
        return str(error) or type(error).__name__


def _bounded(response: httpx2.Response, url: str) -> bytes:
    """The body of an answer that should be small."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_JSON:
            raise DownloadError(
                f"{url} answers with more than {size_text(MOST_JSON)}, and a list of files takes "
                "less: something between here and the server answers in its place."
            )
    return bytes(body)


def _copy(response: httpx2.Response, file: BinaryIO, connection: Connection, most: int) -> None:
    """Write bytes as they come, so that what came before a cut is kept.

    Of a body that is longer than the `most` bytes that were stated, one byte too many is written,
    which tells that it is, and no more: it could fill the disk.
    """
    fresh, room = 0, most + 1
    try:
        for chunk in response.iter_bytes():
            if connection.cancelled():
                raise Cancelled("The download was stopped; what was fetched so far is kept.")
            file.write(chunk[:room])
            fresh += len(chunk[:room])
            room -= len(chunk)
            if room <= 0:
                return
            if fresh >= REPORTED:
                connection.received(fresh)
                fresh = 0
    finally:
        connection.received(fresh)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refused(url: str, code: int) -> str:
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f"{url} answers {code}: it wants to know who asks. Accept the model's terms on its "
            "page, then log in once with `hf auth login`, or set HF_TOKEN."
        )
    if code == HTTPStatus.NOT_FOUND:
        return f"{url} answers 404: the model was moved or withdrawn since this list was made."
    return f"{url} answers {code}. The server is busy or in repair; try again later."
