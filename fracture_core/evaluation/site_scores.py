"""Score a site's labelled films as the app would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fracture_core.data.dataset import Dataset, open_dataset
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.inference.predictor import Predictor


@dataclass(frozen=True, eq=False)
class SiteScores:
    """The scores of a site's labelled films.

    Attributes:
        name: The dataset's name.
        films: What `score_films` returned.
        left_out: Films without a score: not assessed, or not readable.
    """

    name: str
    films: pd.DataFrame
    left_out: int


def score_folder(
    predictor: Predictor, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> SiteScores:
    """Open a site's films, in any form that a dataset of one's own may have, and score them.

    Args:
        predictor: The predictor.
        folder: A review folder, a folder or a csv.
        progress: Called with (films done, films in all), first as the files are looked at, then as they are scored.

    Returns:
        The scores.

    Raises:
        DatasetError: There is nothing to calibrate on.
    """
    dataset = open_dataset(folder, progress=progress)
    films = score_films(predictor, dataset, progress=progress)
    return SiteScores(dataset.name, films, len(dataset) - len(films))


def score_films(
    predictor: Predictor, dataset: Dataset, *, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Score every film of a dataset that the model assesses.

    Args:
        predictor: The predictor.
        dataset: FracAtlas or a user's own films.
        progress: Called with (films done, films in all).

    Returns:
        One row a film, without those that cannot be read or are not assessed: image_id, label (0, 1), logit,
        probability (0..1), patient ("" if it is not known), features (those of `Finding.monitored`).
    """
    table, rows = dataset.table, []
    patients = table["patient"] if "patient" in table else pd.Series("", table.index)
    for done, image_id in enumerate(table.index, 1):
        try:
            finding = predictor.predict(read_radiograph(dataset.path(image_id)))
        except UnreadableRadiograph:
            continue
        finally:
            if progress:
                progress(done, len(table))
        if finding.assessed:
            label, patient = int(table.at[image_id, "label"]), str(patients[image_id])
            rows.append((image_id, label, finding.logit, finding.probability, patient, finding.monitored))
    return pd.DataFrame(rows, columns=["image_id", "label", "logit", "probability", "patient", "features"])
