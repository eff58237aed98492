"""A finished model on disk: load, verify, describe and extend it."""
