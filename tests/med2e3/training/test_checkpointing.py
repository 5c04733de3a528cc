"""Checkpoints on disk: equal for equal states, never half-written, and readable from before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from med2e3.training.checkpointing import restore, save


def _module() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    module = nn.Linear(3, 2)
    return module, torch.optim.AdamW(module.parameters())


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    module, optimizer = _module()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "stage.pt", module, optimizer, 7)
    written = [tmp_path / folder / "stage.pt" for folder in ("one", "two")]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_a_checkpoint_that_cannot_be_finished_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stage.pt"
    module, optimizer = _module()
    save(path, module, optimizer, 7)

    def stop_halfway(state: object, stream: object) -> None:
        stream.write(b"half")
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("torch.save", stop_halfway)
        with pytest.raises(OSError, match="full"):
            save(path, module, optimizer, 8)
    assert restore(path, module, optimizer) == 7
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_the_version_before_is_read(tmp_path: Path) -> None:
    """It was saved to a path, under whose name the tensors lie in the archive."""
    module, optimizer = _module()
    path = tmp_path / "stage.pt"
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": 5}
    torch.save(state, tmp_path / "stage.part")
    (tmp_path / "stage.part").replace(path)
    assert restore(path, module, optimizer) == 5
