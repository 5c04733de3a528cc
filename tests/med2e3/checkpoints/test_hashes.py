"""The hash of a model's weights is remembered where that is possible, and right where not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from med2e3.checkpoints import hashes


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file too large to hash at each start, and a cache folder that is not there yet."""
    monkeypatch.setattr(hashes, "QUICK_TO_HASH", 1)
    monkeypatch.setattr(
        "platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache" / "med2e3")
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def _hashed(weights: Path) -> tuple[str, int]:
    """The hash, and how often files were read for it."""
    reports: list[float] = []
    found = hashes.weights_hash([weights], weights.parent, lambda share, _: reports.append(share))
    return found, len(reports)


def test_a_large_models_hash_is_remembered(weights: Path) -> None:
    right = hashlib.sha256(b"weights").hexdigest()
    assert _hashed(weights) == (right, 1)
    assert _hashed(weights) == (right, 0)
    weights.write_bytes(b"others")
    assert _hashed(weights) == (hashlib.sha256(b"others").hexdigest(), 1)


def test_a_cache_that_cannot_be_written_costs_the_hashing_alone(weights: Path) -> None:
    (weights.parent / "cache").write_text("a file where the folder would be")
    right = hashlib.sha256(b"weights").hexdigest()
    assert _hashed(weights) == (right, 1)
    assert _hashed(weights) == (right, 1)


def test_a_damaged_memory_is_made_anew(weights: Path) -> None:
    folder = weights.parent / "cache" / "med2e3"
    folder.mkdir(parents=True)
    (folder / "hashes.json").write_text('{"half')
    assert _hashed(weights)[1] == 1
    assert _hashed(weights)[1] == 0
