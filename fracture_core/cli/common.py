"""What all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    #: What `add_subparsers` returns: the place where commands are added.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

NOTICE = "Research demonstrator. Not a medical device; not for diagnosis."


def command(
    commands: Commands, name: str, summary: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: Where commands are added.
        name: Name of the command.
        summary: One sentence for the help.
        run: Carries it out and returns the exit status.

    Returns:
        The command's parser.
    """
    parser = commands.add_parser(name, help=summary, description=summary, epilog=NOTICE)
    parser.set_defaults(run=run)
    return parser


def add_dataset(parser: argparse.ArgumentParser, *, own: bool = False) -> None:
    """Add --dataset.

    Args:
        parser: The command's parser.
        own: Whether it may also be a user's own radiographs.
    """
    what = "FracAtlas, or your own: one folder per class, or a CSV of images and labels" if own else "FracAtlas"
    parser.add_argument(
        "--dataset", type=Path, metavar="FOLDER", help=f"{what} (default: FRACATLAS_DIR, else data/FracAtlas)"
    )


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add --bundle.

    Args:
        parser: The command's parser.
    """
    parser.add_argument("--bundle", metavar="NAME", help="which bundle (default: the one in use)")


def bar(what: str) -> Callable[[int, int], None]:
    """Return a progress callback that draws a bar on stderr.

    Args:
        what: Label of the bar.

    Returns:
        A function of (done, total).
    """
    from tqdm import tqdm

    drawn_bar = tqdm(desc=what, leave=False)

    def progress(done: int, total: int) -> None:
        drawn_bar.total = total
        drawn_bar.update(done - drawn_bar.n)
        if done >= total:
            drawn_bar.close()

    return progress
