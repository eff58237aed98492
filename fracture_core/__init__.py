"""Detect fractures on bone radiographs. Research demonstrator; not a medical device, not for diagnosis."""

__version__ = "0.1.0"
