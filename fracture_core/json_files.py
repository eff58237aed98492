"""Read JSON files that anybody may have written, with a reason in plain words if that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        Its content as plain data.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON, is nested too deeply or contains a number of thousands of digits.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise
    except ValueError as error:  # Python's own words are about a setting of Python
        raise ValueError("a number in it is too long") from error
