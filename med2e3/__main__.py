"""`python -m med2e3` and `med2e3`: the command line, quiet where it is interrupted as it loads."""

import sys

from med2e3.search_path import leave_start_folder

leave_start_folder()  # before anything that a file in the current folder could stand in for

from med2e3 import ctrl_c  # noqa: E402


def main() -> int:
    """Run the command line; returns the exit code of the process."""
    ctrl_c.end_quietly("med2e3")
    from med2e3.cli import main as run

    ctrl_c.as_exception()
    code = run()
    ctrl_c.ignore()
    return code


if __name__ == "__main__":
    sys.exit(main())
