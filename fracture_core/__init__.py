"""Fracture reading on bone radiographs: a research demonstrator, a reading aid, not a medical device."""

__version__ = "0.1.0"
