"""Free memory within a container's limit, read from made control-group files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from med2e3 import memory

GB = 10**9


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer with 64 GB free."""
    monkeypatch.setattr(
        "med2e3.memory.psutil.virtual_memory", lambda: SimpleNamespace(available=64 * GB)
    )


def v2(folder: Path, limit: str, use: int, **statistics: int) -> None:
    """A group of version 2."""
    _write(folder, {"memory.max": limit, "memory.current": f"{use}"}, statistics)


def v1(folder: Path, limit: int, use: int, **statistics: int) -> None:
    """A group of version 1."""
    named = {"memory.limit_in_bytes": f"{limit}", "memory.usage_in_bytes": f"{use}"}
    _write(folder, named, statistics)


def _write(folder: Path, named: dict[str, str], statistics: dict[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in named.items():
        (folder / name).write_text(f"{content}\n")
    lines = [f"{name} {count}\n" for name, count in statistics.items()]
    (folder / "memory.stat").write_text("".join(lines))


def free(tmp_path: Path, *own: str) -> int:
    """What is free for a process whose /proc/self/cgroup holds these lines."""
    (tmp_path / "own").write_text("".join(f"{line}\n" for line in own))
    return memory.free_bytes(tmp_path / "cgroup", tmp_path / "own")


def test_page_cache_counts_as_free_in_a_container_of_version_2(tmp_path: Path) -> None:
    v2(
        tmp_path / "cgroup", f"{8 * GB}", 7 * GB,
        anon=GB, file=6 * GB, inactive_file=4 * GB, active_file=2 * GB,
    )  # fmt: skip
    assert free(tmp_path, "0::/") == 7 * GB


def test_page_cache_counts_as_free_in_a_container_of_version_1(tmp_path: Path) -> None:
    """The container's own files lie at the root; its path is the one seen from outside."""
    v1(
        tmp_path / "cgroup" / "memory", 8 * GB, 7 * GB,
        inactive_file=1, active_file=1, total_inactive_file=4 * GB, total_active_file=2 * GB,
    )  # fmt: skip
    assert free(tmp_path, "3:cpuset:/docker/1a", "5:cpu,memory:/docker/1a", "0::/") == 7 * GB


def test_shared_memory_is_in_use_though_it_counts_as_files(tmp_path: Path) -> None:
    v2(tmp_path / "cgroup", f"{8 * GB}", 7 * GB, file=6 * GB, shmem=6 * GB, inactive_file=0)
    assert free(tmp_path, "0::/") == GB


def test_the_narrowest_of_nested_groups_counts(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    v2(root / "user.slice" / "app.scope", f"{4 * GB}", GB)
    v2(root / "user.slice", f"{6 * GB}", 5 * GB)
    assert free(tmp_path, "0::/user.slice/app.scope") == GB
    v2(root / "user.slice", "max", 5 * GB)
    assert free(tmp_path, "0::/user.slice/app.scope") == 3 * GB


def test_nested_groups_of_version_1_count_too(tmp_path: Path) -> None:
    root = tmp_path / "cgroup" / "memory"
    v1(root / "batch" / "job", 4 * GB, GB, total_inactive_file=GB)
    v1(root / "batch", 3 * GB, 2 * GB, total_inactive_file=GB)
    assert free(tmp_path, "4:memory:/batch/job") == 2 * GB


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_without_a_limit_the_computer_counts(tmp_path: Path, limit: str) -> None:
    v2(tmp_path / "cgroup", limit, 7 * GB)
    assert free(tmp_path, "0::/") == 64 * GB


def test_a_limit_above_what_the_computer_has_gives_no_more(tmp_path: Path) -> None:
    v2(tmp_path / "cgroup", f"{100 * GB}", GB)
    assert free(tmp_path, "0::/") == 64 * GB


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    v2(tmp_path / "cgroup", f"{GB}", 2 * GB)
    assert free(tmp_path, "0::/") == 0


def test_no_group_is_looked_for_outside_of_those_that_are_visible(tmp_path: Path) -> None:
    v2(tmp_path / "cgroup", "max", GB)
    v2(tmp_path / "other", "1000", 0)
    assert free(tmp_path, "0::/../other") == 64 * GB


def test_other_systems_have_no_groups(tmp_path: Path) -> None:
    assert memory.free_bytes(tmp_path / "cgroup", tmp_path / "none") == 64 * GB


def test_models_and_series_read_one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from med2e3.checkpoints.memory import free_memory
    from med2e3.io import budget

    monkeypatch.setattr("med2e3.memory._groups", lambda *_: [])
    assert budget.free_bytes() == free_memory(torch.device("cpu")) == 64 * GB
