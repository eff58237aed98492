"""Read verdicts.jsonl, of which only what was added since is read again, and only what is asked for is parsed."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from fracture_core.data.review.verdict import ReviewError, Verdict

#: Bytes before the place where reading goes on that must be as they were.
_COMPARED = 256
#: How a line begins as this program writes it; of any other the whole is parsed to know its film.
_START = re.compile(rb'\{"image": "([0-9a-f]{64})", "verdict": "')


class VerdictLog:
    """The verdicts of one file, which only grows; when a film is deleted another file takes its place.

    Thread-safe; other processes may append.

    Args:
        path: verdicts.jsonl, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._inode, self._offset, self._end = -1, 0, b""
        self._lines: list[bytes] = []
        self._by_image: dict[str, list[bytes]] = {}

    def verdicts(self) -> list[Verdict]:
        """Return every verdict; lines that a crash truncated are passed over.

        Returns:
            The verdicts, oldest first.

        Raises:
            ReviewError: The file cannot be read.
        """
        with self._lock:
            self._read()
            return _parsed(self._lines)

    def lines(self) -> list[bytes]:
        """Return every line that may be a verdict, as it was written.

        Returns:
            JSON, oldest first.

        Raises:
            ReviewError: The file cannot be read.
        """
        with self._lock:
            self._read()
            return list(self._lines)

    def of(self, image: str) -> list[Verdict]:
        """Return the verdicts on one film.

        Args:
            image: The digest of its pixels.

        Returns:
            The verdicts, oldest first.

        Raises:
            ReviewError: The file cannot be read.
        """
        with self._lock:
            self._read()
            return _parsed(self._by_image.get(image, ()))

    def latest(self, reader: str, images: Iterable[str]) -> dict[str, Verdict]:
        """Return a reader's latest verdict on each of some films.

        Args:
            reader: The reader.
            images: The digests of the films' pixels.

        Returns:
            Verdicts by digest, of the films that the reader has read.

        Raises:
            ReviewError: The file cannot be read.
        """
        with self._lock:
            self._read()
            mine = {i: [v for v in _parsed(self._by_image.get(i, ())) if v.reader == reader] for i in images}
        return {image: verdicts[-1] for image, verdicts in mine.items() if verdicts}

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._start_again(status.st_ino)
                # A file number can come again after two deletions; the last line, which says when, cannot.
                file.seek(self._offset - len(self._end))
                if file.read(len(self._end)) != self._end:
                    self._start_again(status.st_ino)
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            self._start_again(-1)
            return
        except OSError as error:
            raise ReviewError(f"The verdicts in {self._path.parent} cannot be read ({error.strerror}).") from error
        # A line without its end is still being written, or was cut short: it is looked at again with what follows.
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._end = (self._end + whole)[-_COMPARED:]
        for line in whole.splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        image = start[1].decode() if (start := _START.match(line)) else "".join(v.image for v in _parsed([line]))
        if image:
            self._lines.append(line)
            self._by_image.setdefault(image, []).append(line)

    def _start_again(self, inode: int) -> None:
        self._inode, self._offset, self._end = inode, 0, b""
        self._lines, self._by_image = [], {}


def _parsed(lines: Iterable[bytes]) -> list[Verdict]:
    """Return the verdicts of those lines that are verdicts."""
    verdicts = []
    for line in lines:
        try:
            verdicts.append(Verdict.from_json(line.decode("utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return verdicts
