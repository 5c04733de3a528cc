"""`python -m med2e3` and `med2e3`: the command line, quiet where it is interrupted as it loads."""

import sys

from med2e3.search_path import leave_start_folder

leave_start_folder()  # before anything that a file in the current folder could stand in for

from med2e3 import interruption  # noqa: E402


def main() -> int:
    """Run the command line; returns the exit code of the process."""
    interruption.end_quietly("med2e3")
    from med2e3.cli import main as run

    interruption.as_exception()
    code = run()
    interruption.ignore()
    return code


if __name__ == "__main__":
    sys.exit(main())
