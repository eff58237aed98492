"""Format patients' names and dates from a DICOM header for a report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

#: What a report begins with, in this order.
_FIRST = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate")
_SEXES = {"F": "female", "M": "male", "O": "other"}


def patient_lines(identifiers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Format patient details, the patient first, with names and dates written out.

    Args:
        identifiers: Values by DICOM keyword, from `dicom_identifiers`.

    Returns:
        (label, value) pairs.
    """
    from fracture_core.imaging.dicom.identifiers import identifier_name  # it brings pydicom

    order = [keyword for keyword in _FIRST if keyword in identifiers]
    order += [keyword for keyword in identifiers if keyword not in _FIRST]
    return [(identifier_name(keyword), _formatted(keyword, identifiers[keyword])) for keyword in order]


def format_person(name: str) -> str:
    """Format a DICOM person name: "Doe^Jane^Q^Dr^MD" becomes "Doe, Jane Q (Dr, MD)".

    Args:
        name: The alphabetic form; ideographic and phonetic forms follow after a slash.

    Returns:
        The text.
    """
    written = []
    for form in name.split("="):
        family, given, middle, prefix, suffix = ([part.strip() for part in form.split("^")] + [""] * 5)[:5]
        first = " ".join(filter(None, (given, middle)))
        titles = ", ".join(filter(None, (prefix, suffix)))
        written.append(", ".join(filter(None, (family, first))) + (f" ({titles})" if titles else ""))
    return " / ".join(filter(None, written))


def format_date(date: str) -> str:
    """Format a DICOM date: "19600102" becomes "2 January 1960".

    Args:
        date: The date.

    Returns:
        The text; unchanged if it is not a date.
    """
    try:
        day = datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return date
    return f"{day.day} {day:%B %Y}"


def format_time(time: str) -> str:
    """Format a DICOM time: "142530.5" becomes "14:25".

    Args:
        time: The time.

    Returns:
        The text; unchanged if it is not a time.
    """
    hours, minutes = time[:2], time[2:4]
    inside = hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60
    return f"{hours}:{minutes}" if inside else time


def _formatted(keyword: str, value: str) -> str:
    if keyword.endswith("Name") and "^" in value:
        return format_person(value)
    if keyword.endswith("Date"):
        return format_date(value)
    if keyword.endswith("Time"):
        return format_time(value)
    return _SEXES.get(value, value) if keyword == "PatientSex" else value
