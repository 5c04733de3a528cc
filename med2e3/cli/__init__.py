"""The command line `med2e3`: results on stdout, progress and complaints on stderr.

Exit codes: 0 done; 1 an error that the message explains; 2 wrong usage; 130 interrupted; 143 ended
by SIGTERM. Heavy imports happen inside the commands, so that `--help` and `info` answer at once.
"""

from __future__ import annotations

import io
import os
import sys

from med2e3.search_path import leave_start_folder

leave_start_folder()  # before anything that a file in the current folder could stand in for

import click  # noqa: E402

from med2e3.cli import (  # noqa: E402
    asking,
    evaluating,
    evidence,
    measuring,
    retrieving,
    studying,
    training,
    weights,
)
from med2e3.cli.console import complain  # noqa: E402
from med2e3.errors import Cancelled, Med2E3Error, Terminated  # noqa: E402

#: Letters of a path that the system refused which are shown: it may have refused its length.
NAME_SHOWN = 300


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="med2e3")
def cli() -> None:
    """Read a CT volume, ask a 3D medical language model about it, see which slices it weighted.

    The answers are drafts by a research model, never a diagnosis.
    """


for group in (asking, evidence, retrieving, weights, training, evaluating, measuring, studying):
    for command in group.COMMANDS:
        cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code instead of raising."""
    _print_any_name()
    try:
        code = cli.main(args=argv, prog_name="med2e3", standalone_mode=False)
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except Terminated as ended:
        complain(str(ended))
        return 143
    except (KeyboardInterrupt, click.Abort, Cancelled):
        complain("Interrupted.")
        return 130
    except BrokenPipeError:  # the reader of our output (`| head`) has gone: not our failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Med2E3Error as error:
        complain(str(error))
        return 1
    except (
        OSError
    ) as error:  # a name that is too long, a disk that is full, a right that is missing
        where = f"{str(error.filename)[:NAME_SHOWN]!r}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}. Check the path, its rights and the disk.")
        return 1
    return code if isinstance(code, int) else 0


def _print_any_name() -> None:
    """Let names of files that are no UTF-8 be printed, with escapes in their place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
