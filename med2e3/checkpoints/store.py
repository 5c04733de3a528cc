"""The published models on this computer: listing, finding and downloading them.

An installed model is an `owner/name` folder below the folder of models, or a snapshot in the hub's
cache. `download` alone opens a connection to fetch a model, after it has shown size and licence and
the user has agreed. Knows nothing of what is in the files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import filelock
import platformdirs
from huggingface_hub import constants, get_token, hf_hub_url

from med2e3.checkpoints.download import Connection, RemoteFile, fetch, get_json
from med2e3.checkpoints.hashes import RECORD_FILE, recorded
from med2e3.checkpoints.names import RELEASES, Release, find_release
from med2e3.errors import Cancelled, DownloadError, ResourceError
from med2e3.files import file_sha256
from med2e3.resources import resource_path
from med2e3.words import GIGABYTE, size_text

#: Ends the name of a folder whose files are still being fetched.
INCOMPLETE = ".incomplete"

#: Says, while a download is under way, which revision its parts belong to.
REVISION_FILE = ".revision"

#: More than the stated size by this factor is asked about again before it is fetched.
SURPRISE = 1.1


#: Takes the fraction done (0 to 1) and what is being done.
Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Entry:
    """One model of the list; `path` is empty if it is not installed."""

    name: str
    title: str
    kind: str
    repo: str
    size_bytes: int
    size_is_exact: bool
    licence: str
    sha256: str
    path: str

    @property
    def installed(self) -> bool:
        """Whether the files of the model are on this computer."""
        return bool(self.path)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dict that JSON can hold."""
        return {**asdict(self), "installed": self.installed}

    def line(self) -> str:
        """Three lines for a terminal: name, size and folder; title; licence and hashes."""
        about = "" if self.size_is_exact else "about "
        size = f"{about}{size_text(self.size_bytes)}"
        here = f"installed in {self.path}" if self.installed else "not installed"
        return (
            f"{self.name}  {size}  {here}\n    {self.title}\n"
            f"    licence: {self.licence}; SHA-256: {self.sha256 or 'unknown'}"
        )


def models_folder() -> Path:
    """The folder of models: MED2E3_MODELS, else one in the user's data folder."""
    chosen = os.environ.get("MED2E3_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_data_dir("med2e3", appauthor=False)) / "models"


def find_installed(repo: str, root: Path | None = None) -> Path | None:
    """Find a hub id on this computer, among the downloads, else in the hub's cache."""
    own = (root or models_folder()).joinpath(*repo.split("/"))
    if own.is_dir():
        return own
    return _in_hub_cache(repo)


def _in_hub_cache(repo: str) -> Path | None:
    """The snapshot of the main branch in the cache that huggingface_hub keeps."""
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    reference = folder / "refs" / "main"
    if reference.is_file():
        snapshot = folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
        if snapshot.is_dir():
            return snapshot
    return None


def list_models(root: Path | None = None) -> tuple[Entry, ...]:
    """List the demo model, the published models, and the others in the folder of models."""
    folder = root or models_folder()
    entries = [entry for entry in (_demo_entry(),) if entry is not None]
    entries += [_release_entry(release, folder) for release in RELEASES]
    listed = {entry.path for entry in entries}
    for config in sorted([*folder.glob("*/config.json"), *folder.glob("*/*/config.json")]):
        if str(config.parent) not in listed and not _is_unfinished(config.parent):
            entries.append(_local_entry(config, folder))
    return tuple(entries)


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder belongs to a download or conversion that has not ended."""
    return folder.name.endswith(INCOMPLETE) or folder.name.startswith(".")


def _demo_entry() -> Entry | None:
    from med2e3.errors import Med2E3Error

    try:
        path = resource_path("demo-model")
        weights = path / "model.safetensors"
        sha256 = file_sha256(weights)
    except (Med2E3Error, OSError):
        return None
    title = "the demo model that ships with the product, trained on synthetic phantoms"
    return Entry("demo", title, "med2e3", "", _size(path), True, "Apache-2.0", sha256, str(path))


def _release_entry(release: Release, root: Path) -> Entry:
    path = find_installed(release.repo, root)
    size = int(release.gigabytes * GIGABYTE) if path is None else _size(path)
    return Entry(
        name=release.name,
        title=release.title,
        kind=release.kind,
        repo=release.repo,
        size_bytes=size,
        size_is_exact=path is not None,
        licence=release.licence,
        sha256=_hashes(release, path),
        path=str(path or ""),
    )


def _local_entry(config: Path, root: Path) -> Entry:
    folder = config.parent
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        kind = str(settings.get("model_type", "")) if isinstance(settings, dict) else ""
    except (OSError, ValueError):
        kind = ""
    name = folder.relative_to(root).as_posix()
    return Entry(
        name, "a model folder on this computer", kind or "unknown", "", _size(folder), True,
        "see its model card", "", str(folder),
    )  # fmt: skip


def _hashes(release: Release, path: Path | None) -> str:
    """The pinned, else the recorded hashes of the weights, as "file hash", separated by commas."""
    hashes = dict(release.sha256)
    if not hashes and path is not None:
        hashes = {name: entry["sha256"] for name, entry in recorded(path).items()}
    weights = {n: h for n, h in hashes.items() if n.endswith((".safetensors", ".bin"))}
    return ", ".join(f"{name} {value}" for name, value in sorted(weights.items()))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def download(
    name: str,
    *,
    confirm: Callable[[str], bool],
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    root: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetch a published model and the models that it needs; returns the folder of the model.

    Before any connection is opened, `confirm` gets size, licence and destination as text and
    returns whether to go on. A download that was interrupted resumes when it is started again. The
    folder appears only when all its files are whole. `endpoint` is another server than that of
    huggingface_hub. Raises `DownloadError`,
    `ResourceError` (disk), `CheckpointError` (unknown name), `Cancelled`.
    """
    release = find_release(name)
    folder = root or models_folder()
    wanted = [find_release(other) for other in release.needs] + [release]
    missing = [one for one in wanted if find_installed(one.repo, folder) is None]
    if missing:
        stated = int(sum(one.gigabytes for one in missing) * GIGABYTE)
        _ask(confirm, _terms(missing, stated, folder))
        _check_disk(folder, stated)
    server = endpoint or constants.ENDPOINT
    for one in missing:
        job = _Job(one, folder, server.rstrip("/"), confirm, progress, cancelled)
        job.run()
    found = find_installed(release.repo, folder)
    if found is None:
        raise DownloadError(f"{release.name} vanished from {folder} while it was being installed.")
    return found


def _ask(confirm: Callable[[str], bool], terms: str) -> None:
    if not confirm(terms):
        raise Cancelled("Nothing was downloaded.")


def _terms(releases: list[Release], size: int, folder: Path) -> str:
    lines = [f"{one.title}\n  from {one.repo}, licence: {one.licence}" for one in releases]
    return "\n".join([*lines, f"About {size_text(size)} will be stored in {folder}."])


def _check_disk(folder: Path, need: int) -> None:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < need:
        raise ResourceError(
            f"{size_text(need)} are needed in {folder}, but {size_text(free)} are free. Free some "
            "space, or set MED2E3_MODELS to a folder on another disk."
        )


@dataclass
class _Job:
    """The download of one release: its files are listed, then fetched into a staging folder."""

    release: Release
    root: Path
    server: str
    confirm: Callable[[str], bool]
    progress: Report | None
    cancelled: Callable[[], bool] | None
    done: int = 0
    total: int = 1
    current: str = ""

    def run(self) -> None:
        """Fetch all files and move the staging folder into place, under a lock for one program."""
        target = self.root.joinpath(*self.release.repo.split("/"))
        staging = target.with_name(target.name + INCOMPLETE)
        staging.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(staging.with_name(staging.name + ".lock"), timeout=0):
                self._fill(staging)
                (staging / REVISION_FILE).unlink()
                staging.replace(target)
        except filelock.Timeout as error:
            raise DownloadError(
                f"{self.release.name} is being downloaded by another program already; wait for it."
            ) from error
        staging.with_name(staging.name + ".lock").unlink(missing_ok=True)

    def _fill(self, staging: Path) -> None:
        connection = Connection(self._token(), self._received, self.cancelled or (lambda: False))
        revision, files = self._listing(connection)
        self._drop_other_revision(staging, revision)
        self.total = max(1, sum(file.size for file in files))
        if self.total > SURPRISE * self.release.gigabytes * GIGABYTE + 1e6:
            _ask(
                self.confirm,
                f"{self.release.name} is larger than listed: {size_text(self.total)} in all.",
            )
        self.done = sum(_have(staging / file.path) for file in files)
        _check_disk(self.root, self.total - self.done)
        record: dict[str, Any] = {}
        for file in files:
            self.current = file.path
            target = staging / file.path
            digest = file_sha256(target) if target.exists() else fetch(file, target, connection)
            record[file.path] = {"size": file.size, "sha256": digest}
        source = {"source": f"{self.server}/{self.release.repo}", "revision": revision}
        text = json.dumps({**source, "files": record}, indent=2) + "\n"
        (staging / RECORD_FILE).write_text(text, encoding="utf-8")

    def _received(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            so_far = f"{size_text(self.done)} of {size_text(self.total)}"
            self.progress(min(1.0, self.done / self.total), f"{self.current} ({so_far})")

    def _listing(self, connection: Connection) -> tuple[str, list[RemoteFile]]:
        """Ask the server for the newest revision and its files; returns those that are needed."""
        url = f"{self.server}/api/models/{self.release.repo}/revision/main?blobs=true"
        answer = get_json(url, connection)
        try:
            revision = str(answer["sha"])
            siblings = [one for one in answer["siblings"] if self._wanted(str(one["rfilename"]))]
            files = [self._remote(one, revision) for one in siblings]
        except (KeyError, TypeError, ValueError) as error:
            raise DownloadError(
                f"{url} does not list its files as expected ({error!r}); the hub's interface has "
                "changed, or another server answers in its place."
            ) from error
        if not files:
            raise DownloadError(f"{url} lists none of the files that {self.release.name} needs.")
        return revision, files

    def _wanted(self, path: str) -> bool:
        kept, dropped = (
            any(fnmatchcase(path, pattern) for pattern in patterns)
            for patterns in (self.release.files, self.release.without)
        )
        return kept and not dropped

    def _remote(self, listed: dict[str, Any], revision: str) -> RemoteFile:
        path = str(listed["rfilename"])
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path:
            raise ValueError(f"the path {path!r} leads out of the model's folder")
        stated = str((listed.get("lfs") or {}).get("sha256", ""))
        return RemoteFile(
            path=path,
            url=hf_hub_url(self.release.repo, path, revision=revision, endpoint=self.server),
            size=int(listed["size"]),
            sha256=self.release.sha256.get(path, stated),
        )

    def _token(self) -> str:
        """The user's token for the hub, for gated models; "" if there is none, or no TLS."""
        return get_token() or "" if self.server.startswith("https://") else ""

    @staticmethod
    def _drop_other_revision(staging: Path, revision: str) -> None:
        """Empty the staging folder if its files are of another revision."""
        mark = staging / REVISION_FILE
        if mark.exists() and mark.read_text(encoding="utf-8") != revision:
            shutil.rmtree(staging)
            staging.mkdir()
        mark.write_text(revision, encoding="utf-8")


def _have(target: Path) -> int:
    """Bytes of a file that an earlier download left, whole or in part."""
    for path in (target, target.with_name(target.name + ".part")):
        if path.exists():
            return path.stat().st_size
    return 0
