"""Writes the file trees in app/README.md and med2e3/README.md from the modules' docstrings.

`python tests/project/tree.py` writes, `--check` only compares and ends with 1 where one is old. A
tree stands between two marks, so that the rest of a page is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "med2e3")
BEGIN, END = "<!-- tree: written by `make tree` -->", "<!-- end of tree -->"

#: Where the descriptions begin: past the longest name in its folder.
COLUMN = 30


def first_line(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"\.\s", said.split("\n\n")[0].replace("\n", " "))[0].rstrip(".:")


def lines_of(folder: Path, depth: int = 0) -> list[str]:
    """A line a module and a folder, folders after the modules beside them."""
    rows = []
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            rows.append(_row(path.name, first_line(path), depth))
    for inner in sorted(p for p in folder.iterdir() if (p / "__init__.py").is_file()):
        rows.append(_row(f"{inner.name}/", first_line(inner / "__init__.py"), depth))
        rows += lines_of(inner, depth + 1)
    return rows


def _row(name: str, said: str, depth: int) -> str:
    return f"{'  ' * depth}{name}".ljust(COLUMN) + " " + said


def tree(package: str) -> str:
    """The tree of a package as a block of Markdown."""
    folder = ROOT / package
    head = _row(f"{package}/", first_line(folder / "__init__.py"), 0)
    return "\n".join(["```", head, *lines_of(folder, 1), "```"])


def page(package: str) -> tuple[Path, str, str]:
    """A page, its text as it stands, and its text with the tree of today."""
    path = ROOT / package / "README.md"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{path} has no tree to replace: it needs a line {BEGIN} and one {END}")
    return path, text, f"{before}{BEGIN}\n\n{tree(package)}\n\n{END}{after}"


def main() -> int:
    """Write the trees, or say which are old."""
    parser = argparse.ArgumentParser(description="Write the file trees from the docstrings.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where one is old")
    only_check = parser.parse_args().check
    old = [(path, new) for path, text, new in map(page, PACKAGES) if text != new]
    for path, new in old:
        if only_check:
            print(f"{path.relative_to(ROOT)} is older than the modules: run `make tree`")
        else:
            path.write_text(new, encoding="utf-8")
    return int(only_check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
