"""Run a program so that an error ends it with one sentence, not with a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from fracture_core.cli.streams import abandon, printable, say
from fracture_core.errors import FractureCoreError


def exit_status(program: Callable[[], int | None]) -> int:
    """Run a program. Our own errors and the system's are printed as one sentence on standard error.

    Args:
        program: What to run; it returns its exit status, or None for 0.

    Returns:
        The exit status: the program's; 1 after an error, 130 after an interrupt.
    """
    try:
        try:
            return program() or 0
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except FractureCoreError as error:
        say(f"error: {printable(str(error))}")
    except KeyboardInterrupt:
        try:
            _ignore_interrupts()
        except KeyboardInterrupt:  # pressed again before that was done
            _ignore_interrupts()
        say("stopped")
        return 130
    except BrokenPipeError:
        abandon(sys.stdout)
    except MemoryError:
        say("error: There is not enough memory.")
    except OSError as error:
        say(f"error: {_system_error(error)}")
        if error.filename is None:
            abandon(sys.stdout)
    return 1


def _ignore_interrupts() -> None:
    """Let Ctrl-C do nothing more: those who press it again mean the same, and Python is already on its way out."""
    with suppress(ValueError):  # raised outside the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _system_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"The output cannot be written, or a file cannot be read ({reason})."
    name = error.filename if isinstance(error.filename, str | bytes) else str(error.filename)
    return f"{printable(os.fsdecode(name))} cannot be used ({reason})."
