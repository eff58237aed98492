"""What every command of the command line is made with."""

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
    """Add a command that `run` carries out; give its parser."""
    one = commands.add_parser(name, help=summary, description=summary, epilog=NOTICE)
    one.set_defaults(run=run)
    return one


def add_dataset(one: argparse.ArgumentParser, *, own: bool = False) -> None:
    """Add --dataset; `own` where it may be a user's own radiographs too."""
    what = "FracAtlas, or your own: a folder a class, or a csv of images and labels" if own else "FracAtlas"
    one.add_argument(
        "--dataset", type=Path, metavar="FOLDER", help=f"{what} (default: FRACATLAS_DIR, else data/FracAtlas)"
    )


def add_bundle(one: argparse.ArgumentParser) -> None:
    """Add --bundle."""
    one.add_argument("--bundle", metavar="NAME", help="which bundle (default: the one in use)")


def bar(what: str) -> Callable[[int, int], None]:
    """A progress callback that draws a bar on stderr."""
    from tqdm import tqdm

    drawn = tqdm(desc=what, leave=False)

    def progress(done: int, total: int) -> None:
        drawn.total = total
        drawn.update(done - drawn.n)
        if done >= total:
            drawn.close()

    return progress
