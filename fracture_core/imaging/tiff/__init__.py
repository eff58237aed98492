"""TIFF files: directories, layouts, samples, and the reader that puts them together."""
