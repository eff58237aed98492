"""DICOM files: elements, pixels, VOI windows and LUTs, header and identifiers, and the reader that combines them."""
