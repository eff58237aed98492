"""Compute confusion counts, intervals, calibration, thresholds and operating points, and localisation."""
