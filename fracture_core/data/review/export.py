"""Turn a review set into tables and files that others read: csv, a folder a class, COCO JSON and YOLO."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import CANNOT_TELL, FRACTURE, NO_FRACTURE, ReviewError, Verdict
from fracture_core.files import write_text
from fracture_core.formatting import inert_cell
from fracture_core.metrics.agreement import Agreement, agreement

if TYPE_CHECKING:
    import pandas as pd

_FOLDERS = {1: "fractured", 0: "not_fractured"}


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        films: How many films were written.
        left_out: Sentences on how many labelled films were not, and why.
    """

    films: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReviewedFilm:
    """One film with the latest verdict of each of its readers.

    Attributes:
        image: The digest of its pixels.
        latest: The latest verdict of each reader, in the order of their first.
        verdicts: How many verdicts there are in all.
    """

    image: str
    latest: tuple[Verdict, ...]
    verdicts: int

    @property
    def newest(self) -> Verdict:
        """The verdict given last."""
        return max(self.latest, key=lambda verdict: verdict.when)

    @property
    def disagreement(self) -> bool:
        """Whether two readers' latest verdicts differ."""
        return len({verdict.verdict for verdict in self.latest}) > 1

    @property
    def label(self) -> int | None:
        """1 or 0 if all readers who could tell agree on it; None otherwise."""
        verdicts = {verdict.verdict for verdict in self.latest} - {CANNOT_TELL}
        return {FRACTURE: 1, NO_FRACTURE: 0}[verdicts.pop()] if len(verdicts) == 1 else None

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """The boxes of the newest verdict of a fracture that has any."""
        outlined = [v for v in self.latest if v.verdict == FRACTURE and v.boxes]
        return max(outlined, key=lambda verdict: verdict.when).boxes if outlined else ()

    @property
    def patient(self) -> str:
        """The keyed hash of the patient; "" if none of the verdicts has it."""
        return next((verdict.patient for verdict in self.latest if verdict.patient), "")

    @property
    def model_disagrees(self) -> bool | None:
        """Whether the model's answer contradicts the label; None if there is no label, or no clear answer.

        The answer is the one that the model had given at the newest verdict that holds one.
        """
        given = [verdict for verdict in self.latest if verdict.model]
        triage = str(max(given, key=lambda verdict: verdict.when).model.get("triage", "")) if given else ""
        if self.label is None or "likely" not in triage:
            return None
        return self.label != int("unlikely" not in triage)


def reviewed_films(verdicts: Iterable[Verdict]) -> list[ReviewedFilm]:
    """Group verdicts by film, in the order of each film's first verdict.

    Args:
        verdicts: The verdicts.

    Returns:
        One entry per film.
    """
    films: dict[str, dict[str, Verdict]] = {}
    counts: dict[str, int] = {}
    for verdict in verdicts:
        films.setdefault(verdict.image, {})[verdict.reader] = verdict
        counts[verdict.image] = counts.get(verdict.image, 0) + 1
    return [
        ReviewedFilm(image=image, latest=tuple(readers.values()), verdicts=counts[image])
        for image, readers in films.items()
    ]


def readers_agreement(films: Iterable[ReviewedFilm]) -> dict[tuple[str, str], Agreement]:
    """Compare every two readers on the films that both read.

    Args:
        films: The films.

    Returns:
        Their agreement by (first, second).
    """
    return agreements_of({verdict.reader: verdict.verdict for verdict in film.latest} for film in films)


def agreements_of(readings: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], Agreement]:
    """Compare every two readers on the films that both read.

    Args:
        readings: For each film, the verdict of each of its readers.

    Returns:
        Their agreement by (first, second).
    """
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for said in readings:
        for (first, one), (second, other) in combinations(sorted(said.items()), 2):
            pairs.setdefault((first, second), []).append((one, other))
    return {readers: agreement(*zip(*both, strict=True)) for readers, both in pairs.items()}


def label_table(review: ReviewSet) -> pd.DataFrame:
    """List the films that have a label, as the loader of a user's own radiographs lists images.

    Args:
        review: The review set.

    Returns:
        One row per film, indexed by image_id: path (below the review folder), label (0, 1), split (""), patient (the
            keyed hash; the film's own digest if the patient is not known), boxes (a list of four numbers each).
    """
    rows = [
        (f"images/{f.image}.png", f.label, "", f.patient or f.image[:32], [list(box) for box in f.boxes])
        for f in reviewed_films(review.verdicts())
        if f.label is not None
    ]
    import pandas as pd  # not before there is something to export

    table = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "boxes"])
    return table.set_index("path", drop=False).rename_axis("image_id")


def export_review(review: ReviewSet, folder: Path, kind: str) -> Exported:
    """Write the labelled films in a common form: all that it takes, or on an error nothing.

    A film whose image is no longer in the review folder is left out; so is, of YOLO, a fracture without a box.

    Args:
        review: The review set.
        folder: Where to write; made if it is not there, and refused if it holds anything.
        kind: One of EXPORTS: "csv", "folders", "coco" or "yolo".

    Returns:
        How many films were written, and which were not.

    Raises:
        ReviewError: There is no such form, nothing to write, or the folder cannot be written or is not empty.
    """
    if kind not in EXPORTS:
        raise ReviewError(f"A review set is exported as one of: {', '.join(EXPORTS)}.")
    labelled = [film for film in reviewed_films(review.verdicts()) if film.label is not None]
    if not labelled:
        raise ReviewError("No film has a verdict that can be exported yet.")
    films = [film for film in labelled if review.path(film.image).is_file()]
    if not films:
        raise ReviewError(f"None of the {len(labelled)} labelled films is in {review.folder / 'images'} any more.")
    left_out = []
    if gone := len(labelled) - len(films):
        left_out.append(f"{_films_were(gone)} left out: no longer in {review.folder / 'images'}.")
    if kind == "yolo":
        labelled, films = films, _outlined(films)
        if unmarked := len(labelled) - len(films):
            left_out.append(f"{_films_were(unmarked)} left out: fractured without a box, which YOLO cannot say.")
        if not films:
            raise ReviewError("No fracture has a box, without which YOLO cannot say it: choose another form.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ReviewError(f"{folder} is not empty; choose another folder.")
        try:
            EXPORTS[kind](review, films, folder)
        except BaseException:
            _clear(folder)
            raise
    except OSError as error:
        raise ReviewError(f"The review set cannot be written to {folder} ({error.strerror}).") from error
    return Exported(len(films), tuple(left_out))


def _outlined(films: Sequence[ReviewedFilm]) -> list[ReviewedFilm]:
    """Return the films without those fractures that a file of boxes alone would call sound."""
    return [film for film in films if not film.label or film.boxes]


def _films_were(count: int) -> str:
    return "1 film was" if count == 1 else f"{count} films were"


def _csv(review: ReviewSet, films: Sequence[ReviewedFilm], folder: Path) -> None:
    rows = []
    for film in films:
        _copy(review, film, folder / "images")
        boxes = json.dumps([list(box) for box in film.boxes])
        rows.append((f"images/{film.image}.png", film.label, film.patient, boxes, inert_cell(film.newest.comment)))
    import pandas as pd  # not before there is something to export

    table = pd.DataFrame(rows, columns=["image", "label", "patient", "boxes", "comment"])
    write_text(folder / "labels.csv", table.to_csv(index=False))


def _folders(review: ReviewSet, films: Sequence[ReviewedFilm], folder: Path) -> None:
    for film in films:
        _copy(review, film, folder / _FOLDERS[film.label or 0])


def _coco(review: ReviewSet, films: Sequence[ReviewedFilm], folder: Path) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, film in enumerate(films, 1):
        _copy(review, film, folder / "images")
        size = {"width": film.newest.width, "height": film.newest.height}
        images.append({"id": number, "file_name": f"{film.image}.png", **size})
        # A fracture that nobody outlined is an annotation without a box: none at all would mean no fracture.
        boxes: Sequence[Sequence[float]] = film.boxes or ([()] if film.label else [])
        for box in boxes:
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append(entry | ({"bbox": list(box), "area": round(box[2] * box[3], 2)} if box else {"area": 0}))
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "fracture"}]}
    write_text(folder / "annotations.json", json.dumps(data, indent=1))


def _yolo(review: ReviewSet, films: Sequence[ReviewedFilm], folder: Path) -> None:
    for film in films:
        _copy(review, film, folder / "images")
        width, height = film.newest.width, film.newest.height
        lines = [
            f"0 {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
            for x, y, w, h in film.boxes
        ]
        write_text(folder / "labels" / f"{film.image}.txt", "".join(lines))
    write_text(folder / "data.yaml", "path: .\ntrain: images\nval: images\nnames:\n  0: fracture\n")


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _copy(review: ReviewSet, film: ReviewedFilm, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(review.path(film.image), folder / f"{film.image}.png")


#: The forms a review set is exported in.
EXPORTS: dict[str, Callable[[ReviewSet, Sequence[ReviewedFilm], Path], None]] = {
    "csv": _csv,
    "folders": _folders,
    "coco": _coco,
    "yolo": _yolo,
}
