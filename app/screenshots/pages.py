"""The pictures of the page on evidence: `python -m app.screenshots.pages FOLDER`.

The window with the demo study, the figure of slice scores, and the report of a study of phantoms.
The report is photographed by Chromium, where it is installed; the others need no browser.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from med2e3.resources import resources_root

#: States of the window by the names of their pictures.
WINDOW = {"matrix": "matrix", "tested": "strip-with-tests", "attention": "attention"}

QUESTIONS = (
    "Is there a pleural effusion?",
    "Is there a liver lesion?",
    "Is there a kidney cyst?",
    "Where is the spleen?",
    "What is the plane of this image?",
)

#: Phantoms of the study, and the seed of the first.
PHANTOMS, SEED = 6, 61_000

#: What Chromium may be called, and the size of its picture.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_SIZE = "1000,1250"


def main() -> int:
    """Make all pictures; 1 where the browser is missing."""
    parser = argparse.ArgumentParser(prog="python -m app.screenshots.pages", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        photograph_window(Path(scratch), folder)
        draw_figure(folder / "slice-scores.png")
        report = write_study(Path(scratch))
        return 0 if photograph_page(report, folder / "study-report.png") else 1


def photograph_window(scratch: Path, folder: Path) -> None:
    """The states of `WINDOW`, dark, at 1280 × 800."""
    _run(
        "app.screenshots", scratch, "--states", ",".join(WINDOW), "--theme", "dark",
        "--screen", "1280x800",
    )  # fmt: skip
    for state, name in WINDOW.items():
        shutil.copyfile(scratch / f"{state}-1280x800-dark.png", folder / f"{name}.png")


def draw_figure(path: Path) -> None:
    """Questions about the demo study as rows over the model's slices, most alike side by side."""
    study = resources_root() / "demo-study"
    _run("med2e3", "evidence", study, *QUESTIONS, "--sort", "similarity", "--figure", path)


def write_study(scratch: Path) -> Path:
    """The report of a study of phantoms."""
    from med2e3.io import write_nifti
    from med2e3.phantoms import make_phantom

    scans = scratch / "scans"
    scans.mkdir()
    for k in range(PHANTOMS):
        write_nifti(make_phantom(SEED + k).volume, scans / f"phantom-{k + 1}.nii.gz")
    asked = "\n".join(f"  - {question}" for question in QUESTIONS)
    plan = scratch / "phantoms.yaml"
    plan.write_text(
        f"title: Six phantoms\nvolumes: [scans/*.nii.gz]\nquestions:\n{asked}\n", encoding="utf-8"
    )
    _run("med2e3", "study", plan, "--out", scratch / "study")
    return scratch / "study" / "report.html"


def photograph_page(page: Path, path: Path) -> bool:
    """The top of an HTML page; False, and a line, where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"{path.name}: none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return False
    subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--window-size={PAGE_SIZE}", f"--screenshot={path.absolute()}",
            page.absolute().as_uri(),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return True


def _run(*words: object) -> None:
    """A module of ours, with its messages on the terminal."""
    subprocess.run(
        [sys.executable, "-m", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
