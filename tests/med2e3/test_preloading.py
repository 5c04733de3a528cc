"""Torch's libraries are loaded without Python's lock, and importing it then finds them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from med2e3.preloading import TORCH, preload_modules, preload_torch

#: A thread counts while the libraries load: it could not if the lock were held.
SCRIPT = """
import sys, threading
from med2e3 import preloading

sys.setswitchinterval(0.0001)
assert "torch" not in sys.modules
loaded = []
worker = threading.Thread(target=lambda: loaded.append(preloading.preload_torch()))
worker.start()
turns = 0
while not loaded:
    turns += 1
worker.join()
import torch
maps = open("/proc/self/maps").read() if sys.platform == "linux" else "libtorch_cpu"
assert "libtorch_cpu" in maps
assert torch.ones(2).sum() == 2
print(loaded[0], turns)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs dlopen")
def test_torch_is_preloaded_and_then_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded, turns = map(int, done.stdout.split())
    assert loaded == len(TORCH)
    assert turns > 1000, "the other thread stood still"


def test_what_is_imported_already_is_not_loaded_again() -> None:
    import torch  # noqa: F401

    assert preload_torch() == 0


def test_what_cannot_be_loaded_is_left_to_the_import() -> None:
    assert preload_modules("no_such_package", ["x"]) == 0
    assert preload_modules("numpy", ["no_such_module"]) == 0
