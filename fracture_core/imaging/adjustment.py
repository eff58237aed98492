"""Straighten, crop, mirror and turn a radiograph, so that the network reads it as a person would look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fracture_core.imaging.appearance.screen_outline import Corners, straightened
from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.radiograph import Radiograph

#: A part smaller than this along a side, in pixels, shows no bone.
SMALLEST_SIDE = 32


@dataclass(frozen=True)
class Adjustment:
    """One step: first straightened, then cropped, mirrored left to right, and turned.

    Attributes:
        crop: x, y, width, height of the part that is kept, in pixels of the radiograph before this step; None for all.
        mirrored: whether left and right are exchanged.
        quarter_turns: clockwise turns by 90 degrees, 0 to 3.
        corners: of a photographed screen or film, (x, y) clockwise from the top left, that becomes the whole image.
    """

    crop: tuple[int, int, int, int] | None = None
    mirrored: bool = False
    quarter_turns: int = 0
    corners: Corners | None = None

    def apply(self, radiograph: Radiograph) -> Radiograph:
        """Return the radiograph after this step, with a warning that says what was done.

        Args:
            radiograph: The radiograph.

        Returns:
            The changed radiograph.

        Raises:
            UnreadableRadiograph: The part to keep lies outside the image or is too small.
        """
        pixels = straightened(radiograph.pixels, self.corners) if self.corners else radiograph.pixels
        if self.crop:
            height, width = pixels.shape
            x, y = max(0, self.crop[0]), max(0, self.crop[1])
            right, bottom = min(width, self.crop[0] + self.crop[2]), min(height, self.crop[1] + self.crop[3])
            if right - x < SMALLEST_SIDE or bottom - y < SMALLEST_SIDE:
                raise UnreadableRadiograph(
                    f"The part to read is too small: mark at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels."
                )
            pixels = pixels[y:bottom, x:right]
        if self.mirrored:
            pixels = pixels[:, ::-1]
        pixels = np.ascontiguousarray(np.rot90(pixels, -self.quarter_turns))
        pixels.flags.writeable = False
        warnings = (*radiograph.warnings, *self._sentences(pixels))
        header = radiograph.header
        if header is not None and header.pixel_spacing and self.corners:
            # Straightening changes the scale, and differently from place to place.
            header = replace(header, pixel_spacing=None)
        elif header is not None and header.pixel_spacing and self.quarter_turns % 2:
            across, down = header.pixel_spacing
            header = replace(header, pixel_spacing=(down, across))
        return replace(radiograph, pixels=pixels, warnings=warnings, header=header)

    def _sentences(self, pixels: np.ndarray) -> list[str]:
        turned = {1: "turned by 90° clockwise", 2: "turned by 180°", 3: "turned by 90° counter-clockwise"}
        done = [f"straightened to {pixels.shape[1]} x {pixels.shape[0]} pixels"] if self.corners else []
        done += [f"cropped to {pixels.shape[1]} x {pixels.shape[0]} pixels"] if self.crop else []
        done += ["mirrored"] if self.mirrored else []
        done += [turned[self.quarter_turns % 4]] if self.quarter_turns % 4 else []
        return [f"Read after it was {', '.join(done)} by the user."] if done else []
