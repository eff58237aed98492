"""Keep standard output and standard error from ending a command: unusual names, full disks, closed pipes, warnings."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


def escape_unprintable() -> None:
    """Print characters that the terminal's encoding lacks as escapes; file names may contain any bytes."""
    for stream in (sys.stdout, sys.stderr):
        # One that is closed is None; a program that captures it may put in another kind.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Return text on one line, with control characters and invalid bytes as escapes.

    Args:
        text: Any text.

    Returns:
        The printable text.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def abandon(stream: TextIO | None) -> None:
    """Discard the rest of a stream that cannot be written, so that Python's last flush does not fail.

    Args:
        stream: The stream, or None.
    """
    if stream is None:
        return
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def say(sentence: str) -> None:
    """Print a sentence on standard error, if that can be written.

    Args:
        sentence: The text.
    """
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:
        abandon(sys.stderr)


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep library messages out of standard error for the block, but not what is written to `sys.stderr`.

    Decoders in C write to file descriptor 2 itself, without the name of the file; our own messages say what matters.

    Yields:
        Nothing; the block runs with standard error redirected.
    """
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        try:
            terminal, ours = os.dup(2), sys.stderr
            nowhere = os.open(os.devnull, os.O_WRONLY)
        except OSError:  # standard error is closed
            yield
            return
        try:
            ours.flush()
            to_file = ours.fileno() == 2
        except (AttributeError, OSError, ValueError):
            to_file = False
        os.dup2(nowhere, 2)
        os.close(nowhere)
        if to_file:
            sys.stderr = open(terminal, "w", buffering=1, encoding=ours.encoding, errors=ours.errors, closefd=False)  # noqa: SIM115 (a descriptor, put back below)
        try:
            yield
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            sys.stderr = ours
            os.dup2(terminal, 2)
            os.close(terminal)
