"""The scripts of components, each with what they share in front: what a script imports would have to be served."""

from __future__ import annotations

from pathlib import Path

_SHARED = Path(__file__).with_name("elements.js")


def script(*files: Path) -> str:
    """Return these scripts as one module that begins with the shared functions."""
    return "\n".join(path.read_text("utf-8") for path in (_SHARED, *files))
