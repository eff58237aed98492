"""HEIC photos, as telephones take them, by libheif's decoder; it turns them upright itself."""

from __future__ import annotations

import io

from PIL import Image

from fracture_core.imaging.limits import UnreadableRadiograph

#: Said of a photo that the decoder cannot read, in place of "send it again".
EXPORT_AS_JPEG = (
    "Export it as JPEG: on an iPhone, choose Settings > Camera > Formats > Most Compatible, or share it by e-mail; "
    "on a computer, open it and save it as JPEG."
)


def open_heic(data: bytes) -> Image.Image:
    """Decode the first image of a HEIC file whose size was found within the limits.

    Args:
        data: The file.

    Returns:
        The image in 8 bits, upright.

    Raises:
        UnreadableRadiograph: The decoder cannot read it.
    """
    # Imported here: few files need it.
    import pi_heif

    try:
        return pi_heif.open_heif(io.BytesIO(data)).to_pillow()
    except Exception as error:  # the decoder names damage and what it lacks in ways of its own
        raise UnreadableRadiograph(f"The HEIC photo cannot be decoded. {EXPORT_AS_JPEG}") from error
