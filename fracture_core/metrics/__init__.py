"""Compute confusion counts, intervals, calibration, operating points and localisation figures."""
