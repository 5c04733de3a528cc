"""Measures the code base: `python tests/project/measure.py [--tree FOLDER] [--tests]`.

Static figures are read from the sources. Figures of a run come from the real window, offscreen, in
a process of its own (`passed.py`). Another checkout is measured by `--tree`, so that a state before
and a state after stand in one table (`--before FILE`).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "med2e3")

#: What a change of each kind meets: a pattern that names one thing of the kind, wherever code knows
#: it. The modules that match are those that the next thing of the kind may have to be told to.
KINDS = {
    "window preset": r"mediastin",
    "measuring tool": r"cobb",
    "export of measurements": r"measurements\.csv",
    "export of answers": r"scores_csv",
    "metric": r"rouge",
    "file format": r"metaimage",
    "preference": r"crosshair_gap",
    "command": r"reference_lines",
    "layout cell": r"\"sheet\"|SHEET\b",
    "model kind": r"m3d_?lamed",
    "training stage": r"encoder2d",
    "phantom finding": r"gallstone",
    "colour map": r"\bPET\b",
    "hanging rule": r"\"head, bone kernel\"",
    "optimizer": r"\bmuon\b",
    "aggregation of slices": r"\"tgis\"",
    "error": r"GapError",
    "transfer syntax": r"HTJ2K|1\.2\.840\.10008\.1\.2\.4\.20",
}

#: Lines of code alike in a row that count as one run told twice.
RUN = 6

#: Runs of `import` in processes of their own; the median is quoted.
IMPORTS = 7


def sources(tree: Path, folders: tuple[str, ...] = PACKAGES) -> list[Path]:
    """Python files of the folders, in order."""
    return sorted(path for folder in folders for path in (tree / folder).rglob("*.py"))


def spread(values: list[int]) -> dict[str, int]:
    """Median, 95th percentile and maximum."""
    ordered = sorted(values)
    return {
        "median": int(statistics.median(ordered)),
        "p95": ordered[int(0.95 * (len(ordered) - 1))],
        "max": ordered[-1],
    }


def functions(text: str) -> list[int]:
    """Length of each function in lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in found]


def told_twice(texts: dict[Path, str]) -> int:
    """Pairs of places that share `RUN` lines of code; blank lines, comments and imports aside."""
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    skipped = re.compile(r"^(#|from |import |\)|\]|\}|\"\"\"|@)|^$")
    for path, text in texts.items():
        lines = [line.strip() for line in text.splitlines()]
        code = [line for line in lines if not skipped.match(line)]
        for at in range(len(code) - RUN + 1):
            places[tuple(code[at : at + RUN])].append((path, at))
    pairs = {
        (a, b, i - j)  # one long run is one pair, wherever in it one looks
        for spots in places.values()
        for n, (a, i) in enumerate(spots)
        for b, j in spots[n + 1 :]
    }
    return len(pairs)


def static(tree: Path) -> dict[str, object]:
    """Sizes, duplicates, rooms, and how many modules know one thing of each kind."""
    texts = {path: path.read_text(encoding="utf-8") for path in sources(tree)}
    lines = [len(text.splitlines()) for text in texts.values()]
    tests = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in sources(tree, ("tests",)))
    rooms: dict[str, int] = defaultdict(int)
    for path in texts:
        rooms[str(path.parent.relative_to(tree))] += path.name != "__init__.py"
    largest = max(rooms, key=lambda room: rooms[room])
    readme = len((tree / "README.md").read_text(encoding="utf-8").splitlines())
    return {
        "modules": len(texts),
        "lines": sum(lines),
        "lines a file": spread(lines),
        "lines a function": spread([n for text in texts.values() for n in functions(text)]),
        "test lines to code lines": round(tests / sum(lines), 2),
        "runs told twice": told_twice(texts),
        "rooms": len(rooms),
        "largest room": f"{largest}: {rooms[largest]}",
        "lines of README": readme,
        "modules that know one": {
            kind: sum(bool(re.search(pattern, text, re.I)) for text in texts.values())
            for kind, pattern in KINDS.items()
        },
    }


#: Counts modules in a process of its own.
PASSED = Path(__file__).with_name("passed.py")


def environment(tree: Path) -> dict[str, str]:
    """That of a process which imports the packages of `tree`."""
    return os.environ | {
        "PYTHONPATH": str(tree),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_WAIT_POLICY": "passive",
    }


def passed(tree: Path) -> dict[str, int]:
    """Modules that run code in each of three acts."""
    done = subprocess.run(
        [sys.executable, str(PASSED)],
        cwd=tree, env=environment(tree), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the window of {tree} did not run:\n{done.stderr[-2000:]}")
    return {act: len(files) for act, files in json.loads(done.stdout.splitlines()[-1]).items()}


def import_seconds(tree: Path, module: str) -> float:
    """Median CPU seconds of importing a module in a fresh process, less those of an empty one."""
    program = f"import time; began = time.process_time(); import {module}; "
    program += "print(time.process_time() - began)"
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", program],
                cwd=tree, env=environment(tree), capture_output=True, text=True, check=True,
            ).stdout
        )
        for _ in range(IMPORTS)
    ]  # fmt: skip
    return round(statistics.median(runs), 3)


def suite(tree: Path) -> dict[str, object]:
    """Time and memory of the default tests, in one process."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tree, env=environment(tree), capture_output=True, text=True, check=False,
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "result": done.stdout.strip().splitlines()[-1],
        "seconds": round(time.monotonic() - began),
        "peak MB of a process": round(peak),
    }


def measure(tree: Path, *, tests: bool) -> dict[str, object]:
    """All figures of one tree."""
    figures = static(tree)
    figures["modules passed when"] = passed(tree)
    figures["CPU seconds to import"] = {
        name: import_seconds(tree, name) for name in ("med2e3", "app.main")
    }
    if tests:
        figures["tests"] = suite(tree)
    return figures


def rows(figures: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Nested figures as flat rows."""
    flat: dict[str, str] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= rows(value, f"{prefix}{name}: ")
        else:
            flat[prefix + name] = f"{value:,}" if isinstance(value, int) else str(value)
    return flat


def table(columns: dict[str, dict[str, object]]) -> str:
    """Markdown: a row a figure, a column a state."""
    flat = {title: rows(figures) for title, figures in columns.items()}
    names = list(dict.fromkeys(name for column in flat.values() for name in column))
    lines = [f"| | {' | '.join(flat)} |", "|---|" + "---|" * len(flat)]
    for name in names:
        lines.append(f"| {name} | {' | '.join(column.get(name, '') for column in flat.values())} |")
    return "\n".join(lines)


def main() -> None:
    """Print the figures of this tree, or of another one, as Markdown or JSON."""
    parser = argparse.ArgumentParser(description="Measure the code base.")
    parser.add_argument("--tree", type=Path, default=ROOT, help="a checkout; this one if left out")
    parser.add_argument("--before", type=Path, help="JSON of an earlier state, for a column beside")
    parser.add_argument("--json", action="store_true", help="print JSON, for --before")
    parser.add_argument("--tests", action="store_true", help="also run the tests: minutes")
    options = parser.parse_args()
    figures = measure(options.tree.resolve(), tests=options.tests)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    columns = {"now": figures}
    if options.before:
        columns = {"before": json.loads(options.before.read_text(encoding="utf-8"))} | columns
    print(table(columns))


if __name__ == "__main__":
    main()
