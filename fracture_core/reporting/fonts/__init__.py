"""Fonts for patients' names in any common script, and which of them prints what."""
