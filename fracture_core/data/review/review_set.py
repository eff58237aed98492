"""Keep readers' verdicts on films in a folder: a site's own review set.

    README.txt       what is written here, in a few sentences
    secret.key       the site's secret, from which patients' keyed hashes are made; readable by its owner alone
    images/          the films as PNG: pixels and nothing else, named by the SHA-256 of the pixels
    verdicts.jsonl   one line of JSON for each verdict, only ever appended to

A patient is a keyed hash, so that one patient's films stay on one side of a split; no identifier is ever written. The
film is written before its verdict and each verdict is one line that is flushed to disk, so a crash loses the verdict in
hand at most. Several readers may write at once. A second verdict on the same film stands beside the first.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fracture_core.data.review.log import VerdictLog
from fracture_core.data.review.verdict import (
    VERDICTS,
    ReviewError,
    Verdict,
    boxes_within,
    image_digest,
    is_digest,
)
from fracture_core.files import append_durably, atomic_write, exclusive_lock, write_bytes, write_text

FILE = "verdicts.jsonl"
_LONGEST_COMMENT, _LONGEST_READER = 2000, 200  # characters
#: The last chunk of every PNG file, without its length of zero.
_PNG_END = b"IEND\xaeB`\x82"
_README = """Verdicts on radiographs, kept by the fracture reader because this folder was chosen as its review folder.

images/ holds the pixels of each film that was given a verdict, without any header or name. verdicts.jsonl holds, for
each verdict, what the reader said and drew, what the model had answered, who said it and when, and a keyed hash in
place of the patient. secret.key makes those hashes: keep it here, and do not pass it on with the rest.

A research demonstrator's data: not a medical record.
"""


class ReviewSet:
    """The verdicts of one folder. Safe to share between threads; other processes may use the same folder.

    Args:
        folder: The review folder; made, with its README and secret, if it is not there.

    Raises:
        ReviewError: The folder cannot be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder).absolute()
        self._log = VerdictLog(self._file)
        try:
            (self.folder / "images").mkdir(parents=True, exist_ok=True)
            with exclusive_lock(self._file):
                if not (self.folder / "README.txt").exists():
                    write_text(self.folder / "README.txt", _README)
                if not (self.folder / "secret.key").exists():
                    _write_secret(self.folder / "secret.key")
            self._secret = bytes.fromhex((self.folder / "secret.key").read_text("ascii"))
        except (OSError, ValueError) as error:
            raise ReviewError(f"The review folder {self.folder} cannot be used ({_reason(error)}).") from error

    @property
    def _file(self) -> Path:
        return self.folder / FILE

    def path(self, image: str) -> Path:
        """Return the file of a film.

        Args:
            image: SHA-256 of its pixels, as `image_digest` returns it.

        Returns:
            Path of a PNG file, which may not exist yet.

        Raises:
            ReviewError: It is not a digest.
        """
        if not is_digest(image):
            raise ReviewError("This does not name a film of the review set.")
        return self.folder / "images" / f"{image}.png"

    def patient_hash(self, identifier: str) -> str:
        """Return the keyed hash of a patient's identifier, which reveals nothing without the set's secret.

        Args:
            identifier: As in the DICOM header; white space does not count.

        Returns:
            32 hexadecimal digits; "" for an empty identifier.
        """
        identifier = " ".join(identifier.split())
        return hmac.new(self._secret, identifier.encode(), hashlib.sha256).hexdigest()[:32] if identifier else ""

    def add(
        self,
        pixels: np.ndarray,
        verdict: str,
        *,
        reader: str,
        boxes: Sequence[Sequence[float]] = (),
        comment: str = "",
        patient: str = "",
        body_part: str = "",
        model: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Keep a verdict, and the film if it is new or its file is damaged. Both are on disk when this returns.

        Args:
            pixels: The film, uint8 (H, W).
            verdict: One of VERDICTS.
            reader: Who said it.
            boxes: Fractures as (x, y, width, height) in pixels; what lies beyond the film is cut off.
            comment: A word of the reader's own.
            patient: The patient's identifier, of which only the keyed hash is kept; "" if it is not known.
            body_part: As the file says it.
            model: What the model had answered: `bundle`, `probability`, `logit` and `triage`.

        Returns:
            The verdict as it was kept.

        Raises:
            ReviewError: The verdict is invalid, or cannot be written; then nothing was kept.
        """
        if verdict not in VERDICTS:
            raise ReviewError(f"A verdict is one of: {', '.join(VERDICTS)}.")
        if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.size:
            raise ReviewError("Only the pixels of a radiograph can be kept.")
        height, width = pixels.shape
        entry = Verdict(
            image=image_digest(pixels),
            verdict=verdict,
            boxes=boxes_within(boxes, height, width),
            comment=comment.strip()[:_LONGEST_COMMENT],
            reader=reader.strip()[:_LONGEST_READER],
            when=datetime.now(UTC).isoformat(timespec="milliseconds"),
            patient=self.patient_hash(patient),
            height=height,
            width=width,
            body_part=body_part[:64],
            model=dict(model or {}),
        )
        try:
            with exclusive_lock(self._file):
                if not _is_whole(self.path(entry.image)):
                    write_bytes(self.path(entry.image), _png(pixels))
                append_durably(self._file, f"{json.dumps(asdict(entry))}\n".encode())
        except OSError as error:
            raise ReviewError(f"The verdict cannot be kept in {self.folder} ({_reason(error)}).") from error
        return entry

    def verdicts(self) -> list[Verdict]:
        """Return every verdict. Lines that a crash truncated are skipped.

        Returns:
            The verdicts, oldest first.

        Raises:
            ReviewError: The file cannot be read.
        """
        return self._log.verdicts()

    def lines(self) -> list[bytes]:
        """Return every line that may be a verdict, as it was written.

        Returns:
            JSON, oldest first.

        Raises:
            ReviewError: The file cannot be read.
        """
        return self._log.lines()

    def of(self, image: str) -> list[Verdict]:
        """Return the verdicts on one film.

        Args:
            image: SHA-256 of its pixels.

        Returns:
            The verdicts, oldest first.
        """
        return self._log.of(image)

    def latest(self, reader: str, images: Iterable[str]) -> dict[str, Verdict]:
        """Return a reader's latest verdict on each of some films.

        Args:
            reader: The reader.
            images: SHA-256 of the films' pixels.

        Returns:
            Verdicts by digest, of the films that the reader has read.
        """
        return self._log.latest(reader, images)

    def delete(self, image: str, seen: int | None = None) -> None:
        """Remove a film and all verdicts on it for good.

        Args:
            image: SHA-256 of its pixels.
            seen: How many verdicts on it were seen by the user who deletes them; None for all that there are.

        Raises:
            ReviewError: There are more verdicts than were seen, or the folder cannot be written; then nothing was
                removed.
        """
        film = self.path(image)
        try:
            with exclusive_lock(self._file):
                others = [line for line in _lines(self._file) if _image_of(line) != image]
                if seen is not None and len(self.of(image)) > seen:
                    raise ReviewError(
                        "Another verdict on this film came meanwhile; look at it first. Nothing was deleted."
                    )
                with atomic_write(self._file) as temporary:
                    temporary.write_bytes(b"".join(line + b"\n" for line in others))
                film.unlink(missing_ok=True)
        except OSError as error:
            raise ReviewError(f"The film cannot be removed from {self.folder} ({_reason(error)}).") from error


def is_review_folder(folder: Path) -> bool:
    """Return whether a folder contains a review set.

    Args:
        folder: Any path.

    Returns:
        Whether it has the file of verdicts and the folder of images.
    """
    return (folder / FILE).is_file() and (folder / "images").is_dir()


def _png(pixels: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ReviewError("The film could not be encoded.")
    return data.tobytes()


def _is_whole(path: Path) -> bool:
    """Tell whether a film is there to its end: a disk that was full, or a copy that broke off, may have left less."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_PNG_END)))
            return file.read() == _PNG_END
    except FileNotFoundError:
        return False


def _write_secret(path: Path) -> None:
    with atomic_write(path, mode=0o600) as temporary:
        temporary.write_text(secrets.token_hex(32), "ascii")


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _image_of(line: bytes) -> str:
    try:
        return str(json.loads(line).get("image", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
