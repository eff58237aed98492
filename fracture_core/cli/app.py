"""The command that starts the web app: `app`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from fracture_core.cli.common import command

if TYPE_CHECKING:
    from fracture_core.cli.common import Commands


def add_app_command(commands: Commands) -> None:
    """Add the command.

    Args:
        commands: Where commands are added.
    """
    parser = command(commands, "app", "Start the web app, and open it in the browser.", _app)
    parser.add_argument("--port", type=_port, help="port on this machine (default: 8501)")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark", help="colour theme (default: dark)")
    parser.add_argument(
        "options", nargs="*", metavar="-- OPTION", help="options of `streamlit run`, such as --server.headless true"
    )


def _port(text: str) -> int:
    """Return the port that an argument names."""
    if not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number from 1 to 65535")
    return int(text)


def app_command(arguments: argparse.Namespace) -> list[str]:
    """Return the command line that runs the app.

    Args:
        arguments: The parsed options.

    Returns:
        Program and arguments.
    """
    from fracture_core.paths import APP

    # -P: otherwise a file in the user's folder could replace a module of the same name.
    line = [sys.executable, "-P", "-m", "streamlit", "run", str(APP / "streamlit_app.py")]
    if "STREAMLIT_THEME_BASE" not in os.environ:
        # Streamlit looks for a theme's file in the folder that it is started from.
        line += ["--theme.base", str(APP / ".streamlit" / f"{arguments.theme}.toml")]
    if arguments.port is not None:
        line += ["--server.port", str(arguments.port)]
    return line + arguments.options


def _app(arguments: argparse.Namespace) -> int:
    import subprocess

    line = app_command(arguments)
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(line[0], line)  # replaces this process, so that signals reach the server
    return subprocess.run(line).returncode
