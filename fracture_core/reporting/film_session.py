"""Hold the films of one session in memory: uploads, their display options, and their results."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.isolation.decoder import decode_isolated
from fracture_core.imaging.radiograph import Radiograph, display_name
from fracture_core.inference.predictor import Failure, Finding, Predictor
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.metrics.score_scale import ScoreScale
from fracture_core.reporting.worklist import Entry

#: Bytes of pixels and feature maps that the findings of one session may hold; the longest unused are made again.
MOST_KEPT = 256 * 2**20


@dataclass(frozen=True)
class ReadingOptions:
    """How a file is read.

    Attributes:
        accept_cut_short: read a truncated file as far as it goes.
        frame: which frame of a DICOM file, from 0.
        window: which of a DICOM file's VOI windows, from 0.
        adjustments: what the user did to the image since, in that order.
        greys_as_stored: read it as it is, even if its greys look inverted.
    """

    accept_cut_short: bool = False
    frame: int = 0
    window: int = 0
    adjustments: tuple[Adjustment, ...] = ()
    greys_as_stored: bool = False


@dataclass(frozen=True, eq=False)
class Film:
    """A file of the session; `key` names it within the session, `data` are its bytes."""

    key: str
    name: str
    data: bytes
    options: ReadingOptions = ReadingOptions()


class FilmSession:
    """The films of one session in order of arrival.

    Thread-safe: a film that is assessed may be removed, or read otherwise, before its answer is there.
    """

    def __init__(self, most_kept: int = MOST_KEPT):
        self._most_kept = most_kept
        self._films: dict[str, Film] = {}
        self._findings: OrderedDict[tuple, Finding | Failure] = OrderedDict()
        self._entries: dict[tuple, Entry] = {}
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        #: The user's own verdict, by film.
        self.readings: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._films)

    def __contains__(self, key: object) -> bool:
        return key in self._films

    @property
    def films(self) -> list[Film]:
        """The films, oldest first."""
        return list(self._films.values())

    def film(self, key: str) -> Film:
        """Return a film.

        Args:
            key: Its key.

        Returns:
            The film.
        """
        return self._films[key]

    def add(self, name: str, data: bytes) -> str:
        """Add a file; the same file under the same name is added once.

        Args:
            name: The file's name.
            data: The file.

        Returns:
            Its key.
        """
        name = display_name(name)
        key = f"{hashlib.sha256(data).hexdigest()[:20]} {name}"
        with self._lock:
            self._films.setdefault(key, Film(key, name, data))
        return key

    def remove(self, keys: Iterable[str]) -> None:
        """Remove films, with their findings and readings.

        Args:
            keys: Their keys.
        """
        with self._lock:
            for key in list(keys):
                self._films.pop(key, None)
                self.readings.pop(key, None)
                self._forget(key)

    def set_options(self, key: str, **changes: Any) -> None:
        """Change how a film is read, and discard its findings; nothing if it was removed meanwhile.

        Args:
            key: Its key.
            **changes: Fields of the film.
        """
        with self._lock:
            if (film := self._films.get(key)) is None:
                return
            self._forget(key)
            self._films[key] = replace(film, options=replace(film.options, **changes))

    def unread(self, bundle: str) -> list[str]:
        """Return the films that a bundle has not assessed with their current options.

        Args:
            bundle: Name of the bundle.

        Returns:
            Their keys.
        """
        with self._lock:
            return [key for key in self._films if self._id(key, bundle) not in self._entries]

    def entries(self, bundle: str, scale: ScoreScale | None = None) -> dict[str, Entry]:
        """Return the worklist entries of the films that a bundle has assessed.

        Args:
            bundle: Name of the bundle.
            scale: The scale of the operating points in use, if it is not the bundle's own.

        Returns:
            Entries by key.
        """
        with self._lock:
            known = {key: self._entries.get(self._id(key, bundle)) for key in self._films}
        shown = {key: entry.on_scale(scale) for key, entry in known.items() if entry}
        return {key: replace(entry, reader_finding=self.readings.get(key, "")) for key, entry in shown.items()}

    def ready(self, key: str, bundle: str) -> bool:
        """Return whether a bundle's finding for a film is still in memory.

        Args:
            key: The film's key.
            bundle: Name of the bundle.

        Returns:
            Whether it is.
        """
        return self._id(key, bundle) in self._findings

    def result(
        self, key: str, predictor: Predictor, rule_out: OperatingPoint, rule_in: OperatingPoint
    ) -> Finding | Failure:
        """Return the model's result at two operating points; the network runs once per film and bundle.

        Args:
            key: The film's key.
            predictor: The model.
            rule_out: The lower operating point.
            rule_in: The upper operating point.

        Returns:
            The finding, or the failure to read the file.
        """
        film = self._films[key]
        identity = key, predictor.bundle.version, film.options
        outcome = self._kept(identity)
        if outcome is None:
            # One at a time: a page that is drawn anew meanwhile waits for the answer in place of making it twice.
            with self._reading:
                outcome = self._kept(identity) or self._keep(identity, self._read(film, predictor))
        return outcome if isinstance(outcome, Failure) else outcome.at(rule_out, rule_in)

    def _id(self, key: str, bundle: str) -> tuple:
        return key, bundle, self._films[key].options

    def _forget(self, key: str) -> None:
        for cache in (self._findings, self._entries):
            for identity in [identity for identity in cache if identity[0] == key]:
                del cache[identity]

    def _kept(self, key: tuple) -> Finding | Failure | None:
        with self._lock:
            if key in self._findings:
                self._findings.move_to_end(key)
            return self._findings.get(key)

    def _keep(self, key: tuple, outcome: Finding | Failure) -> Finding | Failure:
        """Keep what a film was found to be, unless it has been removed or is to be read otherwise by now."""
        entry = Entry.of(outcome)
        with self._lock:
            film = self._films.get(key[0])
            if film is None or film.options != key[2]:
                return outcome
            self._findings[key] = outcome
            self._entries[key] = entry
            room = self._most_kept
            for identity in reversed(list(self._findings)):
                room -= _size(self._findings[identity])
                if room < 0 and identity != key:
                    del self._findings[identity]
        return outcome

    @staticmethod
    def _read(film: Film, predictor: Predictor) -> Finding | Failure:
        try:
            return predictor.predict(film_radiograph(film), greys_as_stored=film.options.greys_as_stored)
        except FractureCoreError as error:
            return Failure(film.name, str(error), truncated=getattr(error, "missing", None) is not None)


def film_radiograph(film: Film) -> Radiograph:
    """Read a film's file with its options, in the decoder process.

    Args:
        film: The film.

    Returns:
        The radiograph.

    Raises:
        UnreadableRadiograph: It cannot be read.
    """
    options = film.options
    radiograph = decode_isolated(
        film.data,
        name=film.name,
        accept_cut_short=options.accept_cut_short,
        frame=options.frame,
        window=options.window,
    )
    for adjustment in options.adjustments:
        radiograph = adjustment.apply(radiograph)
    return radiograph


def _size(outcome: Finding | Failure) -> int:
    if isinstance(outcome, Failure):
        return len(outcome.error)
    return outcome.radiograph.pixels.nbytes + sum(a.nbytes for view in outcome.views for a in view.values())
