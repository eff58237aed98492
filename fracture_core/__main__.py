"""The command line: `fracture-reader --help`, or `python -m fracture_core --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fracture_core import __version__
from fracture_core.cli.app import add_app_command
from fracture_core.cli.common import NOTICE
from fracture_core.cli.data import add_dataset_commands
from fracture_core.cli.exit_status import exit_status
from fracture_core.cli.models import add_model_commands
from fracture_core.cli.predict import add_predict_command
from fracture_core.cli.site import add_site_commands
from fracture_core.cli.streams import escape_unprintable
from fracture_core.cli.training import add_training_commands


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands.

    Returns:
        The parser; `command` names the chosen command, and its function is called with the parsed arguments.
    """
    script = Path(sys.argv[0]).stem == "fracture-reader"
    top = argparse.ArgumentParser(
        prog="fracture-reader" if script else "python -m fracture_core",
        description="Detect fractures on bone radiographs.",
        epilog=NOTICE,
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_app_command(commands)
    add_predict_command(commands)
    add_dataset_commands(commands)
    add_training_commands(commands)
    add_model_commands(commands)
    add_site_commands(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Our own errors and the system's are printed as one sentence on stderr.

    Args:
        arguments: The command line without the program; by default that of the process.

    Returns:
        The exit status.
    """
    escape_unprintable()

    def command() -> int:
        parsed = parser().parse_args(arguments)
        return parsed.run(parsed)

    return exit_status(command)


if __name__ == "__main__":
    raise SystemExit(main())
