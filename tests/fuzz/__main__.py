"""`python -m tests.fuzz`: damages thousands of files and prints a table of what came of them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.fuzz.driver import FAULTS, RIGHT, Fuzz, Tally

#: Groups of faults that are printed.
SHOWN = 60


def table(tally: Tally) -> str:
    """One line a kind of file, one column an outcome."""
    columns = (*RIGHT, *FAULTS)
    wide = max(len(name) for name in (*tally.counts, "all"))
    lines = ["".join([f"{'':{wide}}", f"{'files':>8}", *(f"{c:>11}" for c in columns)])]
    for name, count in sorted(tally.counts.items()):
        cells = "".join(f"{count[c] or '·':>11}" for c in columns)
        lines.append(f"{name:{wide}}{sum(count.values()):>8}{cells}")
    cells = "".join(f"{tally.total(c):>11}" for c in columns)
    lines.append(f"{'all':{wide}}{tally.cases:>8}{cells}")
    return "\n".join(lines)


def main() -> int:
    """Run what was asked for; the exit code says whether a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="how many damaged files")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    parser.add_argument("--case", type=int, help="this one alone, as a finding names it")
    parser.add_argument("--only", default="", help="parts of names of kinds, with commas")
    parser.add_argument("--keep", type=Path, help="folder in which the last case is left")
    parser.add_argument("--log", type=Path, help="file that takes every fault as a line of JSON")
    options = parser.parse_args()
    first, count = (0, options.files) if options.case is None else (options.case, 1)
    print(f"seed {options.seed}, {count} files")
    began = time.monotonic()
    fuzz = Fuzz(options.seed, count, first, options.only, keep=options.keep)
    with options.log.open("a", encoding="utf-8") if options.log else nullcontext() as log:

        def hear(outcome: dict[str, Any]) -> None:
            if log is not None and (outcome["kind"] in FAULTS or outcome.get("python_warnings")):
                print(json.dumps(outcome), file=log, flush=True)

        tally = fuzz.run(lambda line: print(f"  {line}", file=sys.stderr, flush=True), hear)
    print(table(tally))
    only = f" --only '{options.only}'" if options.only else ""
    for group in tally.groups()[:SHOWN]:
        one = min(group, key=lambda fault: int(fault["number"]))
        print(f"\n{one['kind']} ×{len(group)}, {one['subject']}: {one['doing']}\n  {one['detail']}")
        print(f"  python -m tests.fuzz --seed {options.seed} --case {one['number']}{only}")
    warned = {w for outcome in tally.warned for w in outcome["python_warnings"]}
    print(f"\n{len(tally.warned)} files made Python warn, in {len(warned)} ways")
    print(f"{time.monotonic() - began:.0f} s")
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
