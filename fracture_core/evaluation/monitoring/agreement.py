"""How often a model's answers agree with the verdicts that readers gave on the same films, month by month."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fracture_core.data.review.export import reviewed_films
from fracture_core.data.review.verdict import Verdict


def monthly_agreement(verdicts: Iterable[Verdict], model: str) -> pd.DataFrame:
    """Count reviewed films, and those on which a model's answer agrees with the label that readers gave.

    Films without an agreed label, and films on which the model's answer was neither likely nor unlikely, do not count.

    Args:
        verdicts: A review set's verdicts.
        model: Name and version of the model; only its own answers count.

    Returns:
        One row a month of the newest verdict, by its first day: reviewed and agreed, int. Films whose newest verdict
        does not say when it was given are passed over.
    """
    given = [verdict for verdict in verdicts if verdict.model.get("bundle") == model]
    rows = [
        (film.newest.when, not film.model_disagrees)
        for film in reviewed_films(given)
        if film.model_disagrees is not None
    ]
    table = pd.DataFrame(rows, columns=["when", "agreed"])
    when = pd.to_datetime(table["when"], utc=True, errors="coerce", format="ISO8601").dt.tz_localize(None)
    month = when.dt.to_period("M").dt.start_time.rename("month")
    counts = table.groupby(month)["agreed"].agg(["size", "sum"]).astype(int)
    return counts.rename(columns={"size": "reviewed", "sum": "agreed"})
