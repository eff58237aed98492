"""DICOM files: elements, pixels, grey scale, header and identifiers, and the reader that puts them together."""
