"""The scripts of components, each with what they share in front: what a script imports would have to be served."""

from __future__ import annotations

from pathlib import Path

_SHARED = Path(__file__).with_name("elements.js")


def script(*files: Path) -> str:
    """Return these scripts as one module that begins with the shared functions."""
    return "\n".join(path.read_text("utf-8") for path in (_SHARED, *files))


def plain(**data: object) -> dict[str, object]:
    """Return a component's data with tuples for lists: Streamlit imports pandas to ask whether a list is a table."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
