"""The commands of `fracture-reader` and `python -m fracture_core`."""
