"""Csv files as spreadsheets, scripts and people write them, to a table of text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fracture_core.data.fracatlas import DatasetError

_SEPARATORS = ",;\t|"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*(?:\r\n|\r|\n)", re.IGNORECASE)
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class CsvText:
    """A csv's cells, all of them text without spaces around.

    `rows` has the columns that the first row names, and is indexed by the row in a spreadsheet, where the first row is
    number 1. `first` holds the cells of the first row as they stand, in case it names no columns.
    """

    name: str
    rows: pd.DataFrame
    first: tuple[str, ...]

    def without_header(self, columns: list[str]) -> pd.DataFrame:
        """Return the rows of a file that has no header, its first row included.

        Args:
            columns: Names for the columns.

        Returns:
            One row of strings per line, indexed by line number.
        """
        first = pd.DataFrame([self.first], columns=columns, index=[1])
        return pd.concat([first, self.rows.set_axis(columns, axis=1)])


def read_csv_text(file: Path) -> CsvText:
    """Read a csv in UTF-8, UTF-16 or Windows' western encoding, with commas, semicolons, tabs or bars.

    Empty rows and empty columns, which spreadsheets write, are left out.

    Args:
        file: The csv, at most 256 MB.

    Returns:
        Its header and its rows as text.

    Raises:
        DatasetError: It cannot be read, is a workbook, or its rows do not fit its header; the message names it.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{file.name} has more than {_MOST_BYTES // 2**20} MB, too large for a list of images.")
        text = _decoded(file.read_bytes(), file.name)
        rows = _cells(text, file.name)
    except OSError as error:
        raise DatasetError(f"{file.name} cannot be read ({error.strerror}).") from error
    except csv.Error as error:
        raise DatasetError(f"{file.name} cannot be read as a csv ({error}).") from error
    if not rows:
        raise DatasetError(f"{file.name} is empty.")
    header = rows[0][1]
    while header and not header[-1]:
        header.pop()
    width = len(header)
    if width < 2:
        raise DatasetError(f"{file.name} has one column only: it needs the columns image and label.")
    for number, cells in rows[1:]:
        if any(cells[width:]):
            raise DatasetError(
                f"Row {number} of {file.name} has {len(cells)} values, but its first row names {width} columns."
            )
    padded = [(cells + [""] * width)[:width] for _, cells in rows[1:]]
    table = pd.DataFrame(padded, columns=header, index=[number for number, _ in rows[1:]], dtype=str)
    return CsvText(name=file.name, rows=table.loc[:, [bool(name) for name in header]], first=tuple(header))


def _decoded(data: bytes, name: str) -> str:
    if data.startswith(_WORKBOOKS):
        raise DatasetError(f"{name} is an Excel workbook, not a csv: save it as CSV UTF-8 in Excel.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif data[:200].count(0) > len(data[:200]) // 8:
        # Western text in UTF-16 has a zero in every second byte; a single one is damage.
        encodings = ["utf-16-le" if data[1:200:2].count(0) > data[0:200:2].count(0) else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DatasetError(f"{name} is not readable text: save it as CSV UTF-8.")


def _cells(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return the rows that hold something, each with its number in a spreadsheet."""
    if line := _SEPARATOR_LINE.match(text):
        separator, text = line[1], text[line.end() :]
    else:
        # What is quoted may contain separators and line breaks.
        unquoted = re.sub(r'"[^"]*"', '""', text[: 2**16])
        head = next((row for row in unquoted.splitlines() if row.strip()), "")
        separator = max(_SEPARATORS, key=head.count)
    rows = _unquoted(text, separator, name)
    numbered = ((number, [cell.strip() for cell in cells]) for number, cells in enumerate(rows, 1))
    return [(number, cells) for number, cells in numbered if any(cells)]


def _unquoted(text: str, separator: str, name: str) -> list[list[str]]:
    """Return the rows; raise DatasetError where a quotation mark that is never closed swallows rows."""
    rows: list[list[str]] = []
    try:
        rows.extend(_reader(text, separator, strict=True))
    except csv.Error as error:
        damaged = len(rows) + 1
        if "field larger" in str(error):
            raise DatasetError(
                f"Row {damaged} of {name} has a cell of more than {csv.field_size_limit():,} characters: a quotation "
                "mark that is never closed may be in it."
            ) from error
        # Words or spaces behind a closing mark do no harm, unless a cell goes on into the next row.
        rows = list(_reader(text, separator, strict=False))
        if any(end in cell.strip() for cells in rows for cell in cells for end in "\r\n"):
            raise DatasetError(
                f"Row {damaged} of {name} has a quotation mark too many or too few, so that rows behind it would be "
                'lost: remove it, or write "" for each one within a cell in quotation marks.'
            ) from None
    return rows


def _reader(text: str, separator: str, *, strict: bool) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict)
