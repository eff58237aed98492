"""Read patient and study identifiers from a DICOM file, on request only."""

from __future__ import annotations

from pydicom.datadict import dictionary_description

from fracture_core.imaging.dicom.dataset import is_dicom, open_file, text, value
from fracture_core.imaging.limits import UnreadableRadiograph

_IDENTIFIERS = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientAddress",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "InstitutionName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)
_DAMAGED = "The DICOM file is damaged and cannot be read. Please export or send it again."


def identifier_name(keyword: str) -> str:
    """Return an identifier's name in DICOM's dictionary: "PatientBirthDate" is "Patient's Birth Date".

    Args:
        keyword: The keyword.

    Returns:
        The name.
    """
    return dictionary_description(keyword)


def dicom_identifiers(data: bytes) -> dict[str, str]:
    """Return patient and study identifiers.

    This is the only access to a patient's identity in this package: nothing else keeps, shows or logs it.

    Args:
        data: The file.

    Returns:
        Values by DICOM keyword ("PatientName" ...); empty for a file that is not DICOM or has none.

    Raises:
        UnreadableRadiograph: The file is damaged.
    """
    if not is_dicom(data):
        return {}
    try:
        dataset = open_file(data).dataset
        stated = {keyword: text(value(dataset, keyword)) for keyword in _IDENTIFIERS}
    except Exception as error:
        raise UnreadableRadiograph(_DAMAGED) from error
    return {keyword: words for keyword, words in stated.items() if words}
