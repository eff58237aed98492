"""What all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fracture_core.data.combined.sources import Sources

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
    parser = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary, epilog=NOTICE)
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


def add_site(parser: argparse.ArgumentParser) -> None:
    """Add --site and --site-weight: a site's own films beside FracAtlas.

    Args:
        parser: The command's parser.
    """
    parser.add_argument(
        "--site", type=Path, metavar="FOLDER", help="your own films or a review folder, to use together with FracAtlas"
    )
    parser.add_argument(
        "--site-weight",
        type=float,
        metavar="N",
        help="how many times one of the site's films counts in training (default: enough for a quarter of "
        "the weight, but 1 to 4)",
    )


def sources_of(arguments: argparse.Namespace) -> Sources:
    """Return which radiographs --dataset, --site and --site-weight name.

    Args:
        arguments: The parsed arguments.

    Returns:
        The sources.

    Raises:
        DatasetError: A weight is given without a site.
    """
    from fracture_core.data.combined.sources import Sources
    from fracture_core.data.fracatlas import DatasetError

    if arguments.site_weight is not None and arguments.site is None:
        raise DatasetError("--site-weight says how much a site's films count: give their folder with --site.")
    dataset, site = (None if path is None else str(path) for path in (arguments.dataset, arguments.site))
    return Sources(dataset, site, arguments.site_weight)


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
