"""What the model card says of images of FracAtlas among the test images of a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def copies_text(provenance: Mapping[str, Any], test: pd.DataFrame) -> str:
    """Say whether a bundle may have begun with test images that its first weights had seen.

    Args:
        provenance: How the bundle was made, from a user's own films alone.
        test: Its predictions on test.

    Returns:
        A further line of a list; "" where there is nothing to say.
    """
    copies = provenance.get("fracatlas_copies")
    source = str((provenance.get("start") or {}).get("source", "none"))
    learned = source not in ("none", "imagenet")
    if copies is None:
        return _UNKNOWN if learned else ""
    count = int(test["film"].isin(set(copies)).sum()) if "film" in test else 0
    if not count:
        return ""
    line = (
        f"\n- {count} of the {len(test)} test images are images of FracAtlas: what was trained on that may know them."
    )
    return (
        f"{line}\n  This model began with {source}. If that has seen them, every figure is too good."
        if learned
        else line
    )


_UNKNOWN = """
- Whether test images are images of FracAtlas was not looked up. What this model began with may have been trained on
  some of them, which would flatter every figure."""
