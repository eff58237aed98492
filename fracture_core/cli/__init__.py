"""Define the commands of `python -m fracture_core`."""
