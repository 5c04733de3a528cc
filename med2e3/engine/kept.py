"""What volumes cost to encode, kept on disk: a study of yesterday answers after reading a file.

A file holds the image features and the prefix's keys and values of one volume as one model sees it.
Its name is a hash of all that they depend on. Knows nothing of what is in a study.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import DynamicCache

import med2e3
from med2e3.engine.volume_cache import VolumeCache
from med2e3.files import OWN_FILE, cache_place, locked, private_folder, whole_file
from med2e3.model.placing import device_of
from med2e3.words import size_text

if TYPE_CHECKING:
    from med2e3.engine.backends.backend import Backend
    from med2e3.engine.info import ModelInfo

#: Bytes that all files take together: ten volumes of the published size in bfloat16.
KEPT_LIMIT = 3_000_000_000

#: Changes when the meaning of a file's tensors does.
FORMAT = "1"

#: Ends the names of the files.
SUFFIX = ".safetensors"

#: Begins the names of tensors: image features, and keys and values by layer.
FEATURE, KEYS, VALUES = "feature.", "keys.", "values."


def default_folder() -> Path:
    """The folder of this user's cache that the command line and the viewer share."""
    return cache_place("volumes")


class KeptVolumes:
    """The files of one folder, which several programs may use at once.

    A file is written whole or not at all, and is its owner's alone to read. One that is damaged, of
    another version, or foreign counts as missing and is replaced. When all take more than `limit`
    bytes, those that were used least recently go.
    """

    def __init__(self, folder: Path, limit: int = KEPT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        #: Why the last volume was not kept, as a sentence; "" when it was.
        self.said = ""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="kept-volumes")
        self._writing: Future[None] | None = None
        self._lock = threading.Lock()

    def find(self, name: str, backend: Backend) -> VolumeCache | None:
        """What was kept under a name of `name_of`, on the model's device; None without it."""
        if not name:
            return None
        path = self.folder / (name + SUFFIX)
        try:
            tensors, rows = _read(path, name)
            cache = _unpacked(backend, tensors, rows)
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            safetensors.SafetensorError,
        ):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            path.touch()
        return cache

    def keep(self, name: str, cache: VolumeCache) -> None:
        """Write a file for `cache`, later and on another thread; `said` tells what prevented it."""
        if not name:
            return
        tensors = _packed(cache)
        if tensors is None or sum(t.nbytes for t in tensors.values()) > self.limit:
            return
        rows = cache.prefix_rows
        with self._lock:
            self._writing = self._writer.submit(self._write, name, tensors, rows)

    def wait(self) -> None:
        """Return when everything that `keep` was given is written, or could not be."""
        with self._lock:
            writing = self._writing
        if writing is not None:
            writing.result()

    def clear(self) -> None:
        """Remove all files. Raises `OSError` where one cannot be removed."""
        self.wait()
        for path in self._files():
            path.unlink(missing_ok=True)

    @property
    def nbytes(self) -> int:
        """Bytes that the files take together."""
        return sum(size for _, size, _ in self._sizes())

    def _write(self, name: str, tensors: dict[str, Tensor], rows: int) -> None:
        path = self.folder / (name + SUFFIX)
        needed = sum(t.nbytes for t in tensors.values())
        try:
            private_folder(self.folder)
            flat = {key: t.detach().cpu().contiguous() for key, t in tensors.items()}
            sums = {key: f"{_checksum(t):08x}" for key, t in flat.items()}
            metadata = {"format": FORMAT, "name": name, "prefix_rows": str(rows)} | sums
            with locked(self.folder / ".lock"):
                self._make_room(needed, path)
                with whole_file(path) as draft:
                    draft.touch(mode=OWN_FILE)
                    save_file(flat, draft, metadata)
                    draft.chmod(OWN_FILE)
        except (OSError, safetensors.SafetensorError) as error:
            self.said = (
                f"What the model read of this volume ({size_text(needed)}) was not kept in "
                f"{self.folder}: {self._why(error, needed)}. The volume is read anew the next time."
            )
        else:
            self.said = ""

    def _why(self, error: Exception, needed: int) -> str:
        """What prevented a file, for the end of a sentence."""
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.folder).free
            if free < needed:
                return f"the disk has {size_text(free)} of room"
        reason = error.strerror if isinstance(error, OSError) else ""
        return reason or "the file could not be written"

    def _make_room(self, needed: int, own: Path) -> None:
        """Remove the least recently used files until `needed` bytes fit below the limit."""
        sizes = sorted((row for row in self._sizes() if row[2] != own), key=lambda row: row[0])
        total = sum(size for _, size, _ in sizes)
        for _, size, path in sizes:
            if total + needed <= self.limit:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _files(self) -> list[Path]:
        return list(self.folder.glob("*" + SUFFIX)) if self.folder.is_dir() else []

    def _sizes(self) -> list[tuple[float, int, Path]]:
        """When each file was last used, its bytes, and its path."""
        rows = []
        for path in self._files():
            with contextlib.suppress(OSError):  # another program removed it meanwhile
                status = path.stat()
                rows.append((status.st_mtime, status.st_size, path))
        return rows


def name_of(info: ModelInfo, grid: Tensor) -> str:
    """A hash of all that the tensors of a grid (1, S, H, W) depend on.

    It is "" for weights that are known by no hash. A hash of a large grid takes a while.
    """
    if not info.weights_sha256:
        return ""
    digest = hashlib.sha256()
    parts = (
        FORMAT,
        med2e3.__version__,
        torch.__version__,
        transformers.__version__,
        info.kind,
        info.weights_sha256,
        info.dtype,
        info.quantize,
        info.device,
        str(tuple(grid.shape)),
        str(grid.dtype),
    )
    digest.update("\n".join(parts).encode())
    digest.update(_bytes(grid.detach().cpu().contiguous()))
    return digest.hexdigest()


def _packed(cache: VolumeCache) -> dict[str, Tensor] | None:
    """The tensors of a cache by name; None where they lie on several devices, or are not whole."""
    features = {
        FEATURE + field.name: getattr(cache.features, field.name)
        for field in dataclasses.fields(cache.features)
    }
    tensors = {key: value for key, value in features.items() if isinstance(value, Tensor)}
    for number, layer in enumerate(cache.prefix.layers):
        if cache.prefix_rows:
            if layer.get_seq_length() != layer.keys.shape[-2]:
                return None  # a sliding window has dropped its first rows
            tensors |= {f"{KEYS}{number}": layer.keys, f"{VALUES}{number}": layer.values}
    return tensors if len({t.device for t in tensors.values()}) <= 1 else None


def _unpacked(backend: Backend, tensors: dict[str, Tensor], rows: int) -> VolumeCache:
    """The cache of `_packed`. Raises `KeyError` or `TypeError` for tensors of something else."""
    device = device_of(backend.network)
    there = {key: tensor.to(device) for key, tensor in tensors.items()}
    names = [field.name for field in dataclasses.fields(backend.features_class)]
    features = backend.features_class(**{name: there.get(FEATURE + name) for name in names})
    prefix = DynamicCache(config=backend.network.config.get_text_config())
    for number, layer in enumerate(prefix.layers):
        if rows:
            layer.update(there[f"{KEYS}{number}"], there[f"{VALUES}{number}"])
    return VolumeCache(features, prefix, rows)


def _read(path: Path, name: str) -> tuple[dict[str, Tensor], int]:
    """Tensors and prefix rows of a file. Raises `ValueError` for one that is not as written."""
    tensors = {}
    with safetensors.safe_open(path, framework="pt") as file:
        metadata: dict[str, Any] = file.metadata() or {}
        if metadata.get("format") != FORMAT or metadata.get("name") != name:
            raise ValueError("the file is of something else")
        for key in file.keys():  # noqa: SIM118 - a file is no dictionary
            tensors[key] = file.get_tensor(key).clone()
            if f"{_checksum(tensors[key]):08x}" != metadata[key]:
                raise ValueError("the file is damaged")
    return tensors, int(metadata["prefix_rows"])


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(_bytes(tensor))


def _bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
