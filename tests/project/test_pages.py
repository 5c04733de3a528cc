"""The pages are held to the code: trees, links, commands, public names, and what is declared."""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import med2e3
from med2e3 import errors

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

#: Pages that people read; their links and commands must work.
PAGES = (
    "README.md", "CONTRIBUTING.md", "app/README.md", "med2e3/README.md",
    "med2e3/evidence/README.md", "med2e3/study/README.md", "med2e3/training/README.md",
    "resources/benchmarks/README.md",
    "resources/demo-model/README.md", "resources/insight/README.md",
)  # fmt: skip

#: A newcomer reads this many lines.
README_LINES = 150


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", text_of(page), re.S | re.M)
    return [body for fence, body in found if fence == language]


def commands() -> list[str]:
    """What the README shows after a `$`."""
    lines = [line for block in blocks("README.md", "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def chains() -> list[tuple[str, ...]]:
    """Each command by itself, but those of one run together: what one makes, the next reads."""
    listed = commands()
    run = tuple(line for line in listed if "runs/" in line)
    return [run, *((line,) for line in listed if line not in run)]


def test_the_readme_is_short_enough_for_a_newcomer() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


def test_trees_are_those_of_the_docstrings() -> None:
    done = subprocess.run(
        [sys.executable, "tests/project/tree.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["app", "med2e3"])
def test_every_module_stands_in_the_tree_under_its_own_folder(package: str) -> None:
    block = next(b for b in blocks(f"{package}/README.md", "") if b.startswith(f"{package}/"))
    folders: list[str] = []
    listed = set()
    for line in block.splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            listed.add("".join(folders) + name)
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert found == listed


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    for target in targets:
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    named = re.findall(r"`((?:app|med2e3|tests|resources)/[\w./-]+)`", text_of(page))
    for name in named:
        assert (ROOT / name).exists(), f"{page} names {name}"


@pytest.mark.parametrize("chain", chains(), ids=" && ".join)
def test_commands_of_the_readme_run(chain: tuple[str, ...], tmp_path: Path) -> None:
    for command in chain:
        words = shlex.split(command)
        assert words[0] == "med2e3"
        done = subprocess.run(
            [BIN / words[0], *(re.sub("^runs/", f"{tmp_path}/", word) for word in words[1:])],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = blocks("README.md", "python")
    said = io.StringIO()
    names: dict[str, object] = {}
    with redirect_stdout(said):
        exec(block, names)
    assert names["answer"].text  # type: ignore[attr-defined]
    assert said.getvalue().endswith(names["answer"].text)  # type: ignore[attr-defined]


def test_the_python_for_a_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its last line, which opens a window where there is no notebook."""
    monkeypatch.chdir(ROOT)
    (block,) = blocks("med2e3/README.md", "python")
    *lines, last = block.strip().splitlines()
    assert "show3d" in last
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    assert names["answer"].text  # type: ignore[attr-defined]


def test_the_plan_of_a_study_is_read(tmp_path: Path) -> None:
    from med2e3.study import read_plan

    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.nii.gz").write_bytes(b"")
    (tmp_path / "plan.yaml").write_text(blocks("med2e3/study/README.md", "yaml")[0])
    plan = read_plan(tmp_path / "plan.yaml")
    assert [volume.name for volume in plan.volumes] == ["scans/a.nii.gz", "ct-17"]
    assert [model.name for model in plan.models] == ["demo", "released"]


def test_the_makefile_has_what_the_pages_call() -> None:
    called = {name for page in PAGES for name in re.findall(r"`make\s([a-z-]+)`", text_of(page))}
    shown = "\n".join(blocks("README.md", "sh"))
    called |= set(re.findall(r"^make ([a-z-]+)", shown, re.M))
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.M))
    assert {"run", "test", "lint"} <= called, called
    assert called <= targets, called - targets


def test_the_files_to_read_first_are_seventeen() -> None:
    part = text_of("README.md").split("**Read these 17 files first**")[1].split("\n\n[")[0]
    names: list[str] = []
    folder = ""
    for name in re.findall(r"`([\w/.]+\.py)`", part):
        if name.startswith("med2e3/"):
            folder = name.rpartition("/")[0]
        names.append(name if name.startswith("med2e3/") else f"{folder}/{name}")
    assert len(set(names)) == 17
    for name in names:
        assert (ROOT / name).is_file(), name


def test_public_names_are_exactly_those_that_are_listed() -> None:
    assert sorted(med2e3.__all__) == med2e3.__all__
    assert set(med2e3._HOMES) == set(med2e3.__all__)
    for name, home in med2e3._HOMES.items():
        assert getattr(med2e3, name) is getattr(importlib.import_module(home), name)
    listed = {name for name in dir(med2e3) if not name.startswith("_")}
    assert set(med2e3.__all__) <= listed


def test_the_version_stands_in_one_place() -> None:
    wanted = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text_of("med2e3/__init__.py"), re.M)
    assert wanted
    assert "version = " not in text_of("pyproject.toml").split("[project]")[1].split("\n[")[0]


def test_the_tree_of_errors_stands_in_their_docstring() -> None:
    def rows(kind: type, depth: int) -> list[str]:
        own = [k for k in kind.__subclasses__() if k.__module__ == errors.__name__]
        return [
            "    " * depth + kind.__name__,
            *(
                row
                for inner in sorted(own, key=lambda k: k.__name__)
                for row in rows(inner, depth + 1)
            ),
        ]

    said = errors.__doc__ or ""
    assert "\n".join("    " + row for row in rows(errors.Med2E3Error, 0)) in said


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    done = subprocess.run(
        [BIN / "deptry", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
