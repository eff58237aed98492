"""The command line: `fracture-reader --help`, or `python -m fracture_core --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fracture_core import __version__
from fracture_core.cli.app import add_app_command
from fracture_core.cli.common import NOTICE
from fracture_core.cli.data import add_dataset_commands
from fracture_core.cli.models import add_model_commands
from fracture_core.cli.predict import add_predict_command
from fracture_core.cli.training import add_training_commands
from fracture_core.errors import FractureCoreError


def parser() -> argparse.ArgumentParser:
    """Give the parser of every command."""
    script = Path(sys.argv[0]).stem == "fracture-reader"
    top = argparse.ArgumentParser(
        prog="fracture-reader" if script else "python -m fracture_core",
        description="Find fractures on bone radiographs.",
        epilog=NOTICE,
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_app_command(commands)
    add_predict_command(commands)
    add_dataset_commands(commands)
    add_training_commands(commands)
    add_model_commands(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; give the exit status. Errors of ours are one sentence on stderr."""
    parsed = parser().parse_args(arguments)
    try:
        return parsed.run(parsed)
    except FractureCoreError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
